package airgap

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const goodIndex = `{"schema":"hallmark.dev/airgap/v1","created":"2026-06-01T12:00:00Z","hallmark":"1","contents":"images",` +
	`"images":[{"name":"registry.example/app","tag":"1.0","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","verdict":"allow"}],` +
	`"policy":{"name":"p","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`

// TestParseIndex: a good index, and twins that differ in one place.
func TestParseIndex(t *testing.T) {
	t.Parallel()
	if _, err := parseIndex([]byte(goodIndex)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another form":       {"airgap/v1", "airgap/v2"},
		"no time":            {"2026-06-01T12:00:00Z", "0001-01-01T00:00:00Z"},
		"other contents":     {`"images",`, `"some",`},
		"an unknown field":   {`"hallmark"`, `"extra":1,"hallmark"`},
		"a field in capital": {`"hallmark"`, `"Hallmark"`},
		"a field twice":      {`"hallmark"`, `"schema":"x","hallmark"`},
		"a name as a path":   {"registry.example/app", "registry.example/../app"},
		"a short name":       {"registry.example/app", "app"},
		"a tag as a path":    {`"tag":"1.0"`, `"tag":"../1"`},
		"no digest":          {`"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","verdict"`, `"verdict"`},
		"an unknown verdict": {`"allow"`, `"fine"`},
		"no image":           {goodIndex[strings.Index(goodIndex, `"images":[`):strings.Index(goodIndex, `"policy"`)], `"images":[],`},
		"more behind it":     {`7852b855"}}`, `7852b855"}}{}`},
	} {
		text := strings.Replace(goodIndex, change[0], change[1], 1)
		if text == goodIndex {
			t.Fatalf("%s: nothing was changed", name)
		}
		if index, err := parseIndex([]byte(text)); !errors.Is(err, ErrNotSealed) {
			t.Errorf("%s: %+v, %v", name, index, err)
		}
	}
}

// FuzzIndex: what is accepted means the same when it is written again.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(goodIndex))
	f.Add([]byte(strings.Replace(goodIndex, `"policy"`, `"judgeUntil":"2027-01-01T00:00:00+01:00","because":"x","policy"`, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		index, err := parseIndex(raw)
		if err != nil {
			return
		}
		written, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseIndex(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if !again.Created.Equal(index.Created) || !again.JudgeUntil.Equal(index.JudgeUntil) || !reflect.DeepEqual(again.Images, index.Images) || again.Policy != index.Policy {
			t.Errorf("%+v became %+v", index, again)
		}
	})
}
