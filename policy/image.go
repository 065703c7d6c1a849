package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

const (
	dockerHub    = "docker.io"
	maxImageName = 1024 // distribution-spec: 255 characters, and a host
)

var (
	pathComponent = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`) // distribution-spec, "Pulling manifests"
	hostText      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$`)
	hostAddress   = regexp.MustCompile(`^\[[0-9a-f:.]+\](:[1-9][0-9]{0,4})?$`)
	globComponent = regexp.MustCompile(`^[a-z0-9._*-]+$`)
)

// MatchesImage reports whether a rule's pattern matches an image's name. Both
// may be written in any spelling that people use: "nginx" is
// "docker.io/library/nginx". An error says that either cannot be read.
func MatchesImage(pattern, name string) (bool, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return false, fmt.Errorf("reading the pattern %q: %w", wording.Short(pattern), err)
	}
	canonical, err := CanonicalName(name)
	if err != nil {
		return false, err
	}
	return p.match(canonical), nil
}

// CanonicalName returns the one form in which names are compared: host and path
// in full, Docker Hub as "docker.io", its short names below "library/", no port
// 443. The name must have neither tag nor digest, and no upper case.
func CanonicalName(name string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("reading the image name %q: %s", wording.Short(name), why)
	}
	if len(name) > maxImageName {
		return refuse("it is too long")
	}
	host, path := splitName(name)
	if !hostText.MatchString(host) && !hostAddress.MatchString(host) {
		return refuse("no host name, which is lower case ASCII")
	}
	for part := range strings.SplitSeq(path, "/") {
		if !pathComponent.MatchString(part) {
			return refuse("no repository name, which is lower case and has neither tag nor digest here")
		}
	}
	if len(name) == len(host)+1+len(path) && strings.HasPrefix(name, host) {
		return name, nil // it is canonical: what was folded is longer or shorter, or begins otherwise
	}
	return host + "/" + path, nil
}

// splitName separates host and path and folds the spellings of one host.
func splitName(name string) (host, path string) {
	host, path, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(host, ".:[") && host != "localhost" {
		host, path = dockerHub, name
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io", "docker.io:443", "index.docker.io:443":
		host = dockerHub
	}
	host = strings.TrimSuffix(host, ":443")
	if host == dockerHub && !strings.Contains(path, "/") && path != "**" {
		path = "library/" + path
	}
	return host, path
}

// pattern is one entry of a rule's images, in canonical form.
type pattern struct {
	host string // literal, "*." and at least two labels, or "" for every host
	path glob
}

// parsePattern reads a pattern: "**", or a host and a path of segments. `*` is a
// segment or a part of one, `**` any number of whole segments, at least one, at
// the end only. The host is literal, or `*.` before at least two literal labels,
// which stands for exactly one label.
func parsePattern(s string) (pattern, error) {
	if s == "**" {
		return pattern{path: glob{rest: true}}, nil
	}
	if len(s) > maxImageName {
		return pattern{}, errors.New("it is too long")
	}
	if first, _, _ := strings.Cut(s, "/"); strings.Contains(first, "*") && first != s && !strings.HasPrefix(first, "*.") {
		return pattern{}, fmt.Errorf("the host %q has a wildcard; `*.` before at least two labels is the only one, and `**` alone is every image", first)
	} else if first == s && strings.HasPrefix(s, "*") {
		return pattern{}, errors.New("a wildcard without a host; write docker.io/library/* for Docker Hub's own, or ** for every image")
	}
	host, path := splitName(s)
	bare := host
	if below, wild := strings.CutPrefix(host, "*."); wild {
		bare = below
		labels, _, _ := strings.Cut(below, ":")
		if !strings.Contains(labels, ".") {
			return pattern{}, fmt.Errorf("the host %q: at least two labels must stand behind `*.`", host)
		}
		if labels == dockerHub {
			return pattern{}, errors.New("the registry of Docker Hub has one name; write docker.io")
		}
	}
	if !hostText.MatchString(bare) && (bare != host || !hostAddress.MatchString(bare)) {
		return pattern{}, fmt.Errorf("%q is no host name, which is lower case ASCII", host)
	}
	if err := checkPath(path); err != nil {
		return pattern{}, err
	}
	return pattern{host: host, path: parseGlob(path)}, nil
}

func checkPath(path string) error {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case segment == "**" && i == len(segments)-1:
		case strings.Contains(segment, "**"):
			return errors.New("`**` may only be the last segment, and the whole of it")
		case strings.ContainsAny(segment, ":@"):
			return errors.New("patterns match names; leave tag and digest away")
		case strings.Contains(segment, "*") && globComponent.MatchString(segment):
		case !pathComponent.MatchString(segment):
			return fmt.Errorf("%q is no segment of a repository name, which is lower case", segment)
		}
	}
	return nil
}

// String returns the pattern's canonical text.
func (p pattern) String() string {
	if p.host == "" {
		return "**"
	}
	return p.host + "/" + p.path.String()
}

// match reports whether a canonical name matches.
func (p pattern) match(canonical string) bool {
	host, path, found := strings.Cut(canonical, "/")
	return found && matchHost(p.host, host) && p.path.match(path)
}

func matchHost(pattern, host string) bool {
	below, wild := strings.CutPrefix(pattern, "*.")
	if !wild {
		return pattern == "" || pattern == host
	}
	label, rest, found := strings.Cut(host, ".")
	return found && label != "" && !strings.HasPrefix(label, "[") && rest == below
}

// meets reports whether some name matches both patterns.
func (p pattern) meets(other pattern) bool {
	return (matchHost(p.host, other.host) || matchHost(other.host, p.host)) && p.path.meets(other.path)
}

// moreSpecific compares two patterns that some name matches both: a literal host
// is more specific than `*.`, which is more specific than every host; with equal
// hosts the paths decide.
func (p pattern) moreSpecific(other pattern) bool {
	if p.host != other.host {
		return p.host != "" && matchHost(other.host, p.host)
	}
	return p.path.moreSpecific(other.path)
}
