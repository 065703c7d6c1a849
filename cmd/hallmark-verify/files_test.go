package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/policy/manifest"
	"github.com/hallmark-project/hallmark/policy/report"
	"github.com/hallmark-project/hallmark/verify"
	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
	"github.com/hallmark-project/hallmark/verify/verifytest"
)

// fileWorld is a registry with two signed images and a bare one, and a folder.
type fileWorld struct {
	*registrytest.Registry
	t              *testing.T
	dir, policy    string
	web, job, bare registrytest.Pushed
}

func newFileWorld(t *testing.T) *fileWorld {
	t.Helper()
	w := &fileWorld{Registry: registrytest.New(t), t: t, dir: t.TempDir()}
	key := verifytest.NewKey(t, "ecdsa-p256")
	push := func(name string) registrytest.Pushed {
		return w.PushImage("team/"+name, "1.0", map[string]string{"app": name})
	}
	w.web, w.job, w.bare = push("web"), push("job"), push("bare")
	for _, image := range []registrytest.Pushed{w.web, w.job} {
		w.Attach(image.Repository, image.Descriptor, registrytest.Artifact{
			Type: verifytest.BundleMediaType, Content: key.Signature(t, image.Digest).Raw, Embed: true,
			Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": verify.SignaturePredicateType},
		})
	}
	w.write("keys/release.pub", string(key.Trusted.PEM()))
	w.policy = w.write("keys/policy.yaml", `apiVersion: hallmark.dev/v1alpha1
kind: TrustPolicy
metadata: {name: test}
signers: {release: {keys: [{file: release.pub}]}}
rules: [{name: all, images: ["**"], require: {signatures: {from: [release]}}}]
`)
	return w
}

