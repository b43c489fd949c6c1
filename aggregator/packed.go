package aggregator

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stormfold/stormfold/internal/subject"
)

// record is what a group remembers of an alert, packed into one string since its size is what a large storm costs:
//
//	status and mark, notifiedAt, generation, object, startsAt as ms before notifiedAt, sources, rest
type record struct {
	// status is f for firing, r for resolved, c for closed: its incident ended while it fired.
	status byte
	// mark is m for a member of the storm, t for a tombstone, that is a resolved alert without an incident, - for
	// others.
	mark byte
	// at is the notifiedAt (ms) of the latest report, 0 for what was imported from Kubernetes.
	at         int64
	generation int64
	// object is the incident of a single alert. For a tombstone it is the notifiedAt (ms) up to which its last incident
	// knew of the alert, empty when it never had one.
	object string
	starts int64
	// sources are its sources as source.lua packs them, and rest is what only Go reads, see recordRest.
	sources, rest string
}

// importedOnly tells whether all that is known of the alert is a resolved incident in Kubernetes.
func (r record) importedOnly() bool { return r.at == 0 && r.status == 'r' }

func (r record) String() string {
	return strings.Join([]string{
		string([]byte{r.status, r.mark}), strconv.FormatInt(r.at, 10), strconv.FormatInt(r.generation, 10), r.object,
		strconv.FormatInt(r.at-r.starts, 10), r.sources, r.rest,
	}, sep)
}

// parseRecord reads what String writes.
func parseRecord(text string) (record, error) {
	parts := strings.SplitN(text, sep, 7)
	if len(parts) < 7 || len(parts[0]) != 2 {
		return record{}, fmt.Errorf("%w: record %q", ErrReply, text)
	}
	r := record{status: parts[0][0], mark: parts[0][1], object: parts[3], sources: parts[5], rest: parts[6]}
	var numbers [3]int64
	for i, part := range []string{parts[1], parts[2], parts[4]} {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return record{}, fmt.Errorf("%w: number %q in record %q", ErrReply, part, text)
		}
		numbers[i] = n
	}
	r.at, r.generation, r.starts = numbers[0], numbers[1], numbers[0]-numbers[2]
	return r, nil
}

// live tells whether the alert fires and belongs to an open incident of a group with these generations.
func (r record) live(since, generation int64) bool {
	return r.status == 'f' && since <= r.generation && r.generation <= generation
}

// member tells whether a storm of that generation counts the alert. Firing ones are members from the generation since
// on.
func (r record) member(since, generation int64) bool {
	return r.live(since, generation) || r.mark == 'm' && r.generation == generation
}

// memberOf is the alert as a storm of that generation lists it. It returns false for one that is no member.
func memberOf(fingerprint, text string, since, generation int64) (Member, bool, error) {
	r, err := parseRecord(text)
	if err != nil || !r.member(since, generation) {
		return Member{}, false, err
	}
	m := Member{
		Fingerprint: fingerprint, Firing: r.status == 'f', Quiet: r.status == 'c', StartsAt: time.UnixMilli(r.starts).UTC(),
	}
	if rest := strings.Split(r.rest, sep); len(rest) >= 4 {
		m.Severity = rest[0]
		m.Resource = subject.Resource{Kind: rest[1], Namespace: rest[2], Name: rest[3]}
		for _, pair := range rest[4:] {
			pair, isTrait := strings.CutPrefix(pair, traitMark)
			if name, value, ok := strings.Cut(pair, "="); ok {
				if isTrait {
					m.Traits = append(m.Traits, Label{name, value})
				} else {
					m.Breakdown = append(m.Breakdown, Label{name, value})
				}
			}
		}
	}
	return m, true, nil
}
