package lint

import (
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/policy"
)

// document looks at the policy's own entries.
func (l *linter) document() {
	for _, v := range l.written {
		if at := v.get("unmatched"); at.text() == "warn" {
			l.add(UnmatchedWarn, at, "write `deny`, or leave it away, when every image has its rule", "images that no rule governs are allowed, with a warning")
		}
	}
}

// trustRoots looks at the entries of trustRoots.
func (l *linter) trustRoots() {
	used := make(map[string]bool)
	for _, s := range l.entries("signers") {
		used[s.get("keyless", "trustRoot").text()] = true
		for _, key := range s.get("keys").items() {
			used[key.get("timesFrom").text()] = true
		}
		used[s.get("timesFrom").text()] = true
	}
	for _, root := range l.entries("trustRoots") {
		if !used[root.name] && !l.mentioned(root.name, root.view) {
			l.add(RootUnused, root.view, "remove it, or let a signer name it", "no signer names the trust root %s", root.name)
		}
		l.pinned(root)
		l.asksLittle(root)
		for _, anchor := range l.policy.TrustRoots() {
			if anchor.Name == root.name {
				l.rootEnds(root, anchor)
			}
		}
	}
}

// mentioned reports whether a text of the file other than the entry itself is the name.
func (l *linter) mentioned(name string, except view) bool {
	var found func(v view) bool
	found = func(v view) bool {
		if v.node == except.node {
			return false
		}
		if v.text() == name {
			return true
		}
		for _, e := range v.entries() {
			if found(e.view) {
				return true
			}
		}
		return slices.ContainsFunc(v.items(), found)
	}
	for _, v := range l.written {
		if found(v.get("signers")) {
			return true
		}
	}
	return false
}

// pinned wants a digest beside a file that says who is trusted.
func (l *linter) pinned(root named) {
	file := root.get("sigstore")
	if !file.there() || file.text() == "public-good" || strings.Contains(file.text(), "\n") || strings.HasPrefix(strings.TrimSpace(file.text()), "{") || root.get("sha256").there() {
		return
	}
	l.add(RootUnpinned, file, "add the file's `sha256`", "%s is trusted whatever it holds", file.text())
}

// asksLittle looks at the witnesses that a trust root wants.
func (l *linter) asksLittle(root named) {
	if root.get("x509").there() {
		return // such an authority has no logs
	}
	for name, lost := range map[string]string{
		"log": "a signature that its owner never sees is accepted",
		"sct": "a certificate that nobody can see is accepted",
	} {
		if at := root.get(name); at.text() == "0" {
			l.add(RootWeak, at, "leave it away to ask for one", "%s: 0: %s", name, lost)
		}
	}
}

func (l *linter) rootEnds(root named, anchor policy.Anchor) {
	now := l.options.Now
	if now.IsZero() {
		return
	}
	if end := anchor.Root.Expires(now); !end.IsZero() && end.Before(now.Add(soon)) {
		l.add(RootEnds, root.view, "fetch or make the trust root anew", "an authority or a log of %s ends on %s", root.name, end.UTC().Format(time.DateOnly))
	}
}

// signers looks at the entries of signers.
func (l *linter) signers() {
	used := l.usedSigners()
	owner := make(map[string]string) // of a key's text
	for _, s := range l.entries("signers") {
		if !used[s.name] {
			l.add(SignerUnused, s.view, "remove it, or name it under `from`", "no rule names the signer %s", s.name)
		}
		if at := s.get("keyless", "insecureAnyone"); at.there() {
			l.add(Anyone, at, "say who signs: a subject, or a project and its workflow", "the signer %s is an identity that anybody could have", s.name)
		}
		for _, key := range l.canonical.get("signers", s.name, "keys").items() {
			pem := key.get("pem").text()
			if first := owner[pem]; first != "" && first != s.name && pem != "" {
				l.add(KeyTwice, s.view, "give each party its own key", "%s and %s have one key", first, s.name)
			}
			owner[pem] = s.name
		}
		l.signerEnds(s)
	}
}

// groups looks at the entries of groups.
func (l *linter) groups() {
	used := l.usedSigners()
	for _, group := range l.entries("groups") {
		if !used[group.name] {
			l.add(GroupUnused, group.view, "remove it, or name it under `from`", "no rule names the group %s", group.name)
		}
	}
}

// usedSigners lists the signers under any `from`, and members of groups that are.
func (l *linter) usedSigners() map[string]bool {
	used := make(map[string]bool)
	var visit func(v view)
	visit = func(v view) {
		for _, e := range v.entries() {
			if e.name == "from" || e.name == "vex" {
				for _, name := range e.texts() {
					used[name] = true
				}
			}
			visit(e.view)
		}
		for _, item := range v.items() {
			visit(item)
		}
	}
	for _, v := range l.written {
		visit(v.get("rules"))
		visit(v.get("builders"))
	}
	visit(l.canonical.get("rules")) // where groups are their members
	for _, group := range l.entries("groups") {
		if used[group.name] {
			for _, name := range group.texts() {
				used[name] = true
			}
		}
	}
	return used
}

// signerEnds warns before the last key of a signer ends.
func (l *linter) signerEnds(s named) {
	keys := s.get("keys").items()
	if l.options.Now.IsZero() || len(keys) == 0 || s.get("keyless").there() {
		return
	}
	var last time.Time
	for _, key := range keys {
		end, ends := key.get("notAfter").moment()
		if !ends {
			if end, ends = key.get("compromisedSince").moment(); !ends {
				return
			}
		}
		if end.After(last) {
			last = end
		}
	}
	if last.Before(l.options.Now.Add(soon)) {
		l.add(SignerEnds, s.view, "add the key that follows", "the last key of %s ends on %s", s.name, last.Format(time.DateOnly))
	}
}
