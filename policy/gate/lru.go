package gate

// lru keeps values by key, within a number of entries and of bytes; the one that was
// not used for longest goes first. Not safe for concurrent use.
type lru[K comparable, V any] struct {
	entries int
	bytes   int64
	used    int64
	index   map[K]*node[K, V]
	ends    node[K, V] // its next is the newest, its before the oldest
}

type node[K comparable, V any] struct {
	before, next *node[K, V]
	key          K
	value        V
	size         int64
}

func newLRU[K comparable, V any](entries int, bytes int64) *lru[K, V] {
	l := &lru[K, V]{entries: entries, bytes: bytes}
	l.clear()
	return l
}

func (l *lru[K, V]) clear() {
	l.index, l.used = make(map[K]*node[K, V]), 0
	l.ends.before, l.ends.next = &l.ends, &l.ends
}

func (l *lru[K, V]) len() int { return len(l.index) }

// get returns a value and makes it the newest. The pointer is good until the next
// call.
func (l *lru[K, V]) get(key K) *V {
	n := l.index[key]
	if n == nil {
		return nil
	}
	n.unlink()
	l.link(n)
	return &n.value
}

// put keeps a value of a size. One that is larger than a sixteenth of what fits is not
// kept: it would throw out what many ask for.
func (l *lru[K, V]) put(key K, value V, size int64) {
	l.drop(key)
	if size > l.bytes/16 {
		return
	}
	n := &node[K, V]{key: key, value: value, size: size}
	l.index[key] = n
	l.used += size
	l.link(n)
	for len(l.index) > l.entries || l.used > l.bytes {
		l.drop(l.ends.before.key)
	}
}

func (l *lru[K, V]) drop(key K) {
	n := l.index[key]
	if n == nil {
		return
	}
	delete(l.index, key)
	l.used -= n.size
	n.unlink()
}

func (l *lru[K, V]) link(n *node[K, V]) {
	n.before, n.next = &l.ends, l.ends.next
	n.before.next, n.next.before = n, n
}

func (n *node[K, V]) unlink() {
	n.before.next, n.next.before = n.next, n.before
	n.before, n.next = nil, nil
}
