package manifest_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy/manifest"
)

// pinsOf makes a digest for each image.
func pinsOf(file *manifest.File) map[string]digest.Digest {
	pins := make(map[string]digest.Digest)
	for _, i := range file.Images {
		if _, pinned := i.Pinned(); !pinned {
			pins[i.Reference] = digest.FromBytes([]byte(i.Reference))
		}
	}
	return pins
}

// checkPinned holds the laws of pinning: taking the digests out again gives the
// file back byte for byte, and pinning twice is pinning once.
func checkPinned(t *testing.T, file *manifest.File, data, pinned []byte, changes []manifest.Change, pins map[string]digest.Digest) {
	t.Helper()
	back := pinned
	for _, c := range changes {
		if c.New != c.Old+"@"+pins[c.Old].String() {
			t.Fatalf("the change %+v", c)
		}
		if n := bytes.Count(back, []byte(c.New)); n == 0 {
			t.Fatalf("%s does not stand in the result", c.New)
		}
		back = bytes.Replace(back, []byte("@"+pins[c.Old].String()), nil, 1)
	}
	if !bytes.Equal(back, data) {
		t.Fatalf("bytes around the references changed:\n%q\n%q", data, pinned)
	}
	again, err := manifest.Read(file.Name, pinned, manifest.Options{})
	if err != nil {
		t.Fatalf("reading the result: %v", err)
	}
	for _, i := range again.Images {
		if _, isPinned := i.Pinned(); !isPinned && !i.Built {
			t.Fatalf("%s is not pinned", shown(i))
		}
	}
	twice, none, err := again.Pin(pins)
	if err != nil || len(none) != 0 || !bytes.Equal(twice, pinned) {
		t.Fatalf("pinning twice: %v, %v", none, err)
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"deployment.yaml", "cronjob.yaml", "list.json", "chart.yaml"} {
		for ending, data := range map[string][]byte{
			"LF": load(t, name), "CRLF": bytes.ReplaceAll(load(t, name), []byte("\n"), []byte("\r\n")), "byte order mark": append([]byte("\xef\xbb\xbf"), load(t, name)...),
		} {
			t.Run(name+" "+ending, func(t *testing.T) {
				t.Parallel()
				file, err := manifest.Read(name, data, manifest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				pins := pinsOf(file)
				pinned, changes, err := file.Pin(pins)
				if err != nil {
					t.Fatal(err)
				}
				if len(changes) == 0 || len(changes) != len(pins) {
					t.Errorf("%d changes for %d images", len(changes), len(pins))
				}
				checkPinned(t, file, data, pinned, changes, pins)
			})
		}
	}
}

// TestPinnedText: what the result looks like.
func TestPinnedText(t *testing.T) {
	t.Parallel()
	d := digest.FromBytes(nil)
	at := "@" + d.String()
	other := "a:1@" + digest.FromBytes([]byte("x")).String()
	for name, tc := range map[string]struct{ file, text, want string }{
		"tag":              {"x.yaml", pod("a:1 # one"), pod("a:1" + at + " # one")},
		"no tag":           {"x.yaml", pod("a"), pod("a" + at)},
		"port":             {"x.yaml", pod("localhost:5000/a"), pod("localhost:5000/a" + at)},
		"double quotes":    {"x.yaml", pod(`"a:1"`), pod(`"a:1` + at + `"`)},
		"single quotes":    {"x.yaml", pod(`'a:1'`), pod(`'a:1` + at + `'`)},
		"block":            {"x.yaml", pod("|-\n      a:1"), pod("|-\n      a:1" + at)},
		"tagged anchor":    {"x.yaml", pod("&i !!str a:1"), pod("&i !!str a:1" + at)},
		"has another":      {"x.yaml", pod(other), pod(other)},
		"alias":            {"x.yaml", "services: {a: {image: &i a:1}, b: {image: *i}}\n", "services: {a: {image: &i a:1" + at + "}, b: {image: *i}}\n"},
		"the same twice":   {"x.yaml", "services: {a: {image: a:1}, b: {image: 'a:1'}}\n", "services: {a: {image: a:1" + at + "}, b: {image: 'a:1" + at + "'}}\n"},
		"context":          {"x.yaml", "services: {a: {build: {additional_contexts: [x=docker-image://a:1]}}}\n", "services: {a: {build: {additional_contexts: [x=docker-image://a:1" + at + "]}}}\n"},
		"built":            {"x.yaml", "services: {a: {build: ., image: a:1}, b: {image: a:2}}\n", "services: {a: {build: ., image: a:1}, b: {image: a:2" + at + "}}\n"},
		"base and default": {"Dockerfile", "# syntax=s\nARG B=a:1\nFROM $B AS x\nFROM a:2\nCOPY --from=a:1 / /\n", "# syntax=s" + at + "\nARG B=a:1" + at + "\nFROM $B AS x\nFROM a:2" + at + "\nCOPY --from=a:1" + at + " / /\n"},
		"no end of line":   {"Dockerfile", "FROM a:1", "FROM a:1" + at},
		"wide characters":  {"x.yaml", "services: {\"größe😀\": {image: a:1}} # ü\n", "services: {\"größe😀\": {image: a:1" + at + "}} # ü\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := manifest.Read(tc.file, []byte(tc.text), manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, changes, err := file.Pin(map[string]digest.Digest{"a": d, "a:1": d, "a:2": d, "s": d, "localhost:5000/a": d})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("%q\nwant %q", got, tc.want)
			}
			if (len(changes) > 0) != (tc.text != tc.want) {
				t.Errorf("the changes %+v", changes)
			}
		})
	}
}

