package aggregator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What Kubernetes shows is merged into what Redis knows: pairs of both, and the outcome.

const (
	mergeNow  = int64(1_000_000)
	cooldown  = int64(10_000)
	anAlert   = "00000000000000a1"
	otherName = "known"
)

// opened is an incident in Redis or Kubernetes: open, written at that revision, for one alert.
func opened(kind string, at, revision int64) entry {
	return entry{
		Type: kind, State: StateFiring, Fingerprint: anAlert, Namespace: "stormfold", OpenedAt: at, Revision: revision,
		Confirmed: revision, ResourceVersion: "7", Told: true, Total: 1, Firing: 1,
	}
}

func (e entry) over(at int64) entry {
	e.State, e.Reason, e.EndedAt, e.Firing = StateResolved, "AllResolved", at, 0
	return e
}

func (e entry) untold() entry {
	e.Told, e.Confirmed, e.ResourceVersion = false, 0, ""
	return e
}

func (e entry) fromKubernetes() entry {
	e.Imported = true
	return e
}

// knows is a group that has an incident named known.
func knows(state string, e entry, r *record) *merging {
	m := &merging{
		now: mergeNow, limits: limits{Cooldown: cooldown, Quiet: 50_000, MaxAlerts: 10},
		group:   fields{known: true, state: state, generation: 1, since: 1, revision: 500},
		entries: map[string]*entry{otherName: &e}, records: map[string]*record{},
	}
	if state != groupCalm {
		m.group.object, m.group.absorbInto = otherName, otherName
	} else if e.open() {
		m.singles, m.counting = 1, 1
	}
	if r != nil {
		m.records[anAlert] = r
	}
	return m
}

