package faults

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// Verdict is what a comparison of Kubernetes with a journal came to.
type Verdict struct {
	// Events were sent, Refused is how many answers were no 2xx.
	Events, Refused int
	// Answers counts the answers by code and reason.
	Answers map[string]int
	// Alerts is how many alerts the taken events were about.
	Alerts int
	// Lost alerts were in a taken event and are in no incident. Doubled ones are in more than one, or their group has more
	// than one storm, or open incidents beside an open storm. Wrong is everything that contradicts the journal or itself:
	// an alert that was never sent, a status that is not the latest one, counts that do not add up. The same goes for
	// incidents and outages.
	Lost, Doubled, Wrong int
	// Problems say what each of them is.
	Problems []string
}

// Err is nil when nothing is lost, doubled or wrong.
func (v Verdict) Err() error {
	if v.Lost+v.Doubled+v.Wrong == 0 {
		return nil
	}
	shown := v.Problems[:min(len(v.Problems), 12)]
	return fmt.Errorf("%s\n  %s\n  (%d in all)", v, strings.Join(shown, "\n  "), len(v.Problems))
}

func (v Verdict) String() string {
	answers := make([]string, 0, len(v.Answers))
	for _, code := range slices.Sorted(maps.Keys(v.Answers)) {
		answers = append(answers, fmt.Sprintf("%s: %d", code, v.Answers[code]))
	}
	return fmt.Sprintf("%d events (%s), %d alerts, %d lost, %d doubled, %d wrong",
		v.Events, strings.Join(answers, ", "), v.Alerts, v.Lost, v.Doubled, v.Wrong)
}

func (v *Verdict) lost(format string, args ...any) {
	v.Lost++
	v.Problems = append(v.Problems, "lost: "+fmt.Sprintf(format, args...))
}

func (v *Verdict) doubled(format string, args ...any) {
	v.Doubled++
	v.Problems = append(v.Problems, "doubled: "+fmt.Sprintf(format, args...))
}

func (v *Verdict) wrong(format string, args ...any) {
	v.Wrong++
	v.Problems = append(v.Problems, "wrong: "+fmt.Sprintf(format, args...))
}

// Check compares the incidents in Kubernetes with the journal.
//
// Every alert of every taken event is in exactly one incident that is not absorbed, with its latest status; only a
// truncated incident may count alerts that it does not list. An event that was not taken may count or not. An alert
// that Redis forgot and that is over need not be in any.
func Check(j *Journal, incidents []v1alpha1.Incident) Verdict {
	v := Verdict{Answers: j.Answers()}
	v.Events, v.Refused = j.counts()
	alerts := j.alerts()
	groups := map[string]*standing{}
	names := map[string]bool{}
	for i := range incidents {
		names[incidents[i].Name] = true
	}
	where, racks := map[string][]place{}, map[string]string{}
	for i := range incidents {
		in := &incidents[i]
		if in.Status.State == v1alpha1.StateAbsorbed {
			if !names[in.Status.AbsorbedBy] {
				v.wrong("%s is absorbed by %q, which does not exist", in.Name, in.Status.AbsorbedBy)
			}
			continue
		}
		if in.Status.Type == v1alpha1.TypeOutage {
			continue
		}
		g := groups[groupedBy(in)]
		if g == nil {
			g = &standing{name: groupOf(in)}
			groups[groupedBy(in)] = g
		}
		members := v.incident(in, g)
		for fingerprint, firing := range members {
			where[fingerprint] = append(where[fingerprint], place{in.Name, groupedBy(in), firing})
			a := alerts[fingerprint]
			if a != nil {
				racks[in.Name] = a.rack
			}
			switch {
			case a == nil:
				v.wrong("%s has alert %s, which was never sent", in.Name, fingerprint)
			case a.group != groupOf(in):
				v.wrong("%s of group %s has alert %s of group %s", in.Name, groupOf(in), fingerprint, a.group)
			case !firing && j.regrouped && a.mayBe(true): // It may be over here, and fire in a group of other policies.
			case !a.mayBe(firing):
				v.wrong("%s has alert %s as %s, which is not its latest status", in.Name, fingerprint, word(firing))
			}
		}
	}
	v.groups(groups)
	v.alerts(alerts, where, groups, j.regrouped)
	v.outages(incidents, racks)
	slices.Sort(v.Problems)
	return v
}

// standing is a group's state in Kubernetes.
type standing struct {
	// name of the group, as a Word has it. After the policies have changed there may be several of one name.
	name                            string
	storms, openStorms, openSingles []string
	// beyond is how many alerts the group's incidents count without listing them.
	beyond int
}

// groupOf is the group of an incident, as a Word names it.
func groupOf(in *v1alpha1.Incident) string {
	return in.Spec.GroupLabels["namespace"] + "/" + in.Spec.GroupLabels["alertname"]
}

// groupedBy tells groups of one name apart.
func groupedBy(in *v1alpha1.Incident) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(in.Spec.GroupLabels)) {
		parts = append(parts, name+"="+in.Spec.GroupLabels[name])
	}
	return strings.Join(parts, ",")
}