// TestPinRefused: nothing is pinned half.
func TestPinRefused(t *testing.T) {
	t.Parallel()
	d := digest.FromBytes(nil)
	for name, tc := range map[string]struct {
		file, text, fault string
	}{
		"no digest":        {"x.yaml", pod("a:1") + "---\n" + pod("b:1"), `x.yaml:15: Pod/p spec.containers[0].image: the image cannot be pinned: no digest is known for "b:1"`},
		"another digest":   {"x.yaml", pod("a:1@" + digest.FromBytes([]byte("x")).String()), "was judged as " + d.String()},
		"variable":         {"x.yaml", "services: {a: {image: 'a:${V:-1}'}}\n", "put together from variables"},
		"variable base":    {"Dockerfile", "ARG V=1\nFROM a:$V\n", "put together from variables"},
		"escapes":          {"x.yaml", pod(`"a\u003a1"`), "escapes"},
		"inline":           {"x.yaml", "services:\n  a:\n    build:\n      dockerfile_inline: |\n        FROM a:1\n", "inside a Compose file"},
		"split":            {"Dockerfile", "FROM a\\\n:1\n", "over several lines"},
		"used differently": {"Dockerfile", "ARG B=a:1\nFROM $B\nFROM ${B}0\n", `"a:10"`},
		"argument given":   {"Dockerfile", "ARG G=x\nFROM $G\n", "put together from variables"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := manifest.Read(tc.file, []byte(tc.text), manifest.Options{BuildArgs: map[string]string{"G": "a:1"}})
			if err != nil {
				t.Fatal(err)
			}
			pins := map[string]digest.Digest{"a:1": d}
			for _, i := range file.Images {
				if _, pinned := i.Pinned(); pinned {
					pins[i.Reference] = d
				}
			}
			got, changes, err := file.Pin(pins)
			if got != nil || changes != nil || !errors.Is(err, manifest.ErrPin) || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%q, %v, %v", got, changes, err)
			}
		})
	}
}

func seed(f *testing.F, add func(name string, data []byte)) {
	for _, name := range []string{"deployment.yaml", "cronjob.yaml", "list.json", "chart.yaml", "compose.yaml", "Dockerfile"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		add(name, data)
	}
	add("x.yaml", []byte(pod("&i a:1")+"---\nservices: {a: {image: b}}\n"))
	add("Dockerfile", []byte("ARG B=a:1\nFROM $B\nRUN <<E\nFROM b\nE\nCOPY --from=c / /\n"))
}

// FuzzRead: whatever the bytes are, an image that is found stands in the file and
// holds nothing that a line of a report could stumble over.
func FuzzRead(f *testing.F) {
	seed(f, func(name string, data []byte) { f.Add(name == "Dockerfile", data) })
	f.Fuzz(func(t *testing.T, dockerfile bool, data []byte) {
		name := "x.yaml"
		if dockerfile {
			name = "Dockerfile"
		}
		file, err := manifest.Read(name, data, manifest.Options{})
		if err != nil && (file != nil) != errors.Is(err, manifest.ErrNoImages) {
			t.Fatalf("a file beside %v", err)
		}
		if err != nil {
			return
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		for _, i := range file.Images {
			if i.Reference == "" || strings.ContainsAny(i.Reference, " \t\r\n$\x00\x1b") || i.Line < 1 || i.Column < 1 || i.Line > lines && !bytes.ContainsAny(data, "\u0085\u2028\u2029") {
				t.Fatalf("%+v", i)
			}
			if (i.End == 0) == (i.Fixed == "") || i.End > 0 && string(data[i.Start:i.End]) != i.Reference {
				t.Fatalf("%+v does not stand in the file", i)
			}
		}
	})
}

// FuzzPin: a pinned file differs from the file in digests alone.
func FuzzPin(f *testing.F) {
	seed(f, func(name string, data []byte) { f.Add(name == "Dockerfile", data) })
	f.Fuzz(func(t *testing.T, dockerfile bool, data []byte) {
		name := "x.yaml"
		if dockerfile {
			name = "Dockerfile"
		}
		file, err := manifest.Read(name, data, manifest.Options{})
		if err != nil {
			return
		}
		pins := pinsOf(file)
		before := bytes.Clone(data)
		pinned, changes, err := file.Pin(pins)
		if !bytes.Equal(before, data) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, manifest.ErrPin) {
				t.Fatal(err)
			}
			return
		}
		if bytes.Contains(data, []byte("@sha")) {
			return // the law about bytes below counts digests
		}
		checkPinned(t, file, data, pinned, changes, pins)
	})
}
