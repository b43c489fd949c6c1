package replay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
)

// Report is the result of a replay. Its JSON is for scripts: fields may be added, but existing ones keep their meaning.
type Report struct {
	// From and To are the times of the first and the last notification, End that at which the clock stopped.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	End  time.Time `json:"end"`
	// Notifications is the number of documents with alerts, Reports the number of alerts in all of them.
	Notifications int `json:"notifications"`
	Reports       int `json:"reports"`
	// Alertmanager is what people get from Alertmanager about the same alerts.
	Alertmanager Notified `json:"alertmanager"`
	// Totals are the numbers of all policies together.
	Totals Line `json:"totals"`
	// PeakFiring is the highest number of alerts that the incidents showed as firing at one time, and PeakAt when.
	PeakFiring int       `json:"peakFiring"`
	PeakAt     time.Time `json:"peakAt,omitzero"`
	// Open is the number of incidents that still fired when the clock stopped.
	Open int `json:"open"`
	// Policies has a line for each policy that took an alert, in the order of the policies.
	Policies []PolicyLine `json:"policies"`
	// Incidents are all that were created, in order of creation; Outages those that join others.
	Incidents []Incident `json:"incidents"`
	Outages   []Incident `json:"outages"`
	// Roots is the number of incidents and outages that are part of no outage, without absorbed ones: what people have to
	// look at.
	Roots int `json:"roots"`
}

// Line has the numbers of a set of alerts.
type Line struct {
	// Alerts is the number of distinct alerts, by fingerprint, Firings how often one of them started to fire.
	Alerts  int `json:"alerts"`
	Firings int `json:"firings"`
	// Incidents is the number of objects that were created, Storms of those that became a storm, Absorbed of those that
	// were absorbed by one.
	Incidents int `json:"incidents"`
	Storms    int `json:"storms"`
	Absorbed  int `json:"absorbed"`
	// Reduction is Firings per incident.
	Reduction float64 `json:"reduction"`
	Writes    Writes  `json:"writes"`
}

// PolicyLine is a Line of one policy.
type PolicyLine struct {
	Policy string `json:"policy"`
	Line
}

// Writes are the numbers of write calls to the Kubernetes API.
type Writes struct {
	Create int `json:"create"`
	Status int `json:"status"`
	Delete int `json:"delete"`
}

// Total is all of them.
func (w Writes) Total() int { return w.Create + w.Status + w.Delete }

func (w *Writes) add(more Writes) {
	w.Create, w.Status, w.Delete = w.Create+more.Create, w.Status+more.Status, w.Delete+more.Delete
}

