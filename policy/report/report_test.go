package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	index    = digest.FromBytes([]byte("index"))
	platform = digest.FromBytes([]byte("platform"))
)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); -update writes it:\n%s", name, diff)
	}
}

func allowed() *report.Image {
	return &report.Image{
		Image: "registry.example/app:1.2", Name: "registry.example/app", Tag: "1.2", Digest: index,
		Decision: policy.Decision{Verdict: policy.Allow, Rule: "production", Demands: []policy.Demand{{
			Name: "signatures", Digest: index, Verdict: policy.Allow, Wanted: "a signature by release", Found: "1 signature by 1 signer",
			Tried: []policy.Attempt{{
				Origin: "referrers-api registry.example/app@sha256:ab12", Signer: "key sha256:12ab", Type: "signature", Accepted: true,
				Detail: "signed by release", Checks: []verify.Step{verify.StepParse, verify.StepSignature, verify.StepStatement, verify.StepSubject},
			}, {
				Origin: "referrers-api registry.example/app@sha256:cd34", Type: "signature", Reason: verify.ReasonKeyMismatch,
				Detail: "signature: none of the trusted keys signed it",
			}},
		}}},
	}
}

func keyless() *report.Image {
	i := allowed()
	d := &i.Demands[0]
	d.Tried = []policy.Attempt{{
		Origin: "referrers-api registry.example/app@sha256:ab12", Type: "signature", Accepted: true, Detail: "signed by release",
		Signer:   "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1 (https://token.actions.githubusercontent.com)",
		Checks:   []verify.Step{verify.StepParse, verify.StepLog, verify.StepTimestamp, verify.StepCertificate, verify.StepSCT, verify.StepSignature},
		Identity: &policy.Identity{Subject: "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1", Type: "URI", Issuer: "https://token.actions.githubusercontent.com", TrustRoot: "public", Root: index},
		Times:    []policy.SigningTime{{Time: noon, Source: "log", URI: "https://rekor.example"}, {Time: noon.Add(time.Second), Source: "tsa", URI: "https://tsa.example"}},
		Log:      []policy.LogEntry{{LogID: "c0d2", URI: "https://rekor.example", Index: 123456789}},
	}, {
		Origin: "referrers-api registry.example/app@sha256:ef56", Type: "signature", Signer: "mallory@evil.example (https://accounts.google.com)", Reason: verify.ReasonIssuerMismatch,
		Detail:   "its signer is not release: issuer: found https://accounts.google.com, wanted https://token.actions.githubusercontent.com",
		Identity: &policy.Identity{Subject: "mallory@evil.example", Type: "Email", Issuer: "https://accounts.google.com", TrustRoot: "public", Root: index},
	}}
	return i
}

func denied() *report.Image {
	return &report.Image{
		Image: "registry.example/app@" + index.String(), Name: "registry.example/app", Digest: index,
		Decision: policy.Decision{
			Verdict: policy.Deny, Rule: "production", Reason: policy.ReasonNoSignature,
			Demands: []policy.Demand{
				{Name: "signatures", Digest: index, Verdict: policy.Allow, Wanted: "a signature by release", Found: "1 signature by 1 signer"},
				{
					Name: "signatures", Digest: platform, Platform: "linux/arm64", Verdict: policy.Deny, Reason: policy.ReasonNoSignature,
					Wanted: "a signature by release", Found: "no signature", Hint: "sign the digest with `hallmark sign`",
				},
			},
			Warnings: []string{"the evidence stands on another digest"},
		},
	}
}

func unreachable() *report.Image {
	return &report.Image{
		Image: "registry.example/gone:1", Name: "registry.example/gone",
		Decision: policy.Decision{Verdict: policy.Undetermined, Reason: policy.ReasonUnreachable},
		Unseen:   []report.Unseen{{Reason: policy.ReasonUnreachable, Detail: "resolving: 500"}},
		Error:    "resolving registry.example/gone:1: registry gave no usable answer: 500", Hint: "try again when the registry answers",
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, images := range map[string][]*report.Image{
		"allow": {allowed()}, "deny": {denied()}, "undetermined": {unreachable()}, "several": {allowed(), denied(), unreachable()}, "keyless": {keyless()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := report.New(nil, noon, images...)
			r.Policy = report.Policy{Name: "acme", Digest: platform}
			if name == "keyless" {
				r.TrustRoots = []report.TrustRoot{
					{Name: "acme", Digest: platform, Need: report.Need{Log: 2, Timestamps: 1}},
					{Name: "public", Digest: index, Need: report.Need{Log: 1, Timestamps: 1, SCT: 1}},
				}
				r.SetFetched(index, noon.Add(-75*time.Hour))
			}
			if name == "allow" {
				r.Insecure = []string{"--insecure-allow-http"}
			}
			var text, raw bytes.Buffer
			if err := r.WriteText(&text, report.Style{}); err != nil {
				t.Fatal(err)
			}
			if err := r.WriteJSON(&raw); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", text.Bytes())
			golden(t, name+".json", raw.Bytes())
			var back report.Report
			if err := json.Unmarshal(raw.Bytes(), &back); err != nil || back.Verdict != r.Verdict {
				t.Errorf("reading the JSON back: %v, verdict %s", err, back.Verdict)
			}
		})
	}
}

