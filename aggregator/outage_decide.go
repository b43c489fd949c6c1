package aggregator

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stormfold/stormfold/config"
)

// outageState is what the group of an outage policy remembers beside the reports.
type outageState struct {
	Revision int64 `json:"revision"`
	// Outages are those that are open, or whose objects still exist, by name.
	Outages map[string]*outageEntry `json:"outages,omitempty"`
	// Told is the outage that each incident was told that it is part of.
	Told map[string]string `json:"told,omitempty"`
	// Waits is since when a run waits for the policy's hold (ms), 0: none does.
	Waits int64 `json:"waits,omitempty"`
	// Interval and LastFlush are the flush interval and the last write (ms).
	Interval  int64 `json:"interval,omitempty"`
	LastFlush int64 `json:"lastFlush,omitempty"`
}

// outageEntry is what Kubernetes should show of an outage. Times are ms since 1970.
type outageEntry struct {
	State      State    `json:"state"`
	Reason     string   `json:"reason,omitempty"`
	AbsorbedBy string   `json:"absorbedBy,omitempty"`
	OpenedAt   int64    `json:"openedAt"`
	ChangedAt  int64    `json:"changedAt"`
	EndedAt    int64    `json:"endedAt,omitempty"`
	ReopenedAt int64    `json:"reopenedAt,omitempty"`
	Reopened   int      `json:"reopened,omitempty"`
	Cause      string   `json:"cause,omitempty"`
	Members    []string `json:"members"`
	// Digest is over all that the object shows of its members.
	Digest string `json:"digest"`
	// Revision is wanted, Confirmed is in Kubernetes, with ResourceVersion.
	Revision        int64   `json:"revision"`
	Confirmed       int64   `json:"confirmed"`
	ResourceVersion string  `json:"resourceVersion,omitempty"`
	Namespace       string  `json:"namespace"`
	Parent          *parent `json:"parent,omitempty"`
	Up              *up     `json:"up,omitempty"`
}

// reasonBelowThreshold is why an outage ended that has too few members left, since none of them belongs to another.
const reasonBelowThreshold = "BelowThreshold"

// open tells whether members may still join: the outage fires, or may be reopened.
func (e *outageEntry) open(cooldown time.Duration, now int64) bool {
	return e.State == StateFiring || now < e.EndedAt+cooldown.Milliseconds()
}

// outageGroup is a group of an outage policy, read under its lease.
type outageGroup struct {
	id, name  string // Name is the policy's.
	labels    map[string]string
	policy    *config.Outage // Nil when there is no such policy any more.
	state     outageState
	reports   map[string]*report
	truncated bool
	now       int64

	untold    []string        // Incidents that may have been told what they are part of and do not know.
	found     []foundOutage   // Outages that an import found in Kubernetes.
	needed    map[string]bool // Incidents that an outage still shows.
	forgotten []string        // Reports that are dropped.
}

// decide brings the outages of the group to where the reports and the time want them. The members follow from the
// reports alone; what is remembered gives a run its name, and an end its cooldown.
func (g *outageGroup) decide(namespace string) {
	var runs []outageRun
	if g.policy != nil {
		runs = runsOf(g.policy, g.candidates())
	}
	cooldown, retention := g.times()
	taken := map[int]bool{}
	for _, name := range g.byAge() {
		e := g.state.Outages[name]
		if !e.open(cooldown, g.now) {
			continue
		}
		if i := mostShared(runs, taken, e.Members); i >= 0 {
			taken[i] = true
			g.follow(e, runs[i])
		} else if e.State == StateFiring {
			g.dissolve(name, e)
		}
	}
	wait := false
	for i, run := range runs {
		if taken[i] || !slices.ContainsFunc(run.parts, func(p Part) bool { return p.Firing }) {
			continue
		}
		if g.state.Waits == 0 {
			g.state.Waits = g.now
		}
		if g.now < g.state.Waits+g.policy.Hold.Milliseconds() {
			wait = true
			continue
		}
		e := &outageEntry{State: StateFiring, OpenedAt: g.now, Namespace: namespace}
		g.follow(e, run)
		g.state.Outages[g.nameOf(e.Revision)] = e
	}
	if !wait {
		g.state.Waits = 0
	}
	g.forget(cooldown, retention)
}

// times are the policy's cooldown and retention; without a policy nothing is reopened, and objects stay for an hour.
func (g *outageGroup) times() (cooldown, retention time.Duration) {
	if g.policy == nil {
		return 0, time.Hour
	}
	return g.policy.Cooldown, g.policy.Retention
}

// candidates are the incidents that no outage of an earlier policy has.
func (g *outageGroup) candidates() []Part {
	var out []Part
	for _, r := range g.reports {
		if !r.Gone && (r.Parent == nil || r.Parent.Rank >= g.policy.Rank) {
			out = append(out, r.Part)
		}
	}
	return out
}

// byAge are the names of the outages, the oldest first.
func (g *outageGroup) byAge() []string {
	names := slices.Sorted(maps.Keys(g.state.Outages))
	slices.SortStableFunc(names, func(a, b string) int {
		return int(g.state.Outages[a].OpenedAt - g.state.Outages[b].OpenedAt)
	})
	return names
}

// mostShared is the run that is not taken and shares the most members, -1 for none.
func mostShared(runs []outageRun, taken map[int]bool, members []string) int {
	known := map[string]bool{}
	for _, name := range members {
		known[name] = true
	}
	best, most := -1, 0
	for i, run := range runs {
		n := 0
		for _, p := range run.parts {
			if known[p.Name] {
				n++
			}
		}
		if !taken[i] && n > most {
			best, most = i, n
		}
	}
	return best
}