// Incident is the last state of one object.
type Incident struct {
	Name        string            `json:"name"`
	Policy      string            `json:"policy"`
	AlertName   string            `json:"alertName"`
	GroupLabels map[string]string `json:"groupLabels"`
	// Type is Alert or Storm, State Firing, Resolved or Absorbed, Reason that of the end: AllResolved, Quiet, MaxDuration
	// or Absorbed, and empty while it fires.
	Type     string `json:"type"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Severity string `json:"severity,omitempty"`
	// Alerts is its last count, PeakFiring its highest count of firing alerts.
	Alerts     int `json:"alerts"`
	PeakFiring int `json:"peakFiring"`
	Resources  int `json:"resources"`
	Reopened   int `json:"reopened"`
	// OpenedAt is when it was created; StormAt and EndedAt are absent if that did not happen.
	OpenedAt time.Time `json:"openedAt"`
	StormAt  time.Time `json:"stormAt,omitzero"`
	EndedAt  time.Time `json:"endedAt,omitzero"`
	// Seconds from OpenedAt to EndedAt, or to the end of the clock while it fires.
	Seconds    int64  `json:"seconds"`
	AbsorbedBy string `json:"absorbedBy,omitempty"`
	// PartOf names the outage that it is part of.
	PartOf string `json:"partOf,omitempty"`
	Writes Writes `json:"writes"`
}

// tally counts the input.
type tally struct {
	alerts  map[string]map[string]bool // policy → fingerprints
	firings map[string]int
}

func newTally() *tally {
	return &tally{alerts: map[string]map[string]bool{}, firings: map[string]int{}}
}

// folded counts the alerts of a fold.
func (t *tally) folded(groups []aggregator.Group, folded []aggregator.Folded) {
	for i, g := range groups {
		name := g.Policy.Name
		if t.alerts[name] == nil {
			t.alerts[name] = map[string]bool{}
		}
		for _, a := range g.Alerts {
			t.alerts[name][a.Fingerprint] = true
		}
		t.firings[name] += folded[i].NewlyFiring
	}
}

// report returns the result.
func (p *pod) report(notifications []Notification) *Report {
	p.ledger.peak()
	out := &Report{
		From: notifications[0].At, To: notifications[len(notifications)-1].At, End: p.now,
		Notifications: len(notifications), PeakFiring: p.ledger.most, PeakAt: p.ledger.mostAt, Open: p.ledger.open,
		Policies: []PolicyLine{}, Incidents: []Incident{}, Outages: []Incident{},
	}
	distinct := map[string]bool{}
	for _, n := range notifications {
		out.Reports += len(n.Batch.Alerts)
		for _, a := range n.Batch.Alerts {
			distinct[a.Fingerprint] = true
		}
	}
	lines := map[string]*Line{}
	for _, a := range p.ledger.order {
		i := incidentOf(a, p.now)
		if i.PartOf == "" && i.State != string(v1alpha1.StateAbsorbed) && i.Reason != v1alpha1.ReasonBelowThreshold {
			out.Roots++
		}
		if i.Type == string(v1alpha1.TypeOutage) {
			out.Outages = append(out.Outages, i)
			out.Totals.Writes.add(i.Writes)
			continue
		}
		out.Incidents = append(out.Incidents, i)
		if lines[i.Policy] == nil {
			lines[i.Policy] = &Line{}
		}
		lines[i.Policy].count(i)
		out.Totals.count(i)
	}
	for _, policy := range p.policies.List {
		if p.alerts[policy.Name] == nil {
			continue
		}
		line := lines[policy.Name]
		if line == nil {
			line = &Line{}
		}
		line.Alerts, line.Firings = len(p.alerts[policy.Name]), p.firings[policy.Name]
		line.reduce()
		out.Policies = append(out.Policies, PolicyLine{policy.Name, *line})
		out.Totals.Firings += line.Firings
	}
	out.Totals.Alerts = len(distinct)
	out.Totals.reduce()
	return out
}

func (l *Line) count(i Incident) {
	l.Incidents++
	if i.Type == string(v1alpha1.TypeStorm) {
		l.Storms++
	}
	if i.State == string(v1alpha1.StateAbsorbed) {
		l.Absorbed++
	}
	l.Writes.add(i.Writes)
}

// reduce fills in Reduction, with one decimal.
func (l *Line) reduce() {
	if l.Incidents > 0 {
		l.Reduction = math.Round(10*float64(l.Firings)/float64(l.Incidents)) / 10
	}
}

// incidentOf is an object of the ledger for the report.
func incidentOf(a *account, now time.Time) Incident {
	st := &a.incident.Status
	out := Incident{
		Name: a.incident.Name, Policy: a.incident.Spec.Policy, AlertName: a.incident.Spec.AlertName,
		GroupLabels: a.incident.Spec.GroupLabels, Type: string(st.Type), State: string(st.State), Severity: st.Severity,
		Alerts: int(st.Alerts.Total), PeakFiring: a.peak, Resources: int(st.ResourceCount), Reopened: int(st.Reopened),
		OpenedAt: a.created, AbsorbedBy: st.AbsorbedBy, PartOf: st.PartOf, Writes: a.writes,
	}
	if st.StormAt != nil {
		out.StormAt = st.StormAt.Time
	}
	switch {
	case st.ResolvedAt != nil:
		out.EndedAt = st.ResolvedAt.Time
	case !a.absorbed.IsZero():
		out.EndedAt = a.absorbed
	}
	for _, c := range st.Conditions {
		if c.Type == v1alpha1.ConditionResolved && c.Status == "True" {
			out.Reason = c.Reason
		}
	}
	out.Seconds = max(0, int64(cmp.Or(out.EndedAt, now).Sub(out.OpenedAt).Round(time.Second)/time.Second))
	return out
}

// Foremost are the incidents to look at first: outages, then storms, then others, each by the number of their alerts.
func Foremost(incidents []Incident) []Incident {
	rank := func(i Incident) int {
		switch {
		case i.Type == string(v1alpha1.TypeOutage) && i.State != string(v1alpha1.StateAbsorbed):
			return -1
		case i.Type == string(v1alpha1.TypeStorm):
			return 0
		case i.State == string(v1alpha1.StateAbsorbed):
			return 2
		default:
			return 1
		}
	}
	return slices.SortedStableFunc(slices.Values(incidents), func(a, b Incident) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Alerts, a.Alerts))
	})
}