// place is where an alert is listed: in which incident, of which group, and whether as firing.
type place struct {
	name, group string
	firing      bool
}

// present leaves out where an alert is over when it fires in another group.
func present(in []place) []place {
	i := slices.IndexFunc(in, func(p place) bool { return p.firing })
	if i < 0 {
		return in[:min(1, len(in))]
	}
	group := in[i].group
	return slices.DeleteFunc(slices.Clone(in), func(p place) bool { return !p.firing && p.group != group })
}

// incident looks at one incident by itself and returns its alerts, with true for those that fire.
func (v *Verdict) incident(in *v1alpha1.Incident, g *standing) map[string]bool {
	st := &in.Status
	open := st.State == v1alpha1.StateFiring
	switch {
	case st.State == "":
		v.wrong("%s has no status", in.Name)
		return nil
	case st.Type == v1alpha1.TypeStorm:
		g.storms = append(g.storms, in.Name)
		if open {
			g.openStorms = append(g.openStorms, in.Name)
		}
	case open:
		g.openSingles = append(g.openSingles, in.Name)
	}
	members, err := members(st.Upkeep.Members, int(st.Upkeep.Firing))
	if err != nil {
		v.wrong("%s: %v", in.Name, err)
	}
	if st.Alerts.Total != st.Alerts.Firing+st.Alerts.Resolved {
		v.wrong("%s: %d firing and %d resolved are not %d", in.Name, st.Alerts.Firing, st.Alerts.Resolved, st.Alerts.Total)
	}
	beyond := int(st.Alerts.Total) - len(members)
	if beyond < 0 || beyond > 0 && !st.Truncated {
		v.wrong("%s counts %d alerts and lists %d", in.Name, st.Alerts.Total, len(members))
	} else {
		g.beyond += beyond
	}
	if !st.Truncated && st.Alerts.Firing != st.Upkeep.Firing {
		v.wrong("%s counts %d firing alerts and lists %d", in.Name, st.Alerts.Firing, st.Upkeep.Firing)
	}
	if open != (st.Alerts.Firing > 0) && !st.Truncated {
		v.wrong("%s is %s with %d alerts firing", in.Name, st.State, st.Alerts.Firing)
	}
	return members
}

// groups looks for second incidents of one group. Incidents that ended before the storm began stay beside it.
func (v *Verdict) groups(groups map[string]*standing) {
	for name, g := range groups {
		if len(g.storms) > 1 {
			v.doubled("group %s has %d storms: %v", name, len(g.storms), g.storms)
		}
		if len(g.openStorms) > 0 && len(g.openSingles) > 0 {
			v.doubled("group %s has %v open beside the storm %v", name, g.openSingles, g.openStorms)
		}
	}
}

// alerts looks for every alert of the journal in the incidents.
func (v *Verdict) alerts(
	alerts map[string]*alert,
	where map[string][]place,
	groups map[string]*standing,
	regrouped bool,
) {
	beyond := map[string]int{}
	for _, g := range groups {
		beyond[g.name] += g.beyond
	}
	for fingerprint, a := range alerts {
		if a.word != nil {
			v.Alerts++
		}
		in := where[fingerprint]
		if regrouped {
			in = present(in)
		}
		switch {
		case len(in) == 1 && regrouped && !a.mayBe(in[0].firing):
			v.wrong("alert %s of group %s is only in %s, as %s", fingerprint, a.group, in[0].name, word(in[0].firing))
		case len(in) > 1:
			v.doubled("alert %s of group %s is in %v", fingerprint, a.group, in)
		case len(in) == 1 || a.word == nil:
		case a.forgotten && !a.word.Firing: // A word that only ever says resolved makes no incident.
		case beyond[a.group] > 0:
			beyond[a.group]--
		default:
			v.lost("alert %s of group %s, %s at %s", fingerprint, a.group, word(a.word.Firing), a.word.At.Format("15:04:05.000"))
		}
	}
}

func word(firing bool) string {
	if firing {
		return "firing"
	}
	return "resolved"
}

// members reads status.upkeep.members, on purpose not with the code that wrote it: base64 of 8 bytes for each alert,
// its fingerprint as a big-endian number, the firing ones first.
func members(encoded string, firing int) (map[string]bool, error) {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("status.upkeep.members is not base64: %w", err)
	}
	if len(raw)%8 != 0 || firing < 0 || firing > len(raw)/8 {
		return nil, fmt.Errorf("status.upkeep.members has %d bytes, of which %d alerts should fire", len(raw), firing)
	}
	out := make(map[string]bool, len(raw)/8)
	for i := 0; i < len(raw); i += 8 {
		fingerprint := fmt.Sprintf("%016x", binary.BigEndian.Uint64(raw[i:]))
		if _, twice := out[fingerprint]; twice {
			return out, fmt.Errorf("status.upkeep.members has %s twice", fingerprint)
		}
		out[fingerprint] = i/8 < firing
	}
	return out, nil
}