// follow makes an outage that of a run.
func (g *outageGroup) follow(e *outageEntry, run outageRun) {
	var digest strings.Builder
	members, firing := make([]string, len(run.parts)), false
	for i, p := range run.parts {
		members[i], firing = p.Name, firing || p.Firing
		fmt.Fprintf(&digest, "%s %d %t\n", p.Name, g.reports[p.Name].Revision, p.Cause)
	}
	slices.Sort(members)
	state, changed := e.State, digestOf(digest.String()) != e.Digest
	switch {
	case firing && state != StateFiring:
		e.State, e.Reason, e.AbsorbedBy, e.EndedAt = StateFiring, "", "", 0
		e.Reopened, e.ReopenedAt, changed = e.Reopened+1, g.now, true
	case !firing && state == StateFiring:
		e.State, e.Reason, e.EndedAt, changed = StateResolved, "AllResolved", g.now, true
	}
	if changed || e.Cause != run.cause {
		e.Members, e.Cause, e.Digest = members, run.cause, digestOf(digest.String())
		g.touch(e)
	}
}

// dissolve ends an outage whose members are no run any more: it is absorbed by the outage that has most of them.
func (g *outageGroup) dissolve(name string, e *outageEntry) {
	owners := map[string]int{}
	for _, member := range e.Members {
		if r := g.reports[member]; r != nil && r.Parent != nil && r.Parent.Name != name {
			owners[r.Parent.Name]++
		}
	}
	for other, o := range g.state.Outages {
		for _, member := range e.Members {
			if other != name && o.State == StateFiring && slices.Contains(o.Members, member) {
				owners[other]++
			}
		}
	}
	e.State, e.Reason, e.EndedAt = StateResolved, reasonBelowThreshold, g.now
	most := 0
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		if owners[owner] > most {
			most, e.State, e.Reason, e.AbsorbedBy = owners[owner], StateAbsorbed, "", owner
		}
	}
	g.touch(e)
}

// touch gives an outage the next revision.
func (g *outageGroup) touch(e *outageEntry) {
	g.state.Revision = max(g.state.Revision+1, g.now)
	e.Revision, e.ChangedAt = g.state.Revision, g.now
}

// forget drops the reports that no outage needs, and those that can no longer become part of one.
func (g *outageGroup) forget(cooldown, retention time.Duration) {
	g.needed = map[string]bool{}
	for _, e := range g.state.Outages {
		if e.open(cooldown, g.now) || e.Confirmed < e.Revision {
			for _, name := range e.Members {
				g.needed[name] = true
			}
		}
	}
	keep := cooldown
	if g.policy != nil {
		keep += g.policy.Window
	}
	for name, r := range g.reports {
		over := r.Gone || g.policy == nil || !r.Firing && g.now-r.EndedAt.UnixMilli() >= keep.Milliseconds()
		if over && !g.needed[name] {
			g.forgotten = append(g.forgotten, name)
			delete(g.state.Told, name)
		}
	}
}

// nameOf makes the name of an outage's object, once: the policy's name and its group labels, and 50 bits of a hash of
// group and revision, as ten digits of base 32.
func (g *outageGroup) nameOf(revision int64) string {
	text := g.name
	for _, name := range slices.Sorted(maps.Keys(g.labels)) {
		text += " " + g.labels[name]
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(g.id), uint64(revision)))
	return slug(text) + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:10])
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:10])
}

// tells is what members have to be told: the name of the outage that they are part of, "" for none. A member learns of
// an outage once that is in Kubernetes, and keeps one that has ended.
func (g *outageGroup) tells() map[string]string {
	want := map[string]string{}
	for member := range g.state.Told {
		want[member] = ""
	}
	for _, name := range g.byAge() {
		e := g.state.Outages[name]
		for _, member := range e.Members {
			told := g.state.Told[member]
			switch {
			case e.Confirmed > 0 && e.State == StateFiring,
				e.Confirmed > 0 && e.State == StateResolved && e.Reason != reasonBelowThreshold && (told == name || told == ""):
				want[member] = name
			case e.State == StateFiring && want[member] == "" && told != "":
				want[member] = told // Until the next one is there.
			}
		}
	}
	maps.DeleteFunc(want, func(member, name string) bool { return g.state.Told[member] == name })
	return want
}

// due is when the group wants attention next (ms), 0 for never.
func (g *outageGroup) due() int64 {
	cooldown, retention := g.times()
	var at int64
	sooner := func(t int64) {
		if at == 0 || t < at {
			at = t
		}
	}
	for _, e := range g.state.Outages {
		if e.Confirmed < e.Revision {
			sooner(g.now)
		} else if e.State != StateFiring {
			if e.open(cooldown, g.now) {
				sooner(e.EndedAt + cooldown.Milliseconds()) // Its incidents are forgotten then.
			}
			sooner(e.EndedAt + retention.Milliseconds())
		}
	}
	if g.policy == nil {
		return at
	}
	if g.state.Waits > 0 {
		sooner(g.state.Waits + g.policy.Hold.Milliseconds())
	}
	for name, r := range g.reports {
		if !r.Firing && !g.needed[name] && !slices.Contains(g.forgotten, name) {
			sooner(r.EndedAt.UnixMilli() + (cooldown + g.policy.Window).Milliseconds())
		}
	}
	return at
}
