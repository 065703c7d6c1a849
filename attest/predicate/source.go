package predicate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// ErrSource: not the address of a source repository; it equals no source.
var ErrSource = errors.New("malformed source address")

// maxSource bounds a source address. Repository paths and refs have at most a
// few hundred bytes each.
const maxSource = 4096

// Source is a source repository and, where it was named, a ref in it. Two
// sources are the same if and only if they are equal: compare whole fields.
type Source struct {
	// Repository is scheme, host and path, without "git+", such as
	// "https://github.com/acme/app". Scheme and host are in lower case, which
	// RFC 3986 makes equal; the path is kept letter by letter, so a repository
	// with ".git", another case or a slash at its end is another one.
	Repository string
	// Ref is what stood behind "@" (SPDX download location) or "#" (BuildKit),
	// such as "refs/heads/main", or "".
	Ref string
}

// String returns the source as an SPDX download location.
func (s Source) String() string {
	if s.Ref == "" {
		return "git+" + s.Repository
	}
	return "git+" + s.Repository + "@" + s.Ref
}

// ParseSource reads a source address, for provenance and for the policy that it
// is compared with: an optional "git+", a URL of scheme https, http, ssh or git,
// and an optional ref behind "@" or "#". User names, passwords, queries, percent
// signs, empty and dotted path segments are refused, because two readers could
// take them for two repositories. Errors wrap [ErrSource].
func ParseSource(address string) (Source, error) {
	if len(address) > maxSource {
		return Source{}, fmt.Errorf("%w: %d bytes long", ErrSource, len(address))
	}
	refuse := func(why string) (Source, error) {
		return Source{}, fmt.Errorf("%w: %q: %s", ErrSource, wording.Short(address), why)
	}
	scheme, rest, found := strings.Cut(strings.TrimPrefix(address, "git+"), "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "https" && scheme != "http" && scheme != "ssh" && scheme != "git" {
		return refuse("not a URL of a git repository")
	}
	host, path, found := strings.Cut(rest, "/")
	if !found || path == "" {
		return refuse("no path to a repository")
	}
	if strings.Contains(host, "@") {
		return refuse("a user name stands before the host")
	}
	host = strings.ToLower(host)
	if !isHost(host) {
		return refuse("not a host")
	}
	var ref string
	if at := strings.IndexAny(path, "@#"); at >= 0 {
		separator := path[at]
		path, ref = path[:at], path[at+1:]
		if separator == '#' {
			ref, _, _ = strings.Cut(ref, ":") // BuildKit appends a folder
		}
		if !isRef(ref) {
			return refuse("not a ref")
		}
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return refuse("an empty or dotted path segment")
		}
		for _, c := range []byte(segment) {
			if !isAlphanumeric(c) && strings.IndexByte("-._~+", c) < 0 {
				return refuse("a character that a repository's path cannot have")
			}
		}
	}
	return Source{Repository: scheme + "://" + host + "/" + path, Ref: ref}, nil
}

// isHost accepts a host name or IPv4 address in lower case, with a port or not.
func isHost(host string) bool {
	name, port, hasPort := strings.Cut(host, ":")
	if hasPort && (port == "" || strings.Trim(port, "0123456789") != "") {
		return false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" {
			return false
		}
		for _, c := range []byte(label) {
			if !isAlphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// isRef accepts what git-check-ref-format could accept, and a commit.
func isRef(ref string) bool {
	if ref == "" || strings.HasPrefix(ref, "-") || strings.Contains(ref, "..") || strings.Contains(ref, "//") || strings.HasSuffix(ref, "/") {
		return false
	}
	for _, c := range []byte(ref) {
		if c <= ' ' || c == 0x7f || strings.IndexByte("~^:?*[\\#", c) >= 0 {
			return false
		}
	}
	return true
}

// isCommit accepts a full git object name: SHA-1 or SHA-256 in lower case.
func isCommit(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
