package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/cmd/internal/cli"
)

// runWith runs one command line with the given environment and standard input.
func runWith(t *testing.T, env map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{App: cli.App{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: func(name string) string { return env[name] }}}
	a.lookupEnv = func(name string) (string, bool) { value, set := env[name]; return value, set }
	code = run(t.Context(), a, args)
	return code, out.String(), errs.String()
}

// TestPasswordSources: KE-17. No terminal and no source is wrong usage at once; the
// line break of a file is no part of the password; set and empty is empty.
func TestPasswordSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	prefix := filepath.Join(dir, "k")
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte("\xef\xbb\xbfsecret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--out", prefix); code != cli.ExitUsage || !strings.Contains(errs, "hint: set HALLMARK_PASSWORD") {
		t.Errorf("KE-17 no source: %d %s", code, errs)
	}
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--out", prefix, "--password-file", file); code != cli.ExitAllow {
		t.Fatalf("KE-17 file: %d %s", code, errs)
	}
	for name, source := range map[string]struct {
		env   map[string]string
		stdin string
		flags []string
		want  int
	}{
		"file":              {nil, "", []string{"--password-file", file}, cli.ExitAllow},
		"standard input":    {nil, "secret\n", []string{"--password-file", "-"}, cli.ExitAllow},
		"HALLMARK_PASSWORD": {map[string]string{"HALLMARK_PASSWORD": "secret", "COSIGN_PASSWORD": "wrong"}, "", nil, cli.ExitAllow},
		"COSIGN_PASSWORD":   {map[string]string{"COSIGN_PASSWORD": "secret"}, "", nil, cli.ExitAllow},
		"set and empty":     {map[string]string{"HALLMARK_PASSWORD": ""}, "", nil, cli.ExitDeny},
		"two line breaks":   {nil, "secret\n\n", []string{"--password-file", "-"}, cli.ExitDeny},
		"none":              {nil, "secret\n", nil, cli.ExitUsage},
	} {
		code, out, errs := runWith(t, source.env, source.stdin, append([]string{"key", "public", "--key", prefix + ".key"}, source.flags...)...)
		if code != source.want {
			t.Errorf("KE-17 %s: exit code %d, want %d: %s", name, code, source.want, errs)
		}
		if code != cli.ExitAllow && !strings.Contains(errs, "hallmark: hint: ") {
			t.Errorf("KE-17 %s: no hint: %s", name, errs)
		}
		if strings.Contains(out+errs, "secret") {
			t.Errorf("KE-03 %s: the password stands in the output", name)
		}
	}
}

// TestPasswordsLeaveTheEnvironment: KE-03. No program that Hallmark starts inherits
// a password, and Hallmark itself still knows it.
func TestPasswordsLeaveTheEnvironment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HALLMARK_PASSWORD": "marker", "COSIGN_PASSWORD": "", "PATH": "/bin"}
	lookup := withoutPasswords(
		func(name string) (string, bool) { value, set := env[name]; return value, set },
		func(name string) error { delete(env, name); return nil },
	)
	if len(env) != 1 || env["PATH"] != "/bin" {
		t.Errorf("KE-03 the environment holds %v", env)
	}
	for name, want := range map[string]struct {
		value string
		set   bool
	}{"HALLMARK_PASSWORD": {"marker", true}, "COSIGN_PASSWORD": {"", true}, "PATH": {"/bin", true}, "HOME": {"", false}} {
		if value, set := lookup(name); value != want.value || set != want.set {
			t.Errorf("KE-03 %s is %q, %v", name, value, set)
		}
	}
}

