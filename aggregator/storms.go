package aggregator

import "sync"

// mostStorms is how many groups a pod remembers as storms. It forgets all of them rather than keep more.
const mostStorms = 10_000

// storms is what a pod remembers of groups that are storms, so that it need not tell Redis again what a storm does not
// ask for: what an alert's own incident would show, and labels that the storm's alerts have in common anyway. It is a
// guess: a script that finds another state says so, and is told all.
type storms struct {
	mu      sync.Mutex
	byGroup map[string]storm
}

// storm is an open storm as a fold last returned it.
type storm struct {
	// object is the name of the storm's incident.
	object string
	// common are labels among which those are that its alerts have in common: they only ever get fewer.
	common map[string]string
}

func (s *storms) of(group string) storm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byGroup[group]
}

// saw remembers what a fold returned about a group: without an object it is no storm; without common labels they are
// those of before.
func (s *storms) saw(group string, now storm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case now.common == nil && now.object != "" && s.byGroup[group].object == now.object:
	case now.common == nil || now.object == "":
		delete(s.byGroup, group)
	default:
		if s.byGroup == nil || len(s.byGroup) >= mostStorms {
			s.byGroup = map[string]storm{}
		}
		s.byGroup[group] = now
	}
}

// covers tells whether the alerts have all of the storm's common labels.
func (s storm) covers(alerts []Alert) bool {
	for name, value := range s.common {
		for _, alert := range alerts {
			if have, there := alert.Labels[name]; !there || clip(have, maxValue) != value {
				return false
			}
		}
	}
	return true
}
