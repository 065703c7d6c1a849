package suite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/record"
	"github.com/hallmark-project/hallmark/policy/report"
)

// Result is what became of a case.
type Result struct {
	Case Case
	// Failures say what was expected and what came, a line each; none is a pass.
	Failures []string
	// Image is what was decided, or nil when nothing could be.
	Image   *report.Image
	Elapsed time.Duration
}

// Passed reports whether the case came out as expected.
func (r Result) Passed() bool { return len(r.Failures) == 0 }

// Runner judges cases. Records and policies are read once.
type Runner struct {
	// Policy reads a policy by its path.
	Policy func(path string) (*policy.Policy, error)
	// Default is the policy of cases that name none; nil is the record's own.
	Default *policy.Policy
	// Clock measures how long a case takes; nil leaves that out.
	Clock func() time.Time

	policies map[string]*policy.Policy
	records  map[string]*record.Record
}

// Run judges cases, one after the other. What cannot be read fails the case.
func (r *Runner) Run(ctx context.Context, cases []Case) []Result {
	r.policies, r.records = make(map[string]*policy.Policy), make(map[string]*record.Record)
	results := make([]Result, len(cases))
	for i, c := range cases {
		var start time.Time
		if r.Clock != nil {
			start = r.Clock()
		}
		results[i] = Result{Case: c}
		image, err := r.judge(ctx, c)
		if err != nil {
			results[i].Failures = []string{err.Error()}
		} else {
			results[i].Image, results[i].Failures = image, compare(c.Expect, image)
		}
		if r.Clock != nil {
			results[i].Elapsed = r.Clock().Sub(start)
		}
	}
	return results
}

func (r *Runner) judge(ctx context.Context, c Case) (*report.Image, error) {
	file, err := r.record(c.Record)
	if err != nil {
		return nil, err
	}
	o := record.Options{Policy: r.Default, Time: c.Time, Platform: c.Platform, Image: c.Image}
	if c.Policy != "" {
		if o.Policy, err = r.policy(c.Policy); err != nil {
			return nil, err
		}
	}
	out, err := file.Judge(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(out.Images) != 1 {
		return nil, fmt.Errorf("%s has %d images: name one with `image`", c.Record, len(out.Images))
	}
	return out.Images[0], nil
}

func (r *Runner) policy(path string) (*policy.Policy, error) {
	if p := r.policies[path]; p != nil {
		return p, nil
	}
	if r.Policy == nil {
		return nil, errors.New("policies are not read here")
	}
	p, err := r.Policy(path)
	if err == nil {
		r.policies[path] = p
	}
	return p, err
}

func (r *Runner) record(path string) (*record.Record, error) {
	if file := r.records[path]; file != nil {
		return file, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, cause(err))
	}
	defer in.Close()
	file, err := record.Read(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.records[path] = file
	return file, nil
}

// compare says in what an image differs from what was expected.
func compare(want Expect, image *report.Image) []string {
	var all []string
	differ := func(what, got, want string) {
		if got != want {
			all = append(all, fmt.Sprintf("%s: got %q, want %q", what, got, want))
		}
	}
	differ("verdict", image.Verdict.String(), want.Verdict)
	if want.Reason != "" {
		differ("reason", string(image.Reason), string(want.Reason))
	}
	if want.Rule != "" {
		differ("rule", image.Rule, want.Rule)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Demands)) {
		got, found := outcome(image, name)
		if !found {
			all = append(all, fmt.Sprintf("demands: the rule %q has no demand %q", image.Rule, name))
			continue
		}
		differ("demands."+name, got, want.Demands[name])
	}
	if len(all) > 0 {
		all = append(all, said(image)...)
	}
	return all
}

// outcome is "allow" if a demand is met on every digest, else its first reason.
func outcome(image *report.Image, name string) (text string, found bool) {
	text = policy.Allow.String()
	for _, d := range image.Demands {
		if d.Name != name {
			continue
		}
		found = true
		if d.Verdict != policy.Allow && text == policy.Allow.String() {
			text = string(d.Reason)
		}
	}
	return text, found
}

// said repeats what the report says about what is not met.
func said(image *report.Image) []string {
	var all []string
	if image.Error != "" {
		all = append(all, "it says: "+image.Error)
	}
	for _, d := range image.Demands {
		if d.Verdict != policy.Allow {
			all = append(all, fmt.Sprintf("it says: %s: %s %s: wanted %s; found %s", d.Name, d.Verdict, d.Reason, d.Wanted, d.Found))
		}
	}
	return all
}
