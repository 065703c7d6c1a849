package oci

import (
	"errors"
	"fmt"
)

// ErrHostRefused: the reference names a registry that [Options.Hosts] does not list.
// Nothing was sent to it. Add the host to the list, or use another registry.
var ErrHostRefused = errors.New("registry is not on the list of allowed hosts")

// allowed are the registries of Options.Hosts in canonical spelling; nil allows all.
type allowed map[string]bool

// allowedHosts reads a list of hosts. One that is none allows nothing.
func allowedHosts(list []string) allowed {
	if len(list) == 0 {
		return nil
	}
	all := make(allowed)
	for _, text := range list {
		if host, err := canonicalHost(text); err == nil {
			all[host] = true
		}
	}
	return all
}

// CheckHost returns an error unless host is a registry's name with or without a port,
// as [Options.Hosts] takes it: no scheme, no path, no pattern.
func CheckHost(host string) error {
	if _, err := canonicalHost(host); err != nil {
		return fmt.Errorf("reading the registry host %q: %w: %w", short(host), ErrReference, err)
	}
	return nil
}

// Admits returns [ErrHostRefused] for a reference to a registry that the client does
// not ask. It asks nobody.
func (c *Client) Admits(r Reference) error {
	if c.allowed == nil || c.allowed[r.Host] {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrHostRefused, r.Host)
}
