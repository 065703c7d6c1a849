package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/policy/gate"
	"github.com/hallmark-project/hallmark/policy/report"
)

// TestWorkersDoNotMatter: DS-23. The same fifty questions, some of them asked twice, have
// the same answers to the letter however many are judged at a time.
func TestWorkersDoNotMatter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(w.image, w.key)
	w.hang(w.image, custom, w.key.Attestation(t, w.image.Digest, custom, `{}`).Raw)
	refs := []string{w.image.Ref(), w.image.Ref()}
	for i := range 24 {
		image := w.PushImage(repository, fmt.Sprintf("v%d", i), map[string]string{"n": fmt.Sprint(i)})
		if i%3 == 0 {
			w.sign(image, w.key)
		}
		refs = append(refs, image.Ref(), image.TagRef())
	}
	p := w.rule("index", wantSignature)
	var first []byte
	for _, workers := range []int{1, 2, 3, 8, 16} {
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		g := newGate(p, gate.Options{Concurrency: workers, Now: func() time.Time { return at }})
		text, err := json.Marshal(report.New(p, at, g.JudgeAll(t.Context(), refs...)...))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = text
		}
		if !bytes.Equal(text, first) {
			t.Fatalf("DS-23: %d workers answer\n%s\none answers\n%s", workers, text, first)
		}
	}
}
