package oci

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/attest/digest"
)

// dockerHub is the canonical host of Docker Hub; dockerHubAPI answers for it.
const (
	dockerHub     = "docker.io"
	dockerHubAPI  = "index.docker.io"
	maxReference  = 1024 // host, repository, tag and the longest digest fit
	maxRepository = 255  // distribution-spec, "Pulling manifests"
	maxHostName   = 253  // RFC 1035
	maxPort       = 65535
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
	component  = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagText    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	hostLabel  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	numberText = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)
	portText   = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
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
	if _, err := digest.Parse(text); err == nil {
		// Docker Hub could have "sha256" with such a tag, but runtimes take the text for
		// the ID of an image that is on the node already, and pull nothing.
		return Reference{}, fmt.Errorf("%w: %q is a digest without a name", ErrReference, text)
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
	var err error
	if r.Host, err = canonicalHost(host); err != nil {
		return Reference{}, fmt.Errorf("%w: %q: %w", ErrReference, text, err)
	}
	r.Repository = path
	if r.Host == dockerHub && !strings.Contains(path, "/") {
		r.Repository = "library/" + path
	}
	if err := checkRepository(r.Repository); err != nil {
		return Reference{}, fmt.Errorf("%w: %q: %w", ErrReference, text, err)
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

func checkRepository(path string) error {
	if len(path) > maxRepository {
		return fmt.Errorf("the repository name has %d characters, not at most %d", len(path), maxRepository)
	}
	for part := range strings.SplitSeq(path, "/") {
		if !component.MatchString(part) {
			return fmt.Errorf("%q is no part of a repository name; names are lower case", part)
		}
	}
	return nil
}

// canonicalHost returns the one spelling of a host: addresses in their shortest
// form, no default port, and one name for Docker Hub.
func canonicalHost(host string) (string, error) {
	bare, port, err := splitPort(host)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(bare, "[") {
		ip, err := netip.ParseAddr(bare[1 : len(bare)-1])
		if err != nil || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" {
			return "", fmt.Errorf("%q is no IPv6 address", bare)
		}
		bare = "[" + ip.String() + "]"
	} else if err := checkHostName(bare); err != nil {
		return "", err
	}
	if port == "443" && !loopback(bare) { // on loopback the default port is 80
		port = ""
	}
	if port != "" {
		return bare + ":" + port, nil
	}
	switch bare {
	case dockerHubAPI, "registry-1.docker.io":
		return dockerHub, nil
	}
	return bare, nil
}

// splitPort cuts "host:port"; an IPv6 address keeps its brackets.
func splitPort(host string) (bare, port string, err error) {
	bare, rest := host, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", "", fmt.Errorf("%q is no host", host)
		}
		bare, rest = host[:end+1], host[end+1:]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		bare, rest = host[:colon], host[colon:]
	}
	if rest == "" {
		return bare, "", nil
	}
	port = strings.TrimPrefix(rest, ":")
	number, err := strconv.Atoi(port)
	if rest[0] != ':' || !portText.MatchString(port) || err != nil || number > maxPort {
		return "", "", fmt.Errorf("%q is no port", port)
	}
	return bare, port, nil
}

// checkHostName checks a DNS name or an IPv4 address. A host that ends in a number
// is an address (RFC 3696 section 2), and an address has one form: "127.1" and
// "0127.0.0.1" are refused.
func checkHostName(host string) error {
	if len(host) > maxHostName {
		return fmt.Errorf("the host name has %d characters, not at most %d", len(host), maxHostName)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !hostLabel.MatchString(label) {
			return fmt.Errorf("%q is no host name; hosts are lower case ASCII", host)
		}
	}
	if endsInNumber(host) {
		if ip, err := netip.ParseAddr(host); err != nil || ip.String() != host {
			return fmt.Errorf("%q is neither an IPv4 address nor a host name", host)
		}
	}
	return nil
}

// endsInNumber reports whether some resolvers take host for an IPv4 address: its
// last label is a decimal, octal or hexadecimal number.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return numberText.MatchString(last)
}

// check refuses a reference that was put together by hand and that
// [ParseReference] would not return: its parts become parts of a URL.
func (r Reference) check() error {
	host, err := canonicalHost(r.Host)
	if err == nil && host != r.Host {
		err = fmt.Errorf("the host %q is not in its canonical form %q", r.Host, host)
	}
	if err == nil {
		err = checkRepository(r.Repository)
	}
	if err == nil && r.Tag != "" && !tagText.MatchString(r.Tag) {
		err = fmt.Errorf("%q is no tag", r.Tag)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReference, err)
	}
	return nil
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