func TestMerge(t *testing.T) {
	nothing := func() *merging {
		m := knows(groupCalm, entry{}, nil)
		m.entries, m.singles, m.counting = map[string]*entry{}, 0, 0
		return m
	}
	single := func(status, mark byte, at int64, object string) *record {
		return &record{status: status, mark: mark, at: at, generation: 1, object: object}
	}
	for name, c := range map[string]struct {
		known *merging
		found entry
		// What becomes of the incident that was found and of the one that was known, and the state of the group.
		state, other State
		group        string
		by           string // which incident absorbed the other one
		firing       int    // of the group's storm
	}{
		"Redis is empty, a single alert": {
			known: nothing(), found: opened(typeAlert, 100, 200), state: StateFiring, group: groupCalm,
		},
		"Redis is empty, a storm": {
			known: nothing(), found: opened(typeStorm, 100, 200), state: StateFiring, group: groupStorm, firing: 1,
		},
		"Redis is empty, a storm within its cooldown": {
			known: nothing(), found: opened(typeStorm, 100, 200).over(mergeNow - 5), state: StateResolved, group: groupCool,
		},
		"Redis is empty, a storm long over": {
			known: nothing(), found: opened(typeStorm, 100, 200).over(mergeNow - cooldown - late), state: StateResolved,
			group: groupCalm,
		},
		"Redis is empty, nobody knows for which alert it was created": {
			known: nothing(), found: func() entry { e := opened(typeAlert, 100, 0); e.Fingerprint = ""; return e }(),
			state: StateResolved, group: groupCalm,
		},
		"its alert is in another incident": {
			known: knows(groupCalm, opened(typeAlert, 300, 300), single('f', '-', 300, otherName)),
			found: opened(typeAlert, 100, 200), state: StateAbsorbed, other: StateFiring, by: otherName, group: groupCalm,
		},
		"its alert is in another incident that nobody was told to write": {
			known: knows(groupCalm, opened(typeAlert, 300, 300).untold(), single('f', '-', 300, otherName)),
			found: opened(typeAlert, 100, 200), state: StateFiring, group: groupCalm,
		},
		"its alert is over, in another incident": {
			known: knows(groupCalm, opened(typeAlert, 300, 300).over(400), single('r', '-', 400, otherName)),
			found: opened(typeAlert, 100, 200), state: StateAbsorbed, other: StateResolved, by: otherName, group: groupCalm,
		},
		"its alert was over, in an earlier incident from Kubernetes within the cooldown": {
			known: knows(groupCalm, opened(typeAlert, 50, 60).over(70).fromKubernetes(), single('r', '-', 0, otherName)),
			found: opened(typeAlert, 100, 200), state: StateFiring, other: StateAbsorbed, by: "found", group: groupCalm,
		},
		"its alert was over, long before": {
			known: knows(groupCalm, opened(typeAlert, 50, 60).over(70).fromKubernetes(), single('r', '-', 0, otherName)),
			found: opened(typeAlert, 70+cooldown, 90_000), state: StateFiring, other: StateResolved, group: groupCalm,
		},
		"its alert resolved before anyone knew of the incident": {
			known: func() *merging { m := nothing(); m.records[anAlert] = single('r', 't', 400, ""); return m }(),
			found: opened(typeAlert, 100, 200), state: StateResolved, group: groupCalm,
		},
		"a storm is open": {
			known: knows(groupStorm, opened(typeStorm, 300, 300), nil),
			found: opened(typeAlert, 100, 200), state: StateAbsorbed, other: StateFiring, by: otherName, group: groupStorm,
			firing: 2,
		},
		"an older storm is open": {
			known: knows(groupStorm, opened(typeStorm, 50, 300), nil),
			found: opened(typeStorm, 100, 200), state: StateAbsorbed, other: StateFiring, by: otherName, group: groupStorm,
			firing: 2,
		},
		"a younger storm is open": {
			known: knows(groupStorm, opened(typeStorm, 300, 300), nil),
			found: opened(typeStorm, 100, 200), state: StateFiring, other: StateAbsorbed, by: "found", group: groupStorm,
			firing: 2,
		},
		"a storm is open that nobody was told to write": {
			known: knows(groupStorm, opened(typeStorm, 50, 300).untold(), nil),
			found: opened(typeStorm, 100, 200), state: StateFiring, group: groupStorm, firing: 2,
		},
		"a storm was over and another one went on later": {
			known: knows(groupCool, opened(typeStorm, 50, 60).over(70).fromKubernetes(), nil),
			found: opened(typeStorm, 70+cooldown, 90_000), state: StateFiring, other: StateResolved, group: groupStorm,
			firing: 1,
		},
		"its alert was over in a storm, and fired again after the cooldown, in another storm": {
			known: knows(groupCool, opened(typeStorm, 50, 60).over(70).fromKubernetes(), single('r', 'm', 0, "")),
			found: opened(typeStorm, 70+cooldown, 90_000), state: StateFiring, other: StateResolved, group: groupStorm,
			firing: 1,
		},
		"its alert was over in a storm, and fired again after the cooldown": {
			known: knows(groupCool, opened(typeStorm, 50, 60).over(70).fromKubernetes(), single('r', 'm', 0, "")),
			found: opened(typeAlert, 70+cooldown, 90_000), state: StateFiring, other: StateResolved, group: groupCalm,
		},
		"the same, and the storm was written again since": {
			known: knows(groupCool, opened(typeStorm, 50, 95_000).over(70).fromKubernetes(), single('r', 'm', 0, "")),
			found: opened(typeAlert, 70+cooldown, 90_000), state: StateFiring, other: StateResolved, group: groupCalm,
		},
		"a storm was over by a later revision, and another one was created meanwhile": {
			known: knows(groupCool, opened(typeStorm, 50, 300).over(400).fromKubernetes(), nil),
			found: opened(typeStorm, 100, 200), state: StateAbsorbed, other: StateResolved, by: otherName, group: groupCool,
		},
		"the same, found the other way round": {
			known: knows(groupStorm, opened(typeStorm, 100, 200).fromKubernetes(), nil),
			found: opened(typeStorm, 50, 300).over(mergeNow - 5), state: StateResolved, other: StateAbsorbed, by: "found",
			group: groupCool,
		},
		"a storm that is over was written late, and Redis has decided since": {
			known: knows(groupStorm, opened(typeStorm, 300, 300), nil),
			found: opened(typeStorm, 100, 200).over(250), state: StateAbsorbed, other: StateFiring, by: otherName,
			group:  groupStorm,
			firing: 1,
		},
		"a resolved incident whose alert fires again, in one that nobody was told to write": {
			known: knows(groupCalm, opened(typeAlert, 300, 300).untold(), single('f', '-', 300, otherName)),
			found: opened(typeAlert, 100, 200).over(250), state: StateFiring, group: groupCalm,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := c.known
			c.found.Confirmed = c.found.Revision
			f := found{name: "found", entry: c.found, common: map[string]string{"alertname": "PodDown"}}
			m.incident(f)
			if c.found.Fingerprint != "" {
				m.members(f, []Member{{Fingerprint: anAlert, Firing: c.found.open()}}, true)
			}
			require.Equal(t, c.state, m.entries["found"].State)
			if c.other == "" {
				require.NotContains(t, m.entries, otherName)
			} else {
				require.Equal(t, c.other, m.entries[otherName].State)
			}
			require.Equal(t, c.group, m.group.state)
			switch c.by {
			case otherName:
				require.Equal(t, otherName, m.entries["found"].AbsorbedBy)
			case "found":
				require.Equal(t, "found", m.entries[otherName].AbsorbedBy)
			}
			if storm := m.current(); storm != nil {
				require.Equal(t, c.firing, storm.Firing)
			}
			for _, e := range m.entries {
				require.True(t, e.Revision >= e.Confirmed, "%+v", e)
			}
		})
	}
}

