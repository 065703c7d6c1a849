package gate

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/attest/digest"
	"github.com/hallmark-project/hallmark/policy"
	"github.com/hallmark-project/hallmark/verify/evidence"
	"github.com/hallmark-project/hallmark/verify/oci"
)

// briefShare is the part of a cache's size that denials may have beside it.
const briefShare = 4

// clockTolerance is how far the clock may go back, as clocks that are kept right do.
// Within it time stands still; what goes back further was set back.
const clockTolerance = time.Second

// Cache keeps decisions between the calls of one or more gates, and joins callers who
// ask the same at the same time. Safe for concurrent use.
//
// A decision is kept by everything that it depends on: the image's canonical name
// (which rules match), the digest that was asked for, the platform that was chosen
// below it, the policy's digest, and the digests of the trust roots with their
// thresholds. It is kept by no tag: a tag that moved names another digest. It ends at
// the first instant at which the same evidence may decide otherwise
// ([policy.Decision.Until]), and after CacheOptions.MaxAge. What could not be checked
// is never kept.
//
// An allowed image stays allowed for everybody, whatever credentials found its
// evidence: the decision is about bytes and their signers, and gives nobody those
// bytes. Whether a node may pull them is the registry's business. Denials, tags and
// callers who wait together are kept apart by source, and so by credentials.
//
// Images of layouts are not kept. Gates that share a cache share a clock.
type Cache struct {
	options CacheOptions
	pool    *evidence.Pool

	mu        sync.Mutex
	latest    time.Time // that any caller has told
	decisions *lru[decisionKey, kept]
	brief     *lru[flightKey, kept] // for one source and tag, and apart: what is denied throws out nothing that is allowed
	tags      *lru[tagKey, keptTag]
	flights   map[flightKey]*flight
	adrift    int            // flights that nobody waits for
	adriftAt  map[string]int // by registry
	closed    bool
	running   sync.WaitGroup
	stats     CacheStats
}

// CacheStats are counters since the cache was made, and what is in it now.
type CacheStats struct {
	// Hits were answered by a kept decision, Joined by somebody else's look, Misses by
	// a look of their own.
	Hits, Joined, Misses uint64
	// TagHits are the tags that were not resolved anew.
	TagHits uint64
	// Entries and Bytes are kept decisions; Running are looks that have not ended.
	Entries int
	Bytes   int64
	Running int
}

// NewCache returns an empty cache.
func NewCache(o CacheOptions) *Cache {
	if o.Entries < 1 {
		o.Entries = DefaultEntries
	}
	if o.Bytes < 1 {
		o.Bytes = DefaultBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.DenyAge == 0 {
		o.DenyAge = DefaultDenyAge
	}
	if o.HeldBytes < 1 {
		o.HeldBytes = DefaultHeld
	}
	return &Cache{
		options:   o,
		pool:      evidence.NewPool(o.HeldBytes),
		decisions: newLRU[decisionKey, kept](o.Entries, o.Bytes),
		brief:     newLRU[flightKey, kept](max(o.Entries/briefShare, 1), o.Bytes/briefShare),
		tags:      newLRU[tagKey, keptTag](o.Entries, o.Bytes),
		flights:   make(map[flightKey]*flight),
		adriftAt:  make(map[string]int),
	}
}

// Stats returns the counters.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries, s.Bytes, s.Running = c.decisions.len()+c.brief.len(), c.decisions.used+c.brief.used, len(c.flights)
	return s
}

// decisionKey is everything that a decision depends on beside the evidence. It is a
// struct, so that no two keys can run together.
type decisionKey struct {
	name     string
	digest   digest.Digest // that was asked for: of an index where a platform was chosen
	platform string
	policy   digest.Digest
	roots    string
}

// rootsText names the roots of a plan and their thresholds.
func rootsText(roots []policy.Anchor) string {
	if len(roots) == 1 && roots[0].Name == "" {
		return roots[0].Root.Digest().String() + needText(roots[0])
	}
	var b strings.Builder
	for _, anchor := range roots {
		b.WriteString(anchor.Name)
		b.WriteByte('=')
		b.WriteString(anchor.Root.Digest().String())
		b.WriteString(needText(anchor))
	}
	return b.String()
}