func TestWorstImageDecides(t *testing.T) {
	t.Parallel()
	a, d, u := allowed(), denied(), unreachable()
	for name, test := range map[string]struct {
		images []*report.Image
		want   policy.Verdict
	}{
		"CL-01 no image at all": {nil, policy.Undetermined},
		"one allowed":           {[]*report.Image{a}, policy.Allow},
		"CL-02 denied first":    {[]*report.Image{d, a, u}, policy.Deny},
		"CL-02 denied last":     {[]*report.Image{a, u, d}, policy.Deny},
		"CL-02 denied between":  {[]*report.Image{u, d, a}, policy.Deny},
		"undetermined first":    {[]*report.Image{u, a}, policy.Undetermined},
		"undetermined last":     {[]*report.Image{a, u}, policy.Undetermined},
	} {
		if got := report.New(nil, noon, test.images...).Verdict; got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// hostile are texts that try to act on what shows them.
var hostile = map[string]string{
	"escape sequence":       "a\x1b[2J\x1b[31mb",
	"line feed and command": "x\n::set-output name=verdict::allow",
	"command":               "::error::all is well",
	"command after spaces":  "  ::stop-commands::x",
	"carriage return":       "DENY\rALLOW",
	"old command":           "x ##[set-env name=PATH]evil",
	"right to left":         "app\u202egnp.exe",
	"isolate":               "a\u2066b",
	"zero width":            "a\u200bb\ufeff",
	"C1 control":            "a\u009b31m",
	"next line":             "a\u0085::error::b",
	"line separator":        "a\u2028b",
	"delete":                "a\x7fb",
	"broken UTF-8":          "a\xff\xfeb",
	"tag characters":        "a\U000e0041b",
	"long":                  strings.Repeat("\x1b", 1500),
}

// TestHostileText puts hostile texts into every field of every report.
func TestHostileText(t *testing.T) {
	t.Parallel()
	for name, bad := range hostile {
		t.Run("AD-27 CL-04 "+name, func(t *testing.T) {
			t.Parallel()
			reason := verify.Reason(bad)
			image := &report.Image{
				Image: bad, Name: bad, Tag: bad, Digest: index, Platform: bad, Error: bad, Hint: bad,
				Unseen: []report.Unseen{{Reason: reason, Detail: bad}},
				Decision: policy.Decision{Rule: bad, Reason: reason, Warnings: []string{bad}, Demands: []policy.Demand{{
					Name: bad, Digest: platform, Platform: bad, Reason: reason, Wanted: bad, Found: bad, Hint: bad,
					Tried: []policy.Attempt{
						{Origin: bad, Signer: bad, Type: bad, Reason: reason, Detail: bad},
						{
							Origin: bad, Signer: bad, Type: bad, Accepted: true, Checks: []verify.Step{verify.Step(bad)},
							Identity: &policy.Identity{Subject: bad, Type: bad, Issuer: bad, TrustRoot: bad},
							Times:    []policy.SigningTime{{Source: bad, URI: bad}}, Log: []policy.LogEntry{{LogID: bad, URI: bad}},
						},
					},
				}}},
			}
			r := report.New(nil, noon, image)
			r.Policy.Name, r.Insecure, r.TrustRoots = bad, []string{bad}, []report.TrustRoot{{Name: bad}}
			var text, raw bytes.Buffer
			if err := r.WriteText(&text, report.Style{}); err != nil {
				t.Fatal(err)
			}
			if err := r.WriteJSON(&raw); err != nil {
				t.Fatal(err)
			}
			for _, out := range []string{text.String(), raw.String()} {
				for _, c := range out {
					if c != '\n' && !unicode.IsPrint(c) {
						t.Fatalf("%U came through", c)
					}
				}
			}
			if strings.Contains(text.String(), "##[") {
				t.Error("a workflow command came through")
			}
			for _, line := range strings.Split(text.String(), "\n") {
				if strings.HasPrefix(strings.TrimSpace(line), "::") {
					t.Errorf("a line begins with a workflow command: %q", line)
				}
			}
			var back report.Report
			if err := json.Unmarshal(raw.Bytes(), &back); err != nil {
				t.Fatalf("the JSON cannot be read: %v", err)
			}
			if want := strings.ToValidUTF8(bad, "\ufffd"); name != "broken UTF-8" && back.Images[0].Image != want {
				t.Errorf("the JSON says %q, want %q", back.Images[0].Image, want)
			}
		})
	}
	if got := report.Plain("Grüße, 你好 — ok"); got != "Grüße, 你好 — ok" {
		t.Errorf("honest text was changed: %q", got)
	}
}

func TestColourOnlyOnRequest(t *testing.T) {
	t.Parallel()
	r := report.New(nil, noon, denied())
	var plain, coloured bytes.Buffer
	if err := r.WriteText(&plain, report.Style{}); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteText(&coloured, report.Style{Colour: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[1;31mDENY\x1b[0m") {
		t.Errorf("plain:\n%q\ncoloured:\n%q", plain.String(), coloured.String())
	}
}

func FuzzPlain(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := report.Plain(text)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q became %q", text, got)
			}
		}
		if strings.Contains(got, "##[") {
			t.Fatalf("%q became %q", text, got)
		}
	})
}
