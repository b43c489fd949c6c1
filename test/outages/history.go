package main

import (
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// history is what became of the incidents of a replay, as they were written.
type history struct {
	incidents map[string]*incident
	order     []*incident
	outages   map[string]v1alpha1.Incident
	// open is how many fire, peak the most that did once everything of one moment was written.
	open, peak int
	at         time.Time
}

// incident is one object over time.
type incident struct {
	last v1alpha1.Incident
	// members are the identities that it ever held, with the number of the write by which it held them, or by which
	// they fired in it again.
	members map[string]int
	firing  map[string]bool
	ends    []end
}

// end is one at which an incident was resolved, and what was in it then.
type end struct {
	at      time.Time
	members []string
}

func newHistory() *history {
	return &history{incidents: map[string]*incident{}, outages: map[string]v1alpha1.Incident{}}
}

// changed takes one write.
func (h *history) changed(at time.Time, written v1alpha1.Incident, deleted bool, write int) error {
	if at.After(h.at) {
		h.peak, h.at = max(h.peak, h.open), at
	}
	i := h.incidents[written.Name]
	if written.Status.Type == v1alpha1.TypeOutage {
		if !deleted {
			h.outages[written.Name] = written
		}
		return nil
	}
	if i == nil {
		i = &incident{members: map[string]int{}, firing: map[string]bool{}}
		h.incidents[written.Name] = i
		h.order = append(h.order, i)
	}
	before := i.last.Status.State
	if before == v1alpha1.StateFiring {
		h.open--
	}
	if deleted {
		return nil // What it said last stands.
	}
	i.last = written
	if written.Status.State == v1alpha1.StateFiring {
		h.open++
	}
	if written.Status.State == v1alpha1.StateAbsorbed {
		return nil
	}
	members, err := projector.MembersOf(&written)
	if err != nil {
		return err
	}
	names := make([]string, len(members))
	for n, m := range members {
		names[n] = m.Fingerprint
		if _, known := i.members[m.Fingerprint]; !known || m.Firing && !i.firing[m.Fingerprint] {
			i.members[m.Fingerprint] = write
		}
		i.firing[m.Fingerprint] = m.Firing
	}
	if written.Status.State == v1alpha1.StateResolved && before == v1alpha1.StateFiring {
		ended := at
		if written.Status.ResolvedAt != nil {
			ended = written.Status.ResolvedAt.Time
		}
		i.ends = append(i.ends, end{ended, names})
	}
	return nil
}

// kept are the incidents that were not absorbed.
func (h *history) kept() []*incident {
	var out []*incident
	for _, i := range h.order {
		if i.last.Status.State != v1alpha1.StateAbsorbed {
			out = append(out, i)
		}
	}
	return out
}

func (h *history) mostOpen() int { return max(h.peak, h.open) }

// top is the name of the outage at the top of an incident, or its own.
func (h *history) top(i v1alpha1.Incident) string {
	for i.Status.PartOf != "" {
		parent, known := h.outages[i.Status.PartOf]
		if !known {
			return i.Status.PartOf
		}
		i = parent
	}
	return i.Name
}

// countOutages counts what is left at the top, and what is wrong in it.
func (h *history) countOutages(row *Row, kept []*incident, alerts map[string][]alert, noise map[string]bool) {
	for _, o := range h.outages {
		end := o.Status.Conditions[0].Reason
		if o.Status.State != v1alpha1.StateAbsorbed && end != v1alpha1.ReasonBelowThreshold {
			row.Outages++
		}
	}
	tops := map[string]map[string]bool{}
	for _, i := range kept {
		top, real := h.top(i.last), false
		for identity := range i.members {
			for _, a := range alerts[identity] {
				if noise[a.Root] {
					continue
				}
				real = true
				if tops[top] == nil {
					tops[top] = map[string]bool{}
				}
				tops[top][a.Root] = true
			}
		}
		if !real && i.last.Status.PartOf != "" {
			row.NoiseInside++
		}
	}
	row.RootsLeft = len(tops)
	for _, roots := range tops {
		if len(roots) > 1 {
			row.MixedRoots++
		}
	}
}