func needText(a policy.Anchor) string {
	if a.Name == "" && a.Need.LogEntries == 0 && a.Need.Timestamps == 0 && a.Need.SCTs == 0 {
		return ";"
	}
	return "/" + strconv.Itoa(a.Need.LogEntries) + "/" + strconv.Itoa(a.Need.Timestamps) + "/" + strconv.Itoa(a.Need.SCTs) + ";"
}

// kept is a decision, from the time that it was made for until its end; zero is none.
type kept struct {
	outcome
	end time.Time
}

// tagKey names a tag as one source sees it.
type tagKey struct {
	source                Source
	host, repository, tag string
}

type keptTag struct {
	made time.Time
	to   oci.Descriptor
}

// now returns the time that counts: it never goes back by a little, and where the clock
// was set back the cache is emptied: what had ended would begin again. The clock is
// read under the lock, so that the order of callers is that of their times.
func (c *Cache) now(clock func() time.Time) time.Time {
	at := clock().Round(0) // by the clock on the wall, as the dates of decisions are
	switch behind := c.latest.Sub(at); {
	case behind <= 0 || c.latest.IsZero():
		c.latest = at
	case behind > clockTolerance:
		c.decisions.clear()
		c.brief.clear()
		c.tags.clear()
		c.latest = at
	}
	return c.latest
}

// find returns the decision that is kept for a question; the lock is held.
func (c *Cache) find(key flightKey, clock func() time.Time) (outcome, bool) {
	now := c.now(clock)
	found, ok := alive(c.decisions, key.decisionKey, now)
	if !ok {
		found, ok = alive(c.brief, key, now)
	}
	if ok {
		c.stats.Hits++
		found.cached = true
	}
	return found, ok
}

// alive returns what is kept and has not ended.
func alive[K comparable](in *lru[K, kept], key K, now time.Time) (outcome, bool) {
	k := in.get(key)
	if k == nil {
		return outcome{}, false
	}
	if now.Before(k.at.Round(0)) || !k.end.IsZero() && !now.Before(k.end) {
		in.drop(key)
		return outcome{}, false
	}
	return k.outcome, true
}

// keep keeps an outcome for as long as it may be kept.
func (c *Cache) keep(key flightKey, o outcome, clock func() time.Time) {
	end, short, ok := c.life(o)
	if !ok {
		return
	}
	k := kept{outcome: o.clone(), end: end}
	size := weight(key.decisionKey, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(clock); !end.IsZero() && !now.Before(end) {
		return
	}
	if short {
		c.brief.put(key, k, size)
	} else {
		c.decisions.put(key.decisionKey, k, size)
	}
}

// life says until when an outcome is kept, whether that is short, and whether it is
// kept at all.
func (c *Cache) life(o outcome) (end time.Time, short, ok bool) {
	verdict := o.decision.Verdict
	if o.decision.Warned != nil {
		verdict = o.decision.Warned.Verdict
	}
	if o.failure != nil || verdict == policy.Undetermined {
		return time.Time{}, false, false
	}
	short = verdict != policy.Allow || len(o.unseen) > 0 || slices.ContainsFunc(o.decision.Demands, func(d policy.Demand) bool {
		return d.Verdict == policy.Undetermined
	})
	age := c.options.MaxAge
	if short {
		if age = c.options.DenyAge; age < 0 {
			return time.Time{}, true, false
		}
	}
	if age > 0 {
		end = o.at.Round(0).Add(age)
	}
	if until := o.decision.Until; !until.IsZero() && (end.IsZero() || until.Before(end)) {
		end = until
	}
	return end, short, true
}

// tag returns what a tag named a short while ago.
func (c *Cache) tag(key tagKey, clock func() time.Time) (oci.Descriptor, bool) {
	if c.options.TagFreshness <= 0 {
		return oci.Descriptor{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now(clock)
	k := c.tags.get(key)
	if k == nil {
		return oci.Descriptor{}, false
	}
	if now.Before(k.made) || !now.Before(k.made.Add(c.options.TagFreshness)) {
		c.tags.drop(key)
		return oci.Descriptor{}, false
	}
	c.stats.TagHits++
	return k.to, true
}

// keepTag notes what a tag named. at is from before it was asked for.
func (c *Cache) keepTag(key tagKey, to oci.Descriptor, at time.Time, clock func() time.Time) {
	if c.options.TagFreshness <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(clock); now.Sub(at.Round(0)) < c.options.TagFreshness {
		c.tags.put(key, keptTag{at.Round(0), to}, int64(len(key.host)+len(key.repository)+len(key.tag))+200)
	}
}
