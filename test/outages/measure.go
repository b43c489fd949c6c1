package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/replay"
)

// Row is what became of one recording. An incident that was absorbed counts for Opened and PeakOpen alone, since
// another one goes on in its place.
type Row struct {
	Recording string `json:"recording"`
	// Roots is how many causes there are without the noise: as many incidents would be right. Alerts is how many
	// label sets fired.
	Roots  int `json:"roots"`
	Alerts int `json:"alerts"`
	// Opened is how many incidents were created, PeakOpen the most that fired at one time.
	Opened   int `json:"opened"`
	PeakOpen int `json:"peakOpen"`
	// OfTheOutage is how many incidents hold an alert of a root that is not noise, Storms how many are of type Storm.
	OfTheOutage int `json:"ofTheOutage"`
	Storms      int `json:"storms"`
	// WrongSubjects is how many resources incidents list, at last, that no alert of them is about.
	WrongSubjects int `json:"wrongSubjects"`
	// WrongMerges is how many incidents hold alerts of more than one root.
	WrongMerges int `json:"wrongMerges"`
	// EndedWhileFiring is how many incidents were resolved between begin and end of a firing of one of their alerts.
	// What fires on when the recording ends is not looked at beyond that.
	EndedWhileFiring int `json:"endedWhileFiring"`
	// OpenedAnew is how many incidents there are beyond the first for the same alert about the same object, over all
	// alerts.
	OpenedAnew int `json:"openedAnew"`
	// ARI is the adjusted Rand index of the alerts by their last incident against the alerts by root: 1 when both are
	// the same partition, 0 when it is no better than chance.
	ARI float64 `json:"ari"`
	// Outages is how many outages there are that were not taken over by others. RootsLeft is how many objects without an
	// outage around them hold an alert of a root that is not noise: as many as Roots would be right. MixedRoots is how
	// many outages at the top hold alerts of several of these, NoiseInside how many incidents of nothing but noise are
	// part of an outage. ARIOfRoots is ARI by the outage at the top.
	Outages     int     `json:"outages"`
	RootsLeft   int     `json:"rootsLeft"`
	MixedRoots  int     `json:"mixedRoots"`
	NoiseInside int     `json:"noiseInside"`
	ARIOfRoots  float64 `json:"ariOfRoots"`

	resources int // What WrongSubjects is out of.
}

// measure replays a recording and compares what came of it with the truth.
func measure(ctx context.Context, r recording, policies config.Policies) (Row, error) {
	h, writes := newHistory(), 0
	var failed error
	_, err := replay.Run(ctx, r.notifications, replay.Options{
		Policies: policies, Inventory: r.inventory,
		Changed: func(at time.Time, incident v1alpha1.Incident, deleted bool) {
			writes++
			if err := h.changed(at, incident, deleted, writes); err != nil && failed == nil {
				failed = err
			}
		},
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Row{}, fmt.Errorf("%s: %w", r.name, err)
	}
	// Two alerts of one identity are one to the fold.
	identities, alerts := make([]string, len(r.truth.Alerts)), map[string][]alert{}
	for n, a := range r.truth.Alerts {
		if identities[n], err = identityOf(policies, a); err != nil {
			return Row{}, fmt.Errorf("%s: %w", r.name, err)
		}
		alerts[identities[n]] = append(alerts[identities[n]], a)
	}
	noise := map[string]bool{}
	for _, root := range r.truth.Roots {
		noise[root.ID] = root.Noise
	}
	row := Row{Recording: r.name, Alerts: len(r.truth.Alerts), Opened: len(h.order), PeakOpen: h.mostOpen()}
	for _, isNoise := range noise {
		if !isNoise {
			row.Roots++
		}
	}
	kept := h.kept()
	for _, i := range kept {
		i.count(&row, alerts, noise, &r.cluster)
	}
	row.OpenedAnew = openedAnew(kept, identities, r.truth.Alerts)
	row.ARI = agreement(kept, identities, r.truth.Alerts, func(i *incident) string { return i.last.Name })
	row.ARIOfRoots = agreement(kept, identities, r.truth.Alerts, func(i *incident) string { return h.top(i.last) })
	h.countOutages(&row, kept, alerts, noise)
	return row, nil
}

// count adds what an incident alone tells.
func (i *incident) count(row *Row, alerts map[string][]alert, noise map[string]bool, c *cluster) {
	var objects []object
	roots := map[string]bool{}
	for identity := range i.members {
		for _, a := range alerts[identity] {
			roots[a.Root] = true
			objects = append(objects, a.Object)
		}
	}
	if len(roots) > 1 {
		row.WrongMerges++
	}
	for root := range roots {
		if !noise[root] {
			row.OfTheOutage++
			break
		}
	}
	if i.last.Status.Type == v1alpha1.TypeStorm {
		row.Storms++
	}
	for _, r := range i.last.Status.Resources {
		row.resources++
		if !slices.ContainsFunc(objects, func(o object) bool { return o.is(r, c) }) {
			row.WrongSubjects++
		}
	}
	if slices.ContainsFunc(i.ends, func(e end) bool { return e.whileFiring(alerts) }) {
		row.EndedWhileFiring++
	}
}

// whileFiring reports whether one of the alerts still fired, whatever the sender had reported until then.
func (e end) whileFiring(alerts map[string][]alert) bool {
	for _, identity := range e.members {
		for _, a := range alerts[identity] {
			if slices.ContainsFunc(a.Fired, func(s span) bool { return s.within(e.at) }) {
				return true
			}
		}
	}
	return false
}

// openedAnew counts the incidents of each alert beyond the first.
func openedAnew(kept []*incident, identities []string, alerts []alert) int {
	holders := map[string]map[*incident]bool{}
	for n, a := range alerts {
		same := sameness(a)
		if holders[same] == nil {
			holders[same] = map[*incident]bool{}
		}
		for _, i := range kept {
			if _, holds := i.members[identities[n]]; holds {
				holders[same][i] = true
			}
		}
	}
	again := 0
	for _, incidents := range holders {
		again += max(0, len(incidents)-1)
	}
	return again
}

// agreement compares the alerts by the incident that held each last with the alerts by root. One that no incident
// held is alone.
func agreement(kept []*incident, identities []string, alerts []alert, nameOf func(*incident) string) float64 {
	byIncident, byRoot := make([]string, len(alerts)), make([]string, len(alerts))
	for n, a := range alerts {
		byRoot[n], byIncident[n] = a.Root, "none "+a.Fingerprint
		last := 0
		for _, i := range kept {
			if since, holds := i.members[identities[n]]; holds && since > last {
				last, byIncident[n] = since, nameOf(i)
			}
		}
	}
	return adjustedRand(byIncident, byRoot)
}
