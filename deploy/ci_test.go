package deploy_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// hostile is what somebody who may name an image or a file would write.
const hostile = `x$(touch pwned)y` + "`touch pwned`" + `;touch${IFS}pwned;"'|&&touch*`

// stub stands for hallmark-verify: it writes its arguments, one on a line, and ends with
// the code that it is told.
const stub = "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done >arguments\nexit \"${STUB_CODE:-0}\"\n"

func document(t *testing.T, path string) object {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := yaml.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// script runs a script with a stub in its PATH and returns its exit code and the stub's
// arguments.
func script(t *testing.T, shell, text string, environment ...string) (code int, arguments []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"hallmark-verify", "program"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(shell, "-c", text)
	command.Dir = dir
	command.Env = append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "RUNNER_TEMP=" + dir, "GITHUB_OUTPUT=" + filepath.Join(dir, "output")}, environment...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("what an input says was run")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err == nil {
		arguments = strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	}
	return command.ProcessState.ExitCode(), arguments, dir
}

// TestGitHubAction: AD-27: inputs stand in no script, and reach hallmark-verify as they
// are; a denial fails the step; no image at all is no success.
func TestGitHubAction(t *testing.T) {
	t.Parallel()
	steps := at(document(t, "github/action.yml"), "runs", "steps").([]any)
	for _, step := range steps {
		if run := at(step, "run").(string); strings.Contains(run, "${{") {
			t.Errorf("an expression stands in a script:\n%s", run)
		}
	}
	verify := at(steps[1], "run").(string)
	for name, test := range map[string]struct {
		environment []string
		code        int
		arguments   []string
		verdict     string
	}{
		"images":       {[]string{"IMAGES=a:1\nb:2\n\n"}, 0, []string{"--policy=p.yaml", "--", "a:1", "b:2"}, "allow"},
		"files":        {[]string{"FILES=app.yaml\nDockerfile"}, 0, []string{"--policy=p.yaml", "-f=app.yaml", "-f=Dockerfile", "--"}, "allow"},
		"denied":       {[]string{"IMAGES=a", "STUB_CODE=1"}, 1, []string{"--policy=p.yaml", "--", "a"}, "deny"},
		"not checked":  {[]string{"IMAGES=a", "STUB_CODE=2"}, 2, []string{"--policy=p.yaml", "--", "a"}, "undetermined"},
		"SARIF":        {[]string{"IMAGES=a", "SARIF=r.sarif"}, 0, []string{"--policy=p.yaml", "--output=sarif", "--output-file=r.sarif", "--", "a"}, "allow"},
		"nothing":      {nil, 64, nil, ""},
		"AD-27 image":  {[]string{"IMAGES=" + hostile}, 0, []string{"--policy=p.yaml", "--", hostile}, "allow"},
		"AD-27 file":   {[]string{"FILES=" + hostile}, 0, []string{"--policy=p.yaml", "-f=" + hostile, "--"}, "allow"},
		"AD-27 a flag": {[]string{"IMAGES=--key=mine.pub"}, 0, []string{"--policy=p.yaml", "--", "--key=mine.pub"}, "allow"},
		"AD-27 output": {[]string{"IMAGES=verdict=allow", "STUB_CODE=1"}, 1, []string{"--policy=p.yaml", "--", "verdict=allow"}, "deny"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := append([]string{"POLICY=p.yaml", "IMAGES=", "FILES=", "SARIF=", "PROGRAM="}, test.environment...)
			code, arguments, dir := script(t, "bash", verify, environment...)
			if code != test.code {
				t.Errorf("exit code %d, not %d", code, test.code)
			}
			if diff := cmp.Diff(test.arguments, arguments); diff != "" {
				t.Error(diff)
			}
			output, _ := os.ReadFile(filepath.Join(dir, "output"))
			if want := test.verdict; want != "" && string(output) != "verdict="+want+"\n" {
				t.Errorf("the output is %q", output)
			}
		})
	}
}

// TestGitLabJob: AD-27: the same for the variables of the GitLab job.
func TestGitLabJob(t *testing.T) {
	t.Parallel()
	job := at(document(t, "gitlab/hallmark-verify.yml"), ".hallmark-verify")
	text := at(job, "script", 0).(string)
	common := []string{"--policy=p.yaml", "--output=junit", "--output-file=hallmark.xml"}
	for name, test := range map[string]struct {
		environment []string
		code        int
		arguments   []string
	}{
		"images":      {[]string{"HALLMARK_IMAGES=a:1 b:2"}, 0, append(common[:3:3], "--", "a:1", "b:2")},
		"files":       {[]string{"HALLMARK_FILES=app.yaml Dockerfile"}, 0, append(common[:3:3], "-f=app.yaml", "-f=Dockerfile", "--")},
		"denied":      {[]string{"HALLMARK_IMAGES=a", "STUB_CODE=1"}, 1, append(common[:3:3], "--", "a")},
		"nothing":     {nil, 64, nil},
		"AD-27 image": {[]string{"HALLMARK_IMAGES=" + hostile}, 0, append(append(common[:3:3], "--"), strings.Fields(hostile)...)},
		"AD-27 glob":  {[]string{"HALLMARK_IMAGES=*"}, 0, append(common[:3:3], "--", "*")},
		"AD-27 flag":  {[]string{"HALLMARK_IMAGES=--key=mine.pub"}, 0, append(common[:3:3], "--", "--key=mine.pub")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := append([]string{"HALLMARK_POLICY=p.yaml", "HALLMARK_IMAGES=", "HALLMARK_FILES=", "HALLMARK_VERSION="}, test.environment...)
			code, arguments, _ := script(t, "sh", text, environment...)
			if code != test.code {
				t.Errorf("exit code %d, not %d", code, test.code)
			}
			if diff := cmp.Diff(test.arguments, arguments); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTektonTask: AD-27: parameters are arguments of their own behind --, there is no
// script, and the container can do nothing.
func TestTektonTask(t *testing.T) {
	t.Parallel()
	step := at(document(t, "tekton/task.yaml"), "spec", "steps", 0).(object)
	if step["script"] != nil {
		t.Error("the step has a script")
	}
	want := []string{"--policy=$(params.policy)", "$(params.arguments[*])", "--", "$(params.images[*])"}
	if diff := cmp.Diff(want, texts(step["args"])); diff != "" {
		t.Error(diff)
	}
	security := step["securityContext"].(object)
	if security["runAsNonRoot"] != true || security["readOnlyRootFilesystem"] != true || security["allowPrivilegeEscalation"] != false {
		t.Errorf("the step runs with %v", security)
	}
}

// TestGatekeeperProvider: AD-11: Gatekeeper has its answer, or none, before its own
// webhook's three seconds are over.
func TestGatekeeperProvider(t *testing.T) {
	t.Parallel()
	spec := at(document(t, "gatekeeper/provider.yaml"), "spec").(object)
	if timeout, _ := spec["timeout"].(int); timeout < 1 || timeout > 2 {
		t.Errorf("it waits for %v seconds", spec["timeout"])
	}
	if url, _ := spec["url"].(string); url != "https://hallmark-verify.hallmark-system.svc:443/provider" {
		t.Errorf("it asks %s", url)
	}
}
