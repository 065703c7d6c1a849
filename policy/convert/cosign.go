package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attest/wording"
)

// maxArguments bounds a command line.
const maxArguments = 500

// cosignFlags are the flags of cosign verify and verify-attestation that say something
// about trust. Those with a value take the next argument if none stands behind `=`.
var cosignFlags = map[string]bool{ // to whether it has a value
	"key": true, "certificate-identity": true, "certificate-identity-regexp": true, "certificate-oidc-issuer": true,
	"certificate-oidc-issuer-regexp": true, "certificate-github-workflow-trigger": true, "certificate-github-workflow-sha": true,
	"certificate-github-workflow-name": true, "certificate-github-workflow-repository": true, "certificate-github-workflow-ref": true,
	"insecure-ignore-tlog": false, "private-infrastructure": false, "insecure-ignore-sct": false, "check-claims": false,
	"rekor-url": true, "trusted-root": true, "type": true, "use-signed-timestamps": false,
}

// cosignOther are flags that say where things are, and how to print.
var cosignOther = map[string]bool{
	"output": true, "o": true, "max-workers": true, "timeout": true, "t": true, "output-file": true, "registry-username": true,
	"registry-password": true, "registry-token": true, "registry-cacert": true, "registry-client-cert": true, "registry-client-key": true,
	"registry-server-name": true, "attachment-tag-prefix": true, "offline": false, "new-bundle-format": false, "experimental-oci11": false,
	"allow-insecure-registry": false, "allow-http-registry": false, "k8s-keychain": false, "verbose": false, "d": false,
}

// command is a command line of cosign, taken apart.
type command struct {
	place, verb string
	flags       map[string]string
	images      []string
}