// TestKeyServicesAreNoPaths: KE-13. Not even where a file has that name.
func TestKeyServicesAreNoPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"awskms:///alias/x", "kms:x", "http://127.0.0.1/key", "https://example.com/key", "gcpkms://projects/x", "k8s://ns/secret", "pkcs11:token=x", "a.b://c", "testdata/x://y"} {
		for _, args := range [][]string{{"sign", "example.com/app", "--key", name}, {"verify", "example.com/app", "--key", name}, {"key", "public", "--key", name}, {"key", "inspect", name}} {
			code, _, errs := runWith(t, nil, "", args...)
			if code != cli.ExitUsage || !strings.Contains(errs, "key service or URL") {
				t.Errorf("KE-13 %v: %d %s", args, code, errs)
			}
		}
	}
}

func TestKeyMistakesHaveHints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	prefix := filepath.Join(dir, "k")
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--format", "pkcs8", "--no-password", "--out", prefix); code != cli.ExitAllow {
		t.Fatal(errs)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		hint string
	}{
		"exists":           {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--out", prefix}, cli.ExitDeny, "--force"},
		"cosign unsealed":  {[]string{"key", "generate", "--no-password", "--out", prefix + "2"}, cli.ExitUsage, "--format pkcs8"},
		"algorithm":        {[]string{"key", "generate", "--algorithm", "dsa", "--format", "pkcs8", "--no-password", "--out", prefix + "2"}, cli.ExitUsage, "ecdsa-p256"},
		"public for sign":  {[]string{"sign", "127.0.0.1:1/app", "--key", prefix + ".pub"}, cli.ExitDeny, "private key"},
		"private to check": {[]string{"verify", "127.0.0.1:1/app", "--key", prefix + ".key"}, cli.ExitDeny, "key public"},
		"format":           {[]string{"key", "generate", "--format", "jwk", "--out", prefix + "2"}, cli.ExitUsage, "pkcs8"},
		"two wishes":       {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--password-file", empty, "--out", prefix + "2"}, cli.ExitUsage, "leave one"},
		"empty password":   {[]string{"key", "generate", "--format", "pkcs8", "--password-file", empty, "--out", prefix + "2"}, cli.ExitUsage, "--no-password"},
		"no folder":        {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--out", filepath.Join(dir, "no", "k")}, cli.ExitDeny, "folder must exist"},
		"two keys":         {[]string{"key", "public", prefix + ".key", "--key", prefix + ".key"}, cli.ExitUsage, "leave one"},
		"public to derive": {[]string{"key", "public", prefix + ".pub"}, cli.ExitDeny, "private key"},
		"a folder":         {[]string{"key", "inspect", dir}, cli.ExitDeny, "check the path"},
		"output":           {[]string{"key", "inspect", prefix + ".pub", "--output", "yaml"}, cli.ExitUsage, "text or json"},
		"no key":           {[]string{"key", "public"}, cli.ExitUsage, "--key"},
		"missing":          {[]string{"key", "inspect", prefix + ".nosuch"}, cli.ExitDeny, "key generate"},
		"empty":            {[]string{"key", "inspect", empty}, cli.ExitDeny, "one PEM block"},
		"unknown flag":     {[]string{"key", "generate", "--ouput", "x"}, cli.ExitUsage, "--help"},
		"too many words":   {[]string{"key", "generate", "x"}, cli.ExitUsage, "--help"},
	} {
		code, _, errs := runWith(t, nil, "", test.args...)
		if code != test.code && !(name == "private to check" && code != cli.ExitAllow) {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, test.code, errs)
		}
		if !strings.Contains(errs, test.hint) || strings.Count(errs, "hallmark: error:") != 1 {
			t.Errorf("%s: %s", name, errs)
		}
	}
}

func TestUnknownCommandIsUsage(t *testing.T) {
	t.Parallel()
	code, _, errs := runWith(t, nil, "", "verfy", "example.com/app")
	if code != cli.ExitUsage || !strings.Contains(errs, "did you mean verify") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := runWith(t, nil, "", "zzz"); code != cli.ExitUsage || !strings.Contains(errs, "--help") {
		t.Errorf("%d %s", code, errs)
	}
}
