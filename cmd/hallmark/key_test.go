package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runWith runs one command line with the given environment and standard input.
func runWith(t *testing.T, env map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, getenv: func(name string) string { return env[name] }}
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
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--out", prefix); code != exitUsage || !strings.Contains(errs, "hint: set HALLMARK_PASSWORD") {
		t.Errorf("KE-17 no source: %d %s", code, errs)
	}
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--out", prefix, "--password-file", file); code != exitAllow {
		t.Fatalf("KE-17 file: %d %s", code, errs)
	}
	for name, source := range map[string]struct {
		env   map[string]string
		stdin string
		flags []string
		want  int
	}{
		"file":              {nil, "", []string{"--password-file", file}, exitAllow},
		"standard input":    {nil, "secret\n", []string{"--password-file", "-"}, exitAllow},
		"HALLMARK_PASSWORD": {map[string]string{"HALLMARK_PASSWORD": "secret", "COSIGN_PASSWORD": "wrong"}, "", nil, exitAllow},
		"COSIGN_PASSWORD":   {map[string]string{"COSIGN_PASSWORD": "secret"}, "", nil, exitAllow},
		"set and empty":     {map[string]string{"HALLMARK_PASSWORD": ""}, "", nil, exitDeny},
		"two line breaks":   {nil, "secret\n\n", []string{"--password-file", "-"}, exitDeny},
		"none":              {nil, "secret\n", nil, exitUsage},
	} {
		code, out, errs := runWith(t, source.env, source.stdin, append([]string{"key", "public", "--key", prefix + ".key"}, source.flags...)...)
		if code != source.want {
			t.Errorf("KE-17 %s: exit code %d, want %d: %s", name, code, source.want, errs)
		}
		if code != exitAllow && !strings.Contains(errs, "hallmark: hint: ") {
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
			if code != exitUsage || !strings.Contains(errs, "key service or URL") {
				t.Errorf("KE-13 %v: %d %s", args, code, errs)
			}
		}
	}
}

func TestKeyMistakesHaveHints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	prefix := filepath.Join(dir, "k")
	if code, _, errs := runWith(t, nil, "", "key", "generate", "--format", "pkcs8", "--no-password", "--out", prefix); code != exitAllow {
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
		"exists":           {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--out", prefix}, exitDeny, "--force"},
		"cosign unsealed":  {[]string{"key", "generate", "--no-password", "--out", prefix + "2"}, exitUsage, "--format pkcs8"},
		"algorithm":        {[]string{"key", "generate", "--algorithm", "dsa", "--format", "pkcs8", "--no-password", "--out", prefix + "2"}, exitUsage, "ecdsa-p256"},
		"public for sign":  {[]string{"sign", "127.0.0.1:1/app", "--key", prefix + ".pub"}, exitDeny, "private key"},
		"private to check": {[]string{"verify", "127.0.0.1:1/app", "--key", prefix + ".key"}, exitDeny, "key public"},
		"format":           {[]string{"key", "generate", "--format", "jwk", "--out", prefix + "2"}, exitUsage, "pkcs8"},
		"two wishes":       {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--password-file", empty, "--out", prefix + "2"}, exitUsage, "leave one"},
		"empty password":   {[]string{"key", "generate", "--format", "pkcs8", "--password-file", empty, "--out", prefix + "2"}, exitUsage, "--no-password"},
		"no folder":        {[]string{"key", "generate", "--format", "pkcs8", "--no-password", "--out", filepath.Join(dir, "no", "k")}, exitDeny, "folder must exist"},
		"two keys":         {[]string{"key", "public", prefix + ".key", "--key", prefix + ".key"}, exitUsage, "leave one"},
		"public to derive": {[]string{"key", "public", prefix + ".pub"}, exitDeny, "private key"},
		"a folder":         {[]string{"key", "inspect", dir}, exitDeny, "check the path"},
		"output":           {[]string{"key", "inspect", prefix + ".pub", "--output", "yaml"}, exitUsage, "text or json"},
		"no key":           {[]string{"key", "public"}, exitUsage, "--key"},
		"missing":          {[]string{"key", "inspect", prefix + ".nosuch"}, exitDeny, "key generate"},
		"empty":            {[]string{"key", "inspect", empty}, exitDeny, "one PEM block"},
		"unknown flag":     {[]string{"key", "generate", "--ouput", "x"}, exitUsage, "--help"},
		"too many words":   {[]string{"key", "generate", "x"}, exitUsage, "--help"},
	} {
		code, _, errs := runWith(t, nil, "", test.args...)
		if code != test.code && !(name == "private to check" && code != exitAllow) {
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
	if code != exitUsage || !strings.Contains(errs, "did you mean verify") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := runWith(t, nil, "", "zzz"); code != exitUsage || !strings.Contains(errs, "--help") {
		t.Errorf("%d %s", code, errs)
	}
}
