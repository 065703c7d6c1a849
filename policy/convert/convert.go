// Package convert turns the policies of other verifiers into Hallmark's: those of
// policy-controller, Kyverno, notation and containers/image, and command lines of
// cosign.
//
//	result, err := convert.Convert([]convert.Source{{Name: "cip.yaml", Data: data}}, convert.Options{Read: readFile})
//	if len(result.Losses) > 0 { … }          // what the result does not say
//	p, err := policy.Parse("policy.yaml", result.Policy, readFile)
//
// The result is never weaker than its sources: it allows no image that they would
// refuse. What has no counterpart becomes a [Loss], and the result does the stricter
// thing, in the end to refuse. It does no input or output and no cryptography: it
// does not say whether a source was a good policy, and asks no cluster for what the
// source only names.
package convert

import (
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/policy"
)

// Kind is a language that policies are read from.
type Kind string

// The kinds of [Options.Kind].
const (
	ClusterImagePolicy Kind = "policy-controller" // ClusterImagePolicy v1alpha1 and v1beta1
	Kyverno            Kind = "kyverno"           // ClusterPolicy and Policy with verifyImages; ImageValidatingPolicy
	Notation           Kind = "notation"          // trustpolicy.json
	Containers         Kind = "containers"        // policy.json of containers/image
	Cosign             Kind = "cosign"            // command lines, one source each
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{ClusterImagePolicy, Kyverno, Notation, Containers, Cosign} }

const (
	// maxSources bounds the files of one conversion: a cluster has some dozens.
	maxSources = 100
	// maxScopes bounds the patterns of all sources, each of which is compared with each.
	maxScopes = 500
	// maxLosses bounds the losses; nobody reads more.
	maxLosses = 10_000
)

var (
	// ErrSource says that a source cannot be read at all. Nothing is converted then.
	ErrSource = errors.New("it cannot be read as a policy")
	// ErrKind says that the kind of a source is not known, or that sources have
	// several: name the kind, or convert them one by one.
	ErrKind = errors.New("its kind is not known")
)

// Source is one file, or one command line.
type Source struct {
	// Name stands in losses and errors.
	Name string
	// Data is the file's content, YAML or JSON; of a command line its arguments, one
	// a line.
	Data []byte
}

// Options change how sources are read. The zero value detects the kind, and has no
// files.
type Options struct {
	// Kind is what the sources are; empty finds out.
	Kind Kind
	// Name is the result's metadata.name; empty takes that of the source.
	Name string
	// Read returns a file that a source names, such as a key; it must bound what it
	// reads. nil has none, and what names a file is never met.
	Read func(path string) ([]byte, error)
	// TrustStore is notation's trust store: the folders x509/TYPE/NAME, each with its
	// certificates in PEM. nil has none.
	TrustStore func(kind, name string) ([]byte, error)
	// InsecureAnyName makes a signature count whichever image name it was made for, as
	// it does everywhere else in Hallmark. The sources of the kind [Containers] look at
	// that name; without this option what they ask is never met.
	InsecureAnyName bool
}

// Loss is something that a source says and the result does not.
type Loss struct {
	// Place is the file, the line and the path of the field.
	Place string `json:"place"`
	// Meant is what the source says there.
	Meant string `json:"meant"`
	// Instead is what the result does: the same or something stricter, except for what
	// [Options.InsecureAnyName] asked for.
	Instead string `json:"instead"`
}

// String is one line for people.
func (l Loss) String() string { return l.Place + ": " + l.Meant + "; instead, " + l.Instead }

// Result is a converted policy.
type Result struct {
	Kind Kind
	// Policy is the policy file. Keys and roots stand in it, except for Sigstore's
	// public root.
	Policy []byte
	// Losses are in the order of the sources.
	Losses []Loss
}

// Convert reads sources of one kind together: where several of their policies speak
// about one image, the rule of the result asks for what they ask together. The error
// wraps [ErrSource] or [ErrKind].
func Convert(sources []Source, o Options) (*Result, error) {
	switch {
	case len(sources) == 0:
		return nil, fmt.Errorf("converting policies: there is none: %w", ErrSource)
	case len(sources) > maxSources:
		return nil, fmt.Errorf("converting policies: %d files, at most %d are read: %w", len(sources), maxSources, ErrSource)
	}
	c := &converter{options: o, kind: o.Kind}
	if c.kind == Cosign {
		for _, source := range sources {
			if err := c.commandLine(source); err != nil {
				return nil, fmt.Errorf("converting %s: %w", source.Name, err)
			}
		}
		return c.result()
	}
	for _, source := range sources {
		documents, err := readDocuments(source)
		if err != nil {
			return nil, fmt.Errorf("converting %s: %w", source.Name, err)
		}
		for _, document := range documents {
			if err := c.document(document); err != nil {
				return nil, fmt.Errorf("converting %w", err) // it begins with the place
			}
		}
	}
	return c.result()
}

// converter gathers what the sources say.
type converter struct {
	options Options
	kind    Kind
	name    string
	// wishes are what the sources ask for, in their order.
	wishes []wish
	// unmatched is what becomes of other images.
	unmatched string
	// specific tells that the wish with the most specific scope speaks alone.
	specific bool
	parties  parties
	losses   []Loss
	lost     map[Loss]bool
	tried    int // identities
}

func (c *converter) lose(place, meant, instead string) {
	one := Loss{place, meant, instead}
	if c.lost == nil {
		c.lost = make(map[Loss]bool)
	}
	if !c.lost[one] && len(c.losses) < maxLosses {
		c.lost[one] = true
		c.losses = append(c.losses, one)
	}
}

// document reads one document by its kind.
func (c *converter) document(n node) error {
	kind, err := detect(n)
	if err != nil {
		return err
	}
	if c.kind == "" {
		c.kind = kind
	}
	if kind != c.kind {
		return fmt.Errorf("%s: this is of the kind %s, not %s: %w", n.place(), kind, c.kind, ErrKind)
	}
	switch kind {
	case ClusterImagePolicy:
		return c.clusterImagePolicy(n)
	case Kyverno:
		return c.kyverno(n)
	case Notation:
		return c.notation(n)
	case Containers:
		return c.containers(n)
	}
	return fmt.Errorf("%s: %w", n.place(), ErrKind)
}

func (c *converter) result() (*Result, error) {
	if len(c.wishes) == 0 && c.kind != Containers {
		return nil, fmt.Errorf("converting: no policy about images stands there: %w", ErrSource)
	}
	scopes := 0
	for _, w := range c.wishes {
		scopes += len(w.scopes)
	}
	if len(c.wishes) > maxScopes || scopes > maxScopes {
		return nil, fmt.Errorf("converting: more than %d policies or patterns; convert them in parts: %w", maxScopes, ErrSource)
	}
	text, err := c.write()
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse("the result", text, c.read); err != nil {
		return nil, fmt.Errorf("converting: the result is no valid policy: %w", err)
	}
	return &Result{Kind: c.kind, Policy: text, Losses: c.losses}, nil
}