// commandLine reads `cosign verify` or `cosign verify-attestation`: what is asked holds
// for the repositories of its images, whatever their tags. Several lines that name one
// repository are all asked.
func (c *converter) commandLine(source Source) error {
	arguments := strings.Split(strings.TrimSuffix(string(source.Data), "\n"), "\n")
	if len(arguments) > maxArguments {
		return fmt.Errorf("%d arguments, at most %d are read: %w", len(arguments), maxArguments, ErrSource)
	}
	if len(arguments) > 0 && (arguments[0] == "cosign" || strings.HasSuffix(arguments[0], "/cosign")) {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 || arguments[0] != "verify" && arguments[0] != "verify-attestation" {
		return fmt.Errorf("it is neither `cosign verify` nor `cosign verify-attestation`: %w", ErrKind)
	}
	line := command{place: source.Name, verb: arguments[0], flags: make(map[string]string)}
	w := wish{place: source.Name}
	w.never = !c.arguments(&line, arguments[1:])
	if len(line.images) == 0 {
		return fmt.Errorf("it names no image: %w", ErrSource)
	}
	for _, image := range line.images {
		name, _ := splitTag(image)
		if !readable(name) || strings.Contains(name, "*") {
			return fmt.Errorf("the image %q has no name that Hallmark reads: %w", wording.Short(image), ErrSource)
		}
		w.scopes = append(w.scopes, exactly(source.Name, image, globOf(name).String()))
	}
	w.name = w.scopes[0].outer[0]
	if c.name == "" {
		c.name = "cosign"
	}
	c.cosignDemands(line, &w)
	c.wishes = append(c.wishes, w)
	return nil
}

// arguments takes flags and images apart; false where a flag cannot be said.
func (c *converter) arguments(line *command, rest []string) bool {
	const never = "nothing meets it"
	good := true
	for len(rest) > 0 {
		argument := rest[0]
		rest = rest[1:]
		name, value, given := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		if !strings.HasPrefix(argument, "-") || name == "" {
			line.images = append(line.images, argument)
			continue
		}
		takes, trust := cosignFlags[name]
		if !trust {
			var known bool
			if takes, known = cosignOther[name]; !known {
				c.lose(line.place+": "+argument, "a flag that the converter cannot say", never)
				good = false
				takes = len(rest) > 1 && !strings.HasPrefix(rest[0], "-")
			}
		}
		if takes && !given && len(rest) > 0 {
			value, rest = rest[0], rest[1:]
		}
		if !trust {
			continue
		}
		if _, twice := line.flags[name]; twice {
			c.lose(line.place+": --"+name, "a flag that stands twice", never)
			good = false
		}
		if !takes && !given {
			value = "true"
		}
		line.flags[name] = value
	}
	return good
}

func (line command) on(flag string) bool {
	value, found := line.flags[flag]
	return found && value != "false"
}

// cosignDemands reads who must have signed, and what.
func (c *converter) cosignDemands(line command, w *wish) {
	const never = "nothing meets it"
	place := func(flag string) string { return line.place + ": --" + flag }
	one := clause{place: line.place, need: 1}
	root := publicRoot
	if url := line.flags["rekor-url"]; url != "" && !publicHost(url, "rekor.sigstore.dev") {
		c.lose(place("rekor-url"), "another transparency log than Sigstore's public one", never)
		w.never = true
	}
	if path, found := line.flags["trusted-root"]; found {
		raw, ok := c.file(place("trusted-root"), path)
		if !ok {
			w.never = true
			return
		}
		root = c.addRoot(fileName(path), rootText{Sigstore: strings.TrimSpace(string(raw))})
	}
	if line.flags["check-claims"] == "false" {
		c.lose(place("check-claims"), "signatures that are not about the image", "they are")
	}
	if line.on("insecure-ignore-sct") {
		c.lose(place("insecure-ignore-sct"), "certificates that no certificate log knows", "one log must know the certificate")
	}
	times := root
	if line.on("insecure-ignore-tlog") || line.on("private-infrastructure") {
		times = ""
		if line.on("use-signed-timestamps") {
			c.lose(place("use-signed-timestamps"), "a timestamp by an authority", "the log must hold the signature")
			times = root
		}
	}
	if path, found := line.flags["key"]; found {
		if scheme, _, remote := strings.Cut(path, "://"); remote {
			c.lose(place("key"), "a key that is kept elsewhere ("+wording.Short(scheme)+")", "nobody signs in its place; export it")
		} else if raw, ok := c.file(place("key"), path); ok {
			if p, ok := c.key(place("key"), fileName(path), string(raw), times); ok {
				one.parties = append(one.parties, p)
			}
		}
	} else {
		if times == "" {
			c.lose(line.place, "certificates without a transparency log", "the log must hold the signature")
		}
		if p, ok := c.identity(cosignWho(line, root)); ok {
			one.parties = append(one.parties, p)
		}
	}
	if len(one.parties) == 0 {
		w.never = true
	}
	if line.verb == "verify" {
		w.signatures = []clause{one}
		return
	}
	kind, found := line.flags["type"]
	if !found {
		kind = "custom" // the default
	}
	uri, ok := predicateType(kind)
	if !ok {
		c.lose(place("type"), fmt.Sprintf("the type %q", wording.Short(kind)), never)
		w.never = true
	}
	w.statements = []statementWish{{place: line.place, kind: uri, clauses: []clause{one}}}
}

func cosignWho(line command, root string) who {
	w := who{
		place: line.place, root: root, name: "identity",
		issuer: line.flags["certificate-oidc-issuer"], issuerRegexp: line.flags["certificate-oidc-issuer-regexp"],
		subject: line.flags["certificate-identity"], subjectRegxp: line.flags["certificate-identity-regexp"],
	}
	for i, claim := range []string{"trigger", "sha", "name", "repository", "ref"} {
		if value := line.flags["certificate-github-workflow-"+claim]; value != "" {
			if w.extensions == nil {
				w.extensions = make(map[string]string)
			}
			w.extensions[fmt.Sprintf("1.3.6.1.4.1.57264.1.%d", i+2)] = value
		}
	}
	return w
}

// Arguments writes a command line as a source.
func Arguments(name string, arguments []string) (Source, error) {
	if slices.ContainsFunc(arguments, func(a string) bool { return strings.Contains(a, "\n") }) {
		return Source{}, fmt.Errorf("converting %s: an argument with a line break: %w", name, ErrSource)
	}
	return Source{Name: name, Data: []byte(strings.Join(arguments, "\n"))}, nil
}
