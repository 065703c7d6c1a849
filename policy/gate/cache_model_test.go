package gate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// TestCacheModel does things in random order: images are signed, tags move, the clock
// goes on and back, the registry fails and comes back, and images are judged by tag and
// digest under two policies. Each answer must be one that the registry could have given
// within the life of what is kept, and about a digest that the tag named then.
func TestCacheModel(t *testing.T) {
	t.Parallel()
	const freshness = time.Minute
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := newCached(t, gate.CacheOptions{TagFreshness: freshness, Entries: 3 + int(seed)})
			random := rand.New(rand.NewPCG(seed, 1))
			keys := []*verifytest.Key{c.key, c.stranger}
			gates := []*gate.Gate{c.gate(byKey(t, keys[0])), c.gate(byKey(t, keys[1]))}
			var images []registrytest.Pushed
			for i := range 4 {
				images = append(images, c.PushImage(repository, "", map[string]string{"n": fmt.Sprint(seed, i)}))
			}
			type of struct {
				digest digest.Digest
				key    int
			}
			signed := make(map[of]time.Duration) // how long ago, by a clock that only goes on
			passed := make(map[of]time.Duration) // since a look allowed it
			moved := make(map[int]map[digest.Digest]time.Duration)
			elapse := func(d time.Duration) {
				for k := range signed {
					signed[k] += d
				}
				for k := range passed {
					passed[k] += d
				}
				for _, names := range moved {
					for k := range names {
						names[k] += d
					}
				}
			}
			current := make([]registrytest.Pushed, 2)
			move := func(tag int) {
				current[tag] = c.PushImage(repository, fmt.Sprint("t", tag), map[string]string{"n": fmt.Sprint(seed, random.IntN(4))})
				if moved[tag] == nil {
					moved[tag] = make(map[digest.Digest]time.Duration)
				}
			}
			move(0)
			move(1)
			failing, tally := false, make(map[string]int)
			for step := range 600 {
				switch random.IntN(10) {
				case 0:
					image, key := images[random.IntN(4)], random.IntN(2)
					if _, done := signed[of{image.Digest, key}]; !done && step > 100 {
						c.sign(image, keys[key])
						signed[of{image.Digest, key}] = 0
					}
				case 1:
					tag := random.IntN(2)
					moved[tag][current[tag].Digest] = 0
					move(tag)
				case 2:
					d := []time.Duration{time.Second, 11 * time.Second, 2 * time.Minute, 2 * time.Hour}[random.IntN(4)]
					c.move(d)
					elapse(d)
				case 3:
					if random.IntN(4) == 0 {
						// Somebody asks before and while it is back, and then nothing is left of what
						// was kept. What nobody sees, nobody can know.
						none := c.Host() + "/team/none@" + images[0].Digest.String()
						gates[0].Judge(t.Context(), none)
						c.move(-time.Duration(1+random.IntN(5)) * time.Hour)
						gates[0].Judge(t.Context(), none)
						elapse(1000 * time.Hour)
					}
				case 4:
					failing = !failing
					c.ClearFaults()
					if failing {
						c.Inject(registrytest.Match{}, registrytest.Status(500))
					}
				default:
					key := random.IntN(2)
					ref, wanted := "", digest.Digest{}
					tag := random.IntN(4)
					if tag < 2 {
						ref = current[tag].TagRef()
					} else {
						image := images[random.IntN(4)]
						ref, wanted = image.Ref(), image.Digest
					}
					image := gates[key].Judge(t.Context(), ref)
					at := of{image.Digest, key}
					since, isSigned := signed[at]
					last, hasPassed := passed[at]
					tally[fmt.Sprint(image.Verdict, " ", image.Cached, " ", failing)]++
					switch {
					case image.Verdict == policy.Allow && !isSigned:
						t.Fatalf("%d: %s was allowed, and nobody signed it", step, image.Digest)
					case image.Verdict == policy.Allow && failing && (!image.Cached || !hasPassed || last >= gate.DefaultMaxAge):
						t.Fatalf("%d: %s was allowed while the registry fails: cached %t, a look allowed it %t, %s ago", step, image.Digest, image.Cached, hasPassed, last)
					case image.Verdict == policy.Allow && image.Cached && !hasPassed:
						t.Fatalf("%d: %s is kept, and no look allowed it", step, image.Digest)
					case image.Verdict == policy.Deny && isSigned && (!image.Cached || since >= gate.DefaultDenyAge):
						t.Fatalf("%d: %s was denied, and is signed", step, image.Digest)
					case image.Verdict == policy.Undetermined && !failing:
						t.Fatalf("%d: %s could not be checked: %s", step, ref, image.Error)
					}
					if image.Verdict == policy.Allow && !image.Cached {
						passed[at] = 0
					}
					if !wanted.IsZero() && image.Digest != wanted {
						t.Fatalf("%d: judged %s in place of %s", step, image.Digest, wanted)
					}
					if tag < 2 && image.Verdict != policy.Undetermined && image.Digest != current[tag].Digest {
						if before, was := moved[tag][image.Digest]; !was || before >= freshness {
							t.Fatalf("%d: the tag names %s since %s, judged was %s", step, current[tag].Digest, before, image.Digest)
						}
					}
				}
			}
			if tally["allow true false"] == 0 || tally["allow true true"] == 0 || tally["deny true false"] == 0 || tally["undetermined false true"] == 0 {
				t.Errorf("the test has not seen all: %v", tally)
			}
		})
	}
}
