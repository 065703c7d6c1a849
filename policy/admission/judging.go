package admission

import (
	"context"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
)

// grace is how long a judge that was told to end may take to say what it knows.
const grace = 50 * time.Millisecond

// judgeAll asks the judge about every place that is not settled, each image once. It
// returns in time whatever the judge does.
func (r *Reviewer) judgeAll(ctx context.Context, asker Asker, spots []spot) {
	index := make(map[string]int, len(spots))
	var images []string
	for i := range spots {
		if s := &spots[i]; !s.settled() {
			if _, known := index[s.place.Image]; !known {
				index[s.place.Image] = len(images)
				images = append(images, s.place.Image)
			}
		}
	}
	if len(images) == 0 {
		return
	}
	answers, said := r.ask(ctx, asker, images)
	for i := range spots {
		if s := &spots[i]; !s.settled() {
			s.take(answers[index[s.place.Image]])
			s.unsaid = !said
		}
	}
}

// ask returns as many answers as there are images, and whether the judge gave them.
func (r *Reviewer) ask(ctx context.Context, asker Asker, images []string) (answers []*report.Image, said bool) {
	limited, cancel := context.WithTimeout(ctx, r.budget(ctx))
	defer cancel()
	type outcome struct {
		answers []*report.Image
		fault   bool
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- outcome{fault: true}
			}
		}()
		done <- outcome{answers: r.judge.Judge(limited, asker, images)}
	}()
	var out outcome
	select {
	case out = <-done:
	case <-limited.Done():
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case out = <-done:
		case <-timer.C:
			return forEach(images, policy.Undetermined, policy.ReasonUnreachable, "the time for this review is up", "try again; if it stays so, look at the registry and the network"), false
		}
	}
	if out.fault || len(out.answers) != len(images) {
		return forEach(images, policy.Deny, verify.ReasonInternal, "judging it ended in an internal fault", "this is a bug of Hallmark's; please report it"), false
	}
	return out.answers, true
}

// budget is how long the judge may take.
func (r *Reviewer) budget(ctx context.Context) time.Duration {
	budget := r.options.Deadline
	if deadline, has := ctx.Deadline(); has {
		left := time.Until(deadline)
		budget = min(budget, left-min(left/4, maxReserve))
	}
	return max(0, budget-grace)
}

func forEach(images []string, verdict policy.Verdict, reason verify.Reason, why, hint string) []*report.Image {
	all := make([]*report.Image, len(images))
	for i, image := range images {
		all[i] = &report.Image{Image: image, Decision: policy.Decision{Verdict: verdict, Reason: reason}, Error: why, Hint: hint}
	}
	return all
}
