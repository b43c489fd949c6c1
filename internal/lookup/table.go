package lookup

import "time"

const (
	// remembered is how long what was deleted is still found: its alerts go on for a while.
	remembered = time.Hour
	// maxDeleted bounds how many deleted entries a table remembers; the oldest is forgotten first.
	maxDeleted = 20_000
)

// table is a map that remembers for a while what was deleted.
type table[K comparable, V any] struct {
	now     func() time.Time
	live    map[K]V
	deleted map[K]deleted[V]
	// order are the deletions, oldest first. One of an entry that was set again since is void.
	order []deletion[K]
}

type deleted[V any] struct {
	value V
	at    time.Time
}

type deletion[K comparable] struct {
	key K
	at  time.Time
}

func newTable[K comparable, V any](now func() time.Time) table[K, V] {
	return table[K, V]{now: now, live: map[K]V{}, deleted: map[K]deleted[V]{}}
}

// get returns an entry, or one that was deleted within the last hour.
func (t *table[K, V]) get(key K) (V, bool) {
	if value, known := t.live[key]; known {
		return value, true
	}
	gone, known := t.deleted[key]
	if !known || t.now().Sub(gone.at) >= remembered {
		var nothing V
		return nothing, false
	}
	return gone.value, true
}

func (t *table[K, V]) set(key K, value V) {
	t.live[key] = value
	delete(t.deleted, key)
}

func (t *table[K, V]) remove(key K) {
	value, known := t.live[key]
	if !known {
		return
	}
	delete(t.live, key)
	now := t.now()
	t.deleted[key] = deleted[V]{value, now}
	t.order = append(t.order, deletion[K]{key, now})
	for len(t.order) > maxDeleted || now.Sub(t.order[0].at) >= remembered {
		if first := t.order[0]; t.deleted[first.key].at.Equal(first.at) {
			delete(t.deleted, first.key)
		}
		t.order = t.order[1:]
	}
}
