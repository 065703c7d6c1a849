package kubernetes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hallmark-project/hallmark/verify/oci/registrytest"
)

var update = flag.Bool("update", false, "write docs/admission-kubectl.md anew")

const transcriptFile = "../../docs/admission-kubectl.md"

// transcript is what kubectl shows, command by command.
type transcript struct {
	t         testing.TB
	text      strings.Builder
	namespace string
	replace   *strings.Replacer // what differs from run to run
	back      *strings.Replacer
}

// title and say write prose.
func (s *transcript) say(format string, values ...any) {
	fmt.Fprintf(&s.text, "\n"+format+"\n", values...)
}

// run runs a command line as it will be printed, and wants its exit code. file, if
// any, is what -f - reads; it is printed before.
func (s *transcript) run(code int, file, line string) {
	s.t.Helper()
	fields := strings.Fields(s.back.Replace(line))
	stdout, stderr, got := kubectl(s.t, s.back.Replace(file), append([]string{"-n", s.namespace}, fields...)...)
	if got != code {
		s.t.Errorf("kubectl %s ended with %d, want %d\n%s%s", line, got, code, stdout, stderr)
	}
	s.text.WriteString("\n")
	if file != "" {
		fmt.Fprintf(&s.text, "```yaml\n%s```\n", file)
	}
	said := s.replace.Replace(stderr + stdout)
	fmt.Fprintf(&s.text, "```console\n$ kubectl %s\n%s```\n", line, plain.ReplaceAllString(said, ""))
}

// plain are the spaces at the ends of lines.
var plain = regexp.MustCompile(`(?m) +$`)

// TestKubectl holds docs/admission-kubectl.md to what kubectl prints.
func TestKubectl(t *testing.T) {
	t.Parallel()
	i := newImages(t)
	app := i.signed("team/app", "1.0")
	i.signed("team/app", "1.1")
	i.signed("team/sidecar", "1.0")
	moved := i.signed("team/moved", "1.0")
	pushed := i.unsigned("team/moved", "late")
	i.unsigned("team/app", "1.2-test")
	i.unsigned("tools/shell", "1.0")
	i.unsigned("legacy/billing", "7")
	own := namespace(t, "team-a")
	v := serve(t, i.policy(), settings{config: fmt.Sprintf(`exemptions:
  - name: billing
    namespaces: [%s]
    images: ["%s/legacy/**"]
    reason: moves to signed builds, ticket 123
    until: 2999-12-31
`, own, i.Host())})
	register(t, v.address, v.authority, nil, own)
	effective(t, own)
	s := &transcript{
		t: t, namespace: own,
		replace: strings.NewReplacer(i.Host(), "registry.example", own, "team-a", "https://"+v.address, "https://hallmark-verify.hallmark-system.svc:443",
			"dial tcp "+v.address, "dial tcp 10.96.14.3:443"),
		back: strings.NewReplacer("registry.example", i.Host()),
	}
	s.text.WriteString("# What developers see\n")
	s.say("The words of hallmark-verify's webhook as kubectl %s prints them, recorded at a real API server by\n`TestKubectl` in `e2e/kubernetes` (`-update` writes this page). The policy wants a signature by the\nrelease key for everything in `registry.example`.", kubernetesVersion)
	s.say("## Signed images")
	s.run(0, "", "run app --image=registry.example/team/app:1.0")
	s.run(0, "", "create deployment app --image=registry.example/team/app:1.0")
	s.run(0, "", "create cronjob nightly --image=registry.example/team/app:1.0 --schedule=@daily")
	s.say("## An image without a signature")
	s.run(1, "", "run test --image=registry.example/team/app:1.2-test")
	s.say("Which of an object's images it was, is said by the path of its field.")
	s.run(1, `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      initContainers: [{name: migrate, image: "registry.example/team/app:1.2-test"}]
      containers:
        - {name: shop, image: "registry.example/team/app:1.0"}
        - {name: sidecar, image: "registry.example/team/sidecar:1.0"}
      volumes: [{name: model, image: {reference: "registry.example/tools/shell:1.0"}}]
`, "apply -f -")
	s.say("A dry run says the same.")
	s.run(1, "", "run test --image=registry.example/team/app:1.2-test --dry-run=server")
	s.say("## An image that no rule is for")
	s.run(1, "", "run web --image=docker.io/library/nginx:1.29")
	s.say("## Changes")
	s.run(0, "", "set image deployment/app app=registry.example/team/app:1.1")
	s.run(1, "", "set image deployment/app app=registry.example/team/app:1.2-test")
	s.run(0, "", "scale deployment/app --replicas=5")
	s.say("## Ephemeral containers")
	s.run(1, "", "debug app --image=registry.example/tools/shell:1.0 --container=shell")
	s.run(0, "", "debug app --image=registry.example/team/sidecar:1.0 --container=sidecar")
	s.say("## A tag that was moved")
	i.Tag("team/moved", "1.0", pushed.Digest)
	s.say("Somebody pushed another image to `team/moved:1.0`. The digest that was signed still runs.")
	s.run(1, "", "run late --image=registry.example/team/moved:1.0")
	s.run(0, "", "run early --image=registry.example/team/moved@"+moved.Digest.String())
	s.say("## An exemption")
	s.run(0, "", "run billing --image=registry.example/legacy/billing:7")
	s.say("## The registry does not answer")
	hits := i.Inject(registrytest.Match{}, registrytest.Status(503))
	s.run(1, "", "run again --image=registry.example/team/app:1.1")
	s.say("What is asked for by a digest that was allowed shortly before needs no registry.")
	s.run(0, "", "run cached --image=registry.example/team/app@"+app.Digest.String())
	i.ClearFaults()
	s.say("## No replica of hallmark-verify answers")
	v.kill()
	s.run(1, "", "run down --image=registry.example/team/app:1.0")
	s.run(0, "", "delete pod app --wait=false")
	if hits.Count() == 0 {
		t.Error("the registry was not asked")
	}

	path := filepath.FromSlash(transcriptFile)
	if *update {
		if err := os.WriteFile(path, []byte(s.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if different := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(s.text.String(), "\n")); different != "" {
		t.Errorf("%s is out of date; run this test with -update:\n%s", transcriptFile, different)
	}
}
