package aggregator

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/config"
)

// outageRun is a set of incidents that an outage policy joins.
type outageRun struct {
	parts []Part // By start, then by name.
	// cause is the name of the earliest cause among them.
	cause string
}

// runsOf joins the incidents of a group of an outage policy. It is a pure function of incidents and policy, so neither
// the order of the events nor their repetition matters:
//
//   - Incidents count for the threshold when they began within the policy's window.
//   - A run that rests on labels or on a cause takes what begins while one of its incidents fires, or within the window
//     after the last one began; and a cause that fires when the run begins, however long it has.
//   - A run that rests on time alone takes what begins within the window after its last incident, and what began within
//     the window before its first.
func runsOf(p *config.Outage, parts []Part) []outageRun {
	parts = inOrder(p, parts)
	var runs []outageRun
	for len(parts) > 0 {
		onset := 0
		for onset < len(parts) && !begins(p, parts[onset:]) {
			onset++
		}
		if onset == len(parts) {
			break
		}
		take := takeByLabel
		if restsOnTime(p) {
			take = takeByTime
		}
		var run outageRun
		run.parts, parts = take(p, parts[:onset], parts[onset:])
		if i := slices.IndexFunc(run.parts, func(a Part) bool { return a.Cause }); i >= 0 {
			run.cause = run.parts[i].Name
		}
		if run.cause != "" || len(p.Cause) == 0 {
			runs = append(runs, run)
		}
	}
	return runs
}

// inOrder are the incidents by start, with what the policy says of causes.
func inOrder(p *config.Outage, parts []Part) []Part {
	parts = slices.Clone(parts)
	for i := range parts {
		parts[i].Cause = isCause(p, parts[i].Labels)
	}
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), strings.Compare(a.Name, b.Name))
	})
	return parts
}

// restsOnTime tells whether incidents of an outage of the policy have nothing but time in common.
func restsOnTime(p *config.Outage) bool { return p.Distinct != "" && len(p.Cause) == 0 }

// begins tells whether enough incidents began within the window that the first one opens.
func begins(p *config.Outage, parts []Part) bool { return began(p, parts, p.Threshold) >= p.Threshold }

// began counts, up to most, what began within the window that the first incident opens and counts for the threshold.
// Where values of a label are counted, the first incident has to count.
func began(p *config.Outage, parts []Part, most int) int {
	if restsOnTime(p) && parts[0].Labels[p.Distinct] == "" {
		return 0
	}
	n, values := 0, map[string]bool{}
	for _, a := range parts {
		if !within(p, parts[0].StartsAt, a.StartsAt) || n >= most {
			break
		}
		switch value := a.Labels[p.Distinct]; {
		case p.Distinct == "":
			n++
		case value != "" && (a.Cause || len(p.Cause) == 0):
			values[value] = true
			n = len(values)
		}
	}
	return n
}

// within tells whether what began then is in the window that the first start opens.
func within(p *config.Outage, first, start time.Time) bool {
	after := start.Sub(first)
	return after < p.Window || after == p.Window && !restsOnTime(p)
}

// takeByLabel takes what begins while the run fires, and returns what is left.
func takeByLabel(p *config.Outage, before, parts []Part) (run, rest []Part) {
	onset := parts[0].StartsAt
	for _, a := range before {
		if a.Cause && (a.Firing || !a.EndedAt.Before(onset)) {
			run = append(run, a)
		}
	}
	var until time.Time
	firing := false
	for i, a := range parts {
		if !firing && a.StartsAt.After(until) && i > 0 {
			return run, parts[i:]
		}
		run = append(run, a)
		firing = firing || a.Firing
		until = later(later(until, a.EndedAt), a.StartsAt.Add(p.Window))
	}
	return run, nil
}

// takeByTime takes what follows within the window, and what came just before.
func takeByTime(p *config.Outage, before, parts []Part) (run, rest []Part) {
	for _, a := range before {
		if parts[0].StartsAt.Sub(a.StartsAt) <= p.Window {
			run = append(run, a)
		}
	}
	for i, a := range parts {
		if i > 0 && a.StartsAt.Sub(parts[i-1].StartsAt) > p.Window {
			return run, parts[i:]
		}
		run = append(run, a)
	}
	return run, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
