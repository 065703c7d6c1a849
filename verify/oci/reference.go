package oci

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// dockerHub is the canonical host of Docker Hub; dockerHubAPI answers for it.
const (
	dockerHub    = "docker.io"
	dockerHubAPI = "index.docker.io"
	maxReference = 1024 // distribution-spec: a name has at most 255 characters
)

// Reference is a parsed image reference in one canonical form, the same for
// policy, fetching and reports. The zero value names nothing.
type Reference struct {
	// Host is the registry, "docker.io" for Docker Hub in all its spellings.
	Host string
	// Repository is the path without the host.
	Repository string
	// Tag is the tag that was given. Beside a Digest it is a remark that nothing
	// has checked.
	Tag string
	// Digest names the content; zero when only a tag was given.
	Digest digest.Digest
}

var (
	component = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagText   = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	portText  = regexp.MustCompile(`^[0-9]{1,5}$`)
)

// ParseReference reads an image reference (distribution-spec, "Pulling
// manifests", and Docker's short names): a missing host is docker.io, a
// one-part name there is below library/, a missing tag is "latest". Host and
// path are lower case; nothing is guessed and nothing is unescaped. Errors wrap
// [ErrReference].
func ParseReference(text string) (Reference, error) {
	if text == "" {
		return Reference{}, fmt.Errorf("%w: it is empty", ErrReference)
	}
	if len(text) > maxReference {
		return Reference{}, fmt.Errorf("%w: it has %d characters", ErrReference, len(text))
	}
	if strings.Contains(text, "://") {
		return Reference{}, fmt.Errorf("%w: %q is a URL; leave the scheme away", ErrReference, text)
	}
	var r Reference
	name, digestText, hasDigest := strings.Cut(text, "@")
	if hasDigest {
		d, err := digest.Parse(digestText)
		if err != nil {
			return Reference{}, fmt.Errorf("%w: %q: %w", ErrReference, text, err)
		}
		r.Digest = d
	}
	if slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":"); colon > slash {
		// "localhost:5000" alone is a host without a repository, not a tag.
		r.Tag = name[colon+1:]
		name = name[:colon]
		if !tagText.MatchString(r.Tag) {
			return Reference{}, fmt.Errorf("%w: %q is no tag in %q", ErrReference, r.Tag, text)
		}
	}
	host, path := splitHost(name)
	if err := checkHost(host); err != nil {
		return Reference{}, fmt.Errorf("%w: %q: %w", ErrReference, text, err)
	}
	r.Host, r.Repository = canonicalHost(host), path
	if r.Host == dockerHub && !strings.Contains(path, "/") {
		r.Repository = "library/" + path
	}
	for _, part := range strings.Split(r.Repository, "/") {
		if !component.MatchString(part) {
			return Reference{}, fmt.Errorf("%w: %q is no repository name in %q; names are lower case", ErrReference, part, text)
		}
	}
	if r.Tag == "" && !hasDigest {
		r.Tag = "latest"
	}
	return r, nil
}

// splitHost takes the first part as a host if it looks like one: a dot, a colon,
// or "localhost".
func splitHost(name string) (host, path string) {
	first, rest, found := strings.Cut(name, "/")
	if found && (strings.ContainsAny(first, ".:[") || first == "localhost") {
		return first, rest
	}
	return dockerHub, name
}

func checkHost(host string) error {
	bare, port := host, ""
	switch {
	case strings.HasPrefix(host, "["):
		address, rest, found := strings.Cut(host[1:], "]")
		if !found {
			return fmt.Errorf("%q is no host", host)
		}
		if ip, err := netip.ParseAddr(address); err != nil || !ip.Is6() || ip.Zone() != "" {
			return fmt.Errorf("%q is no IPv6 address", address)
		}
		if rest == "" {
			return nil
		}
		if rest[0] != ':' {
			return fmt.Errorf("%q is no host", host)
		}
		return checkPort(rest[1:])
	case strings.Contains(host, ":"):
		bare, port, _ = strings.Cut(host, ":")
		if err := checkPort(port); err != nil {
			return err
		}
	}
	for _, label := range strings.Split(bare, ".") {
		if !hostLabel.MatchString(label) {
			return fmt.Errorf("%q is no host name; hosts are lower case ASCII", host)
		}
	}
	return nil
}

func checkPort(port string) error {
	if !portText.MatchString(port) {
		return fmt.Errorf("%q is no port", port)
	}
	return nil
}

// canonicalHost folds the spellings of one host together.
func canonicalHost(host string) string {
	switch host {
	case dockerHubAPI, "registry-1.docker.io", "docker.io:443", "index.docker.io:443":
		return dockerHub
	}
	return strings.TrimSuffix(host, ":443")
}

// Name returns "host/repository", without tag and digest.
func (r Reference) Name() string { return r.Host + "/" + r.Repository }

// String returns the canonical reference.
func (r Reference) String() string {
	text := r.Name()
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if !r.Digest.IsZero() {
		text += "@" + r.Digest.String()
	}
	return text
}

// At returns the reference of another digest in the same repository.
func (r Reference) At(d digest.Digest) Reference {
	return Reference{Host: r.Host, Repository: r.Repository, Digest: d}
}

// Tagged returns the reference of a tag in the same repository.
func (r Reference) Tagged(tag string) Reference {
	return Reference{Host: r.Host, Repository: r.Repository, Tag: tag}
}

// loopback reports whether host is exactly a loopback literal or "localhost":
// the only hosts that are spoken to without TLS unasked.
func loopback(host string) bool {
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	if bare == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(bare, "[]"))
	return err == nil && ip.IsLoopback()
}
