// Package suite tests policies: cases of recorded evidence, an image and a time, with
// the verdict that is expected. It uses no network, and a case takes milliseconds.
//
//	cases, err := suite.Load("policy/tests")
//	results := (&suite.Runner{Policy: load}).Run(ctx, cases)
//	suite.WriteText(os.Stdout, results, false)
//
// A file of cases is YAML:
//
//	apiVersion: hallmark.dev/v1alpha1
//	kind: PolicyTest
//	policy: ../policy.yaml          # relative to this file
//	cases:
//	  - name: a release may run
//	    record: app.record          # of hallmark verify --record
//	    image: registry.example/app:1.2
//	    expect: {verdict: allow, rule: production}
//	  - name: it may not once the key has ended
//	    record: app.record
//	    time: 2027-01-01T00:00:00Z
//	    expect: {verdict: deny, reason: KEY_EXPIRED, demands: {signatures: KEY_EXPIRED, provenance: allow}}
//
// Non-goals: deciding whether a policy is good (package lint looks for weak spots).
package suite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify"
)

// Kind is the kind of a file of cases.
const Kind = "PolicyTest"

// Limits of a folder of cases.
const (
	maxFileBytes = 1 << 20 // a thousand cases have 200 kB
	maxFiles     = 10_000  // what a walk looks at: a folder given by mistake ends soon
	maxCases     = 10_000
)

// Errors of this package.
var (
	// ErrInvalid: a file of cases cannot be read; correct it.
	ErrInvalid = errors.New("invalid policy test")
	// ErrNoCase: there is nothing to test. It is never a success.
	ErrNoCase = errors.New("no test case")
)

// file is one file of cases.
type file struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Policy     string `yaml:"policy,omitempty"`
	Cases      []Case `yaml:"cases"`
}

// Case is one test.
type Case struct {
	Name string `yaml:"name"`
	// Policy is the policy's file, in place of the one for all cases of the file.
	Policy string `yaml:"policy,omitempty"`
	// Record is the file of recorded evidence.
	Record string `yaml:"record"`
	// Image is which image of the record; empty where it has only one.
	Image string `yaml:"image,omitempty"`
	// Time is when it is judged; zero is when it was recorded.
	Time     time.Time `yaml:"time,omitempty"`
	Platform string    `yaml:"platform,omitempty"`
	Expect   Expect    `yaml:"expect"`

	// File is the file that the case stands in.
	File string `yaml:"-"`
}

// Expect is what a case wants. Only what is written is compared; the verdict always is.
type Expect struct {
	Verdict string        `yaml:"verdict"`
	Reason  verify.Reason `yaml:"reason,omitempty"` // the first of a verdict that is not allow
	Rule    string        `yaml:"rule,omitempty"`
	// Demands says of demands by name: "allow", or the reason why one is not met.
	Demands map[string]string `yaml:"demands,omitempty"`
}

// Load reads the cases of files and of folders with all their files named *.yaml or
// *.yml; those of another kind are passed over, except where a file is named itself.
// Names of hidden folders are not entered. Paths in cases become relative to the
// caller. Errors wrap [ErrInvalid] or [ErrNoCase].
func Load(paths ...string) ([]Case, error) {
	var all []Case
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, cause(err))
		}
		if !info.IsDir() {
			cases, err := load(path, true)
			if err != nil {
				return nil, err
			}
			all = append(all, cases...)
			continue
		}
		names, err := walk(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			cases, err := load(name, false)
			if err != nil {
				return nil, err
			}
			all = append(all, cases...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reading %s: %w", strings.Join(paths, ", "), ErrNoCase)
	}
	if len(all) > maxCases {
		return nil, fmt.Errorf("reading %s: %w: %d cases, at most %d are read", strings.Join(paths, ", "), ErrInvalid, len(all), maxCases)
	}
	return all, nil
}

// walk lists the YAML files below a folder, in order.
func walk(dir string) ([]string, error) {
	var names []string
	seen := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrInvalid, maxFiles)
		}
		if entry.IsDir() && path != dir && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if extension := filepath.Ext(path); entry.Type().IsRegular() && (extension == ".yaml" || extension == ".yml") {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, cause(err))
	}
	slices.Sort(names)
	return names, nil
}

// load reads one file. Without must, one of another kind has no cases.
func load(path string, must bool) ([]Case, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, cause(err))
	}
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("reading %s: %w: %w", path, ErrInvalid, fmt.Errorf(format, args...))
	}
	var kind struct {
		Kind string `yaml:"kind"`
	}
	if err := yaml.Unmarshal(raw, &kind); err != nil || kind.Kind != Kind {
		if !must && (err == nil || !bytes.Contains(raw, []byte(Kind))) {
			return nil, nil
		}
		if err != nil {
			return nil, invalid("%w", err)
		}
		return nil, invalid("its kind is %.40q, not %s", kind.Kind, Kind)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	var f file
	if err := decoder.Decode(&f); err != nil {
		return nil, invalid("%w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, invalid("a second document")
	}
	if f.APIVersion != policy.APIVersion {
		return nil, invalid("its version is %.40q, not %s", f.APIVersion, policy.APIVersion)
	}
	if len(f.Cases) == 0 {
		return nil, fmt.Errorf("reading %s: %w", path, ErrNoCase)
	}
	names := make(map[string]bool)
	for i := range f.Cases {
		c := &f.Cases[i]
		if c.Policy == "" {
			c.Policy = f.Policy
		}
		if err := c.check(); err != nil {
			return nil, invalid("cases[%d]: %w", i, err)
		}
		if names[c.Name] {
			return nil, invalid("cases[%d]: a second case is called %q", i, c.Name)
		}
		names[c.Name] = true
		c.File, c.Record = path, beside(path, c.Record)
		if c.Policy != "" {
			c.Policy = beside(path, c.Policy)
		}
	}
	return f.Cases, nil
}

func (c *Case) check() error {
	var verdict policy.Verdict
	switch {
	case c.Name == "":
		return errors.New("it has no name")
	case c.Record == "":
		return fmt.Errorf("%q has no record", c.Name)
	case c.Expect.Verdict == "":
		return fmt.Errorf("%q expects no verdict", c.Name)
	}
	if err := verdict.UnmarshalText([]byte(c.Expect.Verdict)); err != nil {
		return fmt.Errorf("%q: %w", c.Name, err)
	}
	if verdict == policy.Allow && c.Expect.Reason != "" {
		return fmt.Errorf("%q expects a reason beside allow", c.Name)
	}
	return nil
}

// beside resolves a path that a file names.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), filepath.FromSlash(path))
}

func readBounded(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("%w: more than %d bytes", ErrInvalid, maxFileBytes)
	}
	return raw, err
}

// cause drops the system call from an error, which names the path again.
func cause(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("no such file or folder")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
