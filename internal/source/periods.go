package source

import (
	"container/list"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	// maxGroups is the number of Alertmanager's groups that are remembered; the one without a notification for longest
	// goes first.
	maxGroups = 1000
	// gapsKept is the number of gaps that count. The smallest of them is reported, so that changed settings of
	// Alertmanager show soon.
	gapsKept = 4
	// leastInterval and leastRepeat are the shortest gaps that are taken for a period. Shorter ones come from the peers of
	// a pair, which both notify when they cannot reach each other.
	leastInterval, leastRepeat = time.Second, time.Minute
)

// period is how often Alertmanager notifies of a group; zero is unknown.
type period struct {
	// interval is the gap between two notifications of which the second has changes: about group_interval.
	interval time.Duration
	// repeat is the gap between two identical notifications: repeat_interval, and up to a group_interval more.
	repeat time.Duration
}

// periods learns these from the notifications that pass.
type periods struct {
	mu     sync.Mutex
	groups map[[16]byte]*list.Element
	order  *list.List // of *spoken, the latest first
}

// spoken is the last notification of a group, and the gaps before it.
type spoken struct {
	key               [16]byte
	at                time.Time
	content           uint64
	firing            bool
	intervals, repeat []time.Duration
}

func newPeriods() *periods {
	return &periods{groups: map[[16]byte]*list.Element{}, order: list.New()}
}

// with is what is known with this notification.
func (p *periods) with(n *notification, at time.Time) period {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.groups[keyOf(n)]
	if e == nil {
		return period{}
	}
	next := e.Value.(*spoken).then(n, at)
	return period{interval: least(next.intervals), repeat: least(next.repeat)}
}

// accepted remembers a notification. One that was refused is repeated and does not show any period.
func (p *periods) accepted(n *notification, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := keyOf(n)
	e := p.groups[key]
	switch {
	case n.groupKey == "":
	case e == nil:
		p.groups[key] = p.order.PushFront(&spoken{key: key, at: at, content: n.content, firing: n.firing})
		if p.order.Len() > maxGroups {
			delete(p.groups, p.order.Remove(p.order.Back()).(*spoken).key)
		}
	default:
		e.Value = e.Value.(*spoken).then(n, at)
		p.order.MoveToFront(e)
	}
}

// then is what is remembered after the next notification.
func (s *spoken) then(n *notification, at time.Time) *spoken {
	next := &spoken{key: s.key, at: at, content: n.content, firing: n.firing, intervals: s.intervals, repeat: s.repeat}
	gap := at.Sub(s.at).Round(time.Second)
	switch {
	case n.content == s.content && gap >= leastRepeat:
		next.repeat = keep(s.repeat, gap)
	case n.content != s.content && gap >= leastInterval && s.firing:
		// Alertmanager drops a group in which nothing fires, and the next alert in it waits for group_wait only.
		next.intervals = keep(s.intervals, gap)
	}
	return next
}

// keep adds a gap, and forgets the oldest of too many.
func keep(gaps []time.Duration, gap time.Duration) []time.Duration {
	return append(slices.Clone(gaps[max(0, len(gaps)-gapsKept+1):]), gap)
}

func least(gaps []time.Duration) time.Duration {
	if len(gaps) == 0 {
		return 0
	}
	return slices.Min(gaps)
}

// keyOf is short, however long the group's key is.
func keyOf(n *notification) (key [16]byte) {
	sum := sha256.Sum256([]byte(n.externalURL + "\x00" + n.receiver + "\x00" + n.groupKey))
	copy(key[:], sum[:])
	return key
}