func (w *fileWorld) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *fileWorld) read(path string) string {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

// verify runs the program under the world's policy.
func (w *fileWorld) verify(stdin string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	return w.run(stdin, append([]string{"--policy", w.policy}, args...)...)
}

// run runs the program.
func (w *fileWorld) run(stdin string, args ...string) (code int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	a := &cli.App{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	code = run(w.t.Context(), a, args)
	return code, out.String(), errs.String()
}

func podOf(images ...string) string {
	text := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n"
	for i, image := range images {
		text += "    - name: c" + string(rune('a'+i)) + "\n      image: " + image + " # kept\n"
	}
	return text
}

// TestFilesEndToEnd: files are judged as images are, each image once, with file and
// line, and are pinned when all are allowed.
func TestFilesEndToEnd(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	pod := w.write("deploy/pod.yaml", podOf(w.web.TagRef(), w.job.TagRef(), w.web.TagRef()))
	compose := w.write("deploy/compose.yaml", "services:\r\n  a:\r\n    image: \""+w.web.TagRef()+"\"\r\n")
	docker := w.write("deploy/sub/Dockerfile", "FROM "+w.job.Name()+":1.0 AS x\nFROM scratch\nCOPY --from=x / /\n")
	w.write("deploy/values.yaml", "replicas: 3\n")
	w.write("deploy/service.yaml", "apiVersion: v1\nkind: Service\n")
	code, stdout, stderr := w.verify("", "-f", filepath.Join(w.dir, "deploy"), "--output", "json", "--pin")
	if code != cli.ExitAllow {
		t.Fatalf("%d\n%s\n%s", code, stdout, stderr)
	}
	var r report.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Images) != 2 || r.Images[0].Image != w.web.TagRef() || len(r.Images[0].Locations) != 3 || len(r.Images[1].Locations) != 2 {
		t.Fatalf("%+v", r.Images)
	}
	if l := r.Images[0].Locations[1]; l.File != pod || l.Line != 8 || l.Column != 14 || l.Path != "Pod/p spec.containers[0].image" {
		t.Errorf("the place is %+v", l)
	}
	if !strings.Contains(stderr, "passed over: "+filepath.Join(w.dir, "deploy", "values.yaml")) || !strings.Contains(stderr, "5 references pinned") {
		t.Errorf("%s", stderr)
	}
	web, job := w.web.TagRef()+"@"+w.web.Digest.String(), w.job.TagRef()+"@"+w.job.Digest.String()
	for path, want := range map[string]string{
		pod: podOf(web, job, web), compose: "services:\r\n  a:\r\n    image: \"" + web + "\"\r\n", docker: "FROM " + job + " AS x\nFROM scratch\nCOPY --from=x / /\n",
	} {
		if got := w.read(path); got != want {
			t.Errorf("%s is\n%s", path, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if code, _, stderr := w.verify("", "-f", filepath.Join(w.dir, "deploy"), "--pin"); code != cli.ExitAllow || !strings.Contains(stderr, "0 references pinned") {
		t.Errorf("pinning again: %d\n%s", code, stderr)
	}
	if code, _, stderr := w.verify("", "-f", w.write("one.yaml", podOf(w.web.TagRef())), "--pin"); code != cli.ExitAllow || !strings.Contains(stderr, ": 1 reference pinned") {
		t.Errorf("pinning one: %d\n%s", code, stderr)
	}
}

// TestPinNothingUnlessAllowed: one image that is refused, or cannot be checked, and no
// file changes.
func TestPinNothingUnlessAllowed(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	for name, tc := range map[string]struct {
		image string
		code  int
	}{
		"denied":       {w.bare.TagRef(), cli.ExitDeny},
		"unreadable":   {"UPPER/case", cli.ExitUndetermined},
		"undetermined": {"127.0.0.1:1/app:1", cli.ExitUndetermined},
	} {
		good, bad := podOf(w.web.TagRef()), podOf(w.web.TagRef(), tc.image)
		one, two := w.write(name+"/one.yaml", good), w.write(name+"/two.yaml", bad)
		code, stdout, stderr := w.verify("", "-f", one, "-f", two, "--pin")
		if code != tc.code || w.read(one) != good || w.read(two) != bad {
			t.Errorf("%s: %d\n%s\n%s", name, code, stdout, stderr)
		}
		if !strings.Contains(stdout, two+":10 Pod/p spec.containers[1].image") {
			t.Errorf("%s: no place:\n%s", name, stdout)
		}
	}
	// What cannot be pinned in one file leaves the other alone, too.
	good := podOf(w.web.TagRef())
	one, two := w.write("last/one.yaml", good), w.write("last/two.yaml", "services: {a: {image: '"+w.web.Name()+":${V:-1.0}'}}\n")
	if code, _, stderr := w.verify("", "-f", one, "-f", two, "--pin"); code != cli.ExitUndetermined || w.read(one) != good || !strings.Contains(stderr, "put together from variables") {
		t.Errorf("%d\n%s", code, stderr)
	}
}

// TestFilesCL01: an empty or unreadable set of files is never success.
func TestFilesCL01(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	good := w.write("good/pod.yaml", podOf(w.web.TagRef()))
	empty := filepath.Join(w.dir, "empty")
	if err := os.Mkdir(empty, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args  []string
		stdin string
		code  int
		says  string
	}{
		"CL-01 no such file":             {[]string{"-f", filepath.Join(w.dir, "none.yaml")}, "", cli.ExitUndetermined, "none.yaml: no such file or directory\nhallmark-verify: hint: -f names"},
		"CL-01 empty folder":             {[]string{"-f", empty}, "", cli.ExitUndetermined, "no file asks for an image"},
		"CL-01 a folder of others":       {[]string{"-f", filepath.Dir(w.write("others/values.yaml", "a: b\n"))}, "", cli.ExitUndetermined, "no file asks for an image"},
		"CL-01 empty standard input":     {[]string{"-f", "-"}, "", cli.ExitUndetermined, "holds no Kubernetes object"},
		"CL-01 no image":                 {[]string{"-f", "-"}, "apiVersion: v1\nkind: Service\n", cli.ExitUndetermined, "asks for no image"},
		"CL-01 no image beside one":      {[]string{"-f", good, "-f", "-"}, "apiVersion: v1\nkind: Service\n", cli.ExitUndetermined, "asks for no image"},
		"CL-01 a template":               {[]string{"-f", "-"}, podOf(`"{{ .Values.image }}"`), cli.ExitUndetermined, "hint: render it first"},
		"CL-01 one bad file of a folder": {[]string{"-f", filepath.Dir(w.write("mixed/bad.yaml", "a: b\n---\n"+podOf("7")))}, "", cli.ExitUndetermined, "bad.yaml:10"},
		"CL-02 denied beside allowed":    {[]string{"-f", good, w.bare.TagRef()}, "", cli.ExitDeny, ""},
		"CL-02 allowed beside denied":    {[]string{"-f", "-", w.web.TagRef()}, podOf(w.bare.TagRef()), cli.ExitDeny, ""},
		"CL-07 pin without a file":       {[]string{"--pin", w.web.TagRef()}, "", cli.ExitUsage, "are for --file"},
		"CL-07 format without a file":    {[]string{"--file-format", "compose", w.web.TagRef()}, "", cli.ExitUsage, "are for --file"},
		"CL-07 argument without a file":  {[]string{"--build-arg", "a=b", w.web.TagRef()}, "", cli.ExitUsage, "are for --file"},
		"an unknown format":              {[]string{"-f", good, "--file-format", "helm"}, "", cli.ExitUsage, "kubernetes, compose or dockerfile"},
		"a bad argument":                 {[]string{"-f", good, "--build-arg", "a"}, "", cli.ExitUsage, "NAME=VALUE"},
		"a bad variable":                 {[]string{"-f", good, "--variable", "=a"}, "", cli.ExitUsage, "NAME=VALUE"},
		"a bad path":                     {[]string{"-f", good, "--image-path", "Farm"}, "", cli.ExitUsage, "KIND.GROUP=PATH"},
		"standard input twice":           {[]string{"-f", "-", "-f", "-"}, "", cli.ExitUsage, "twice"},
		"two texts on standard output":   {[]string{"-f", "-", "--pin"}, podOf(w.web.TagRef()), cli.ExitUsage, "--output-file"},
		"as":                             {[]string{"-f", good, "--as", "registry.example/app", "oci-dir:x"}, "", cli.ExitUndetermined, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := w.verify(tc.stdin, tc.args...)
			if code != tc.code || !strings.Contains(stderr, tc.says) {
				t.Errorf("%d\n%s\n%s", code, stdout, stderr)
			}
		})
	}
}

// TestFilesNameRegistries: a text of a file that looks like a path on this machine is an
// image of a registry; nothing local can stand in for it.
func TestFilesNameRegistries(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	for _, image := range []string{"oci-dir:layout", "oci-archive:image.tar"} {
		code, stdout, stderr := w.verify(podOf(image), "-f", "-", "--offline", "--output", "json")
		var r report.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		if code == cli.ExitAllow || len(r.Images) != 1 || !strings.HasPrefix(r.Images[0].Name, "docker.io/library/oci-") || r.Images[0].Verdict == policy.Allow {
			t.Errorf("%s: %d\n%s", image, code, stdout)
		}
	}
}

// TestFilesAD17: odd references are never an allowance; the report or the fault names
// the line.
func TestFilesAD17(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	d := w.web.Digest.String()
	for name, image := range map[string]string{
		"AD-17 empty": `""`, "AD-17 space": `"` + w.web.TagRef() + ` "`, "AD-17 newline": `"` + w.web.TagRef() + `\n"`, "AD-17 unicode": `"` + w.web.TagRef() + `\u0456"`,
		"AD-17 10 kB": strings.Repeat("a", 10_000), "AD-17 two at": w.web.Ref() + "@" + d, "AD-17 upper case": strings.Replace(w.web.TagRef(), "team", "Team", 1),
		"AD-17 IPv6": `"[::1]:99999/a"`, "AD-17 URL": "https://" + w.web.TagRef(), "AD-17 short digest": w.web.Name() + "@" + d[:20],
	} {
		code, stdout, stderr := w.verify(podOf(w.job.TagRef(), image), "-f", "-")
		if code == cli.ExitAllow || !strings.Contains(stdout+stderr, "-:10") || len(stderr) > 2000 {
			t.Errorf("%s: %d\n%s\n%s", name, code, stdout, stderr)
		}
	}
	// Beside a tag it is the digest that counts.
	both := w.bare.Name() + ":1.0@" + d
	if code, stdout, _ := w.verify(podOf(both), "-f", "-"); code == cli.ExitAllow {
		t.Errorf("AD-17 the tag of one image and the digest of another:\n%s", stdout)
	}
	if code, stdout, stderr := w.verify(podOf(w.web.TagRef()+"@"+d), "-f", "-"); code != cli.ExitAllow {
		t.Errorf("AD-17 tag and digest: %d\n%s\n%s", code, stdout, stderr)
	}
}

// TestFilesCL04: names of files and their content start no line of their own.
func TestFilesCL04(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	const evil = "a\n::set-output name=x::y\x1b[31m.yaml"
	for name, content := range map[string]string{
		"CL-04 unreadable": "x: [\n", "CL-04 no manifest": "x: y\n", "CL-04 denied": podOf(w.bare.TagRef()),
		"CL-04 an odd name": "apiVersion: v1\nkind: Pod\nmetadata: {name: \"p\\n::error::x\"}\nspec: {containers: [{image: 7}]}\n",
		"CL-04 an odd key":  "services:\n  \"a\\n::error::x\": {image: 7}\n",
		"CL-04 a warning":   podOf(w.bare.TagRef()) + "---\napiVersion: x/v1\nkind: \"F\\n::error::x\"\nimage: y\n",
	} {
		dir := strings.ReplaceAll(name, " ", "-")
		w.write(dir+"/"+evil, content)
		for _, output := range []string{"text", "markdown", "json"} {
			code, stdout, stderr := w.verify("", "-f", filepath.Join(w.dir, dir), "--output", output)
			if code == cli.ExitAllow || strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("%s: %d\n%q", name, code, stdout+stderr)
			}
			for line := range strings.Lines(stdout + stderr) {
				if strings.HasPrefix(strings.TrimSpace(line), "::") {
					t.Errorf("%s: the line %q", name, line)
				}
			}
		}
	}
}

// TestPinStandardInput: the pinned text is all that standard output gets.
func TestPinStandardInput(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	file := filepath.Join(w.dir, "report.json")
	code, stdout, stderr := w.verify(podOf(w.web.TagRef()), "-f", "-", "--pin", "--output", "json", "--output-file", file)
	if code != cli.ExitAllow || stdout != podOf(w.web.TagRef()+"@"+w.web.Digest.String()) {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if !strings.Contains(w.read(file), `"file": "-"`) {
		t.Errorf("%s", w.read(file))
	}
	code, stdout, _ = w.verify(podOf(w.bare.TagRef()), "-f", "-", "--pin", "--output-file", file)
	if code != cli.ExitDeny || stdout != "" {
		t.Errorf("%d: a refused file is printed:\n%s", code, stdout)
	}
}

// TestFileOptions: values and paths that the files do not hold.
func TestFileOptions(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	for name, tc := range map[string]struct {
		text string
		args []string
	}{
		"build argument": {"ARG V\nFROM " + w.web.Name() + ":$V\n", []string{"--build-arg", "V=1.0"}},
		"variable":       {"services: {a: {image: '" + w.web.Name() + ":${V}'}}\n", []string{"--variable", "V=1.0"}},
		"custom":         {"apiVersion: example.com/v1\nkind: Farm\nspec: {cows: [{image: '" + w.web.TagRef() + "'}]}\n", []string{"--image-path", "Farm.example.com=spec.cows[*].image"}},
		"format":         {"# no FROM before this\nfrom " + w.web.TagRef() + "\n", []string{"--file-format", "dockerfile"}},
	} {
		if code, stdout, stderr := w.verify(tc.text, append(tc.args, "-f", "-")...); code != cli.ExitAllow {
			t.Errorf("%s: %d\n%s\n%s", name, code, stdout, stderr)
		}
	}
}

// TestPinThroughLinks: a link stays one, and a file that changed meanwhile is left.
func TestPinThroughLinks(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	target, link := w.write("real/pod.yaml", podOf(w.web.TagRef())), filepath.Join(w.dir, "link.yaml")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := w.verify("", "-f", link, "--pin"); code != cli.ExitAllow || !strings.Contains(w.read(target), w.web.Digest.String()) {
		t.Errorf("%d\n%s", code, stderr)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	changed := manifestFile{File: &manifest.File{Name: w.write("changed.yaml", podOf(w.web.TagRef()))}, data: []byte("old")}
	if err := changed.write(&cli.App{}, []byte("new")); err == nil || !strings.Contains(err.Error(), "changed while") {
		t.Errorf("%v", err)
	}
}

// TestNothingHidesInAFolder: a file that kubectl applies with its folder is read, or
// named as not read; a link to a file is never allowed unread.
func TestNothingHidesInAFolder(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	folder := filepath.Join(w.dir, "deploy")
	w.write("deploy/pod.yaml", podOf(w.web.TagRef()))
	w.write("deploy/.more/pod.yaml", podOf(w.bare.TagRef()))
	w.write("deploy/.git/pod.yaml", podOf(w.bare.TagRef()))
	code, _, stderr := w.verify("", "-f", folder)
	if code != cli.ExitAllow || !strings.Contains(stderr, "deploy/.more: a hidden folder") || strings.Contains(stderr, ".git") {
		t.Errorf("a hidden folder: %d %s", code, stderr)
	}
	if code, _, stderr = w.verify("", "-f", folder, "-f", filepath.Join(folder, ".more")); code != cli.ExitDeny || strings.Contains(stderr, "passed over") {
		t.Errorf("a hidden folder by its name: %d %s", code, stderr)
	}
	link := filepath.Join(folder, "evil.yaml")
	if err := os.Symlink(w.write("elsewhere.txt", podOf(w.bare.TagRef())), link); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr = w.verify("", "-f", folder); code != cli.ExitUndetermined || !strings.Contains(stderr, "evil.yaml is a symbolic link") {
		t.Errorf("a link: %d %s", code, stderr)
	}
	if code, _, stderr = w.verify("", "-f", folder, "-f", link); code != cli.ExitDeny {
		t.Errorf("a link by its name: %d %s", code, stderr)
	}
}