// An object that Redis knows is written again when it shows something else than what was written, and only then.
func TestMergeOfAKnownIncident(t *testing.T) {
	for name, c := range map[string]struct {
		revision int64
		version  string
		again    bool
	}{
		"as written":                        {revision: 300, version: "7"},
		"edited":                            {revision: 300, version: "8", again: true},
		"edited, with an older revision":    {revision: 200, version: "8", again: true},
		"written by a pod that knew better": {revision: 900, version: "8", again: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := knows(groupCalm, opened(typeAlert, 300, 300), nil)
			f := found{name: otherName, entry: opened(typeAlert, 300, c.revision)}
			f.entry.ResourceVersion = c.version
			m.known(f)
			e := m.entries[otherName]
			require.Equal(t, c.again, e.Revision > e.Confirmed)
			require.Greater(t, m.group.revision+1, c.revision)
		})
	}
}

// The order in which the incidents of a group are found does not matter for where each alert is.
func TestMergeInAnyOrder(t *testing.T) {
	incidents := map[string]entry{
		"older-storm":   opened(typeStorm, 100, 200),
		"younger-storm": opened(typeStorm, 150, 250),
		"single":        opened(typeAlert, 120, 120),
		"ended":         opened(typeAlert, 90, 110).over(115),
	}
	names := []string{"ended", "older-storm", "single", "younger-storm"}
	for numbers := range permutations(len(names)) {
		order := make([]string, len(names))
		for i, n := range numbers {
			order[i] = names[n]
		}
		m := knows(groupCalm, entry{}, nil)
		m.entries, m.singles, m.counting = map[string]*entry{}, 0, 0
		for _, name := range order {
			e := incidents[name]
			f := found{name: name, entry: e, common: map[string]string{}}
			m.incident(f)
			m.members(f, []Member{{Fingerprint: anAlert, Firing: e.open()}}, true)
		}
		require.Equal(t, "older-storm", m.group.object, "%v", order)
		require.Equal(
			t,
			[]State{StateFiring, StateAbsorbed},
			[]State{m.entries["older-storm"].State, m.entries["younger-storm"].State},
			"%v",
			order,
		)
		if m.entries["single"].State != StateAbsorbed { // Was open when the storm was found: a snapshot absorbs it.
			require.Equal(t, "older-storm", m.group.absorbInto, "%v", order)
		}
		require.True(t, m.records[anAlert].member(m.group.since, m.group.generation), "%v", order)
	}
}
