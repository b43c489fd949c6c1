package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// draw writes the result as text.
func (e explained) draw(w io.Writer) {
	resource := e.Alert.Resource.Kind + " " + e.Alert.Resource.Name
	if e.Alert.Resource.Namespace != "" {
		resource = e.Alert.Resource.Kind + " " + e.Alert.Resource.Namespace + "/" + e.Alert.Resource.Name
	}
	if e.Alert.Workload != "" {
		resource += ", of " + e.Alert.Workload
	}
	fingerprint := e.Alert.Fingerprint
	if len(e.Alert.Target) > 0 {
		fingerprint += ", without " + strings.Join(e.Alert.Target, ", ")
	}
	fields(w, "Alert", pairs(e.Alert.Labels), "Fingerprint", fingerprint, "Resource", resource)
	fmt.Fprintln(w, "\nPolicies")
	for _, t := range e.Policies {
		switch {
		case !t.Matches && t.Value == "":
			fmt.Fprintf(w, "  %s does not match: %s, and the alert has no such label\n", t.Name, t.Failed)
		case !t.Matches:
			fmt.Fprintf(w, "  %s does not match: %s, and the alert has %q\n", t.Name, t.Failed, t.Value)
		case len(t.Matchers) == 0:
			fmt.Fprintf(w, "  %s takes it: it takes every alert\n", t.Name)
		default:
			fmt.Fprintf(w, "  %s takes it: %s\n", t.Name, strings.Join(t.Matchers, ", "))
		}
	}
	if e.Group.Drop {
		fmt.Fprintln(w, "    and drops it: it makes no incident")
	}
	labels := pairs(e.Group.Labels)
	if labels == "" {
		labels = "none: all alerts of the policy that lack them are one group"
	}
	fmt.Fprintf(w, "\nGroup %s in shard %02d\n", e.Group.ID, e.Group.Shard)
	fields(w,
		"  labels", labels,
		"  grouped by", strings.Join(e.Group.GroupBy, ", "),
		"  storm", e.Group.rule(),
		"  keys", strings.Join(e.Group.Keys, "\n  \t"),
	)
	if e.Redis != nil {
		fmt.Fprintln(w)
		e.Redis.draw(w, e.Group.ID)
	}
	if i := e.Incident; i != nil {
		fires := "resolved there"
		if i.Firing {
			fires = "firing there"
		}
		fmt.Fprintf(w, "\nIncident %s in namespace %s\n", i.Name, i.Namespace)
		fields(w,
			"  is", fmt.Sprintf("%s, %s%s", i.Type, i.State, before(" by ", i.AbsorbedBy)),
			"  alerts", fmt.Sprintf("%d of %d firing", i.Alerts.Firing, i.Alerts.Total),
			"  the alert", fires,
		)
	}
	if len(e.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range e.Notes {
		fmt.Fprintln(w, note)
	}
}

// rule is when the group's alerts become a storm.
func (g *groupFacts) rule() string {
	if g.Threshold == 1 {
		return "the group is one incident, from its first alert on"
	}
	return fmt.Sprintf("%s that fire now or started to fire within %s", count(g.Threshold, "alert"), g.Window)
}

// draw writes the state of the group.
func (s *groupStatus) draw(w io.Writer, asked string) {
	fmt.Fprintf(w, "In Redis at %s UTC", clock(s.Now))
	if s.Group != asked {
		fmt.Fprintf(w, ", in the policy's overflow group %s", s.Group)
	}
	fmt.Fprintln(w)
	rows := []string{"  state", s.meaning()}
	if s.Known && s.State != "waiting" {
		towards := fmt.Sprintf("%d of %d alerts", s.Window, s.Threshold)
		if s.WindowLeftSeconds > 0 {
			towards += fmt.Sprintf("; the oldest resolved one counts for another %s",
				length(time.Duration(s.WindowLeftSeconds)*time.Second))
		}
		if s.State == "calm" {
			rows = append(rows, "  towards a storm", towards, "  open",
				count(s.Singles, "incident")+" of single alerts")
		} else {
			rows = append(rows, "  incident", fmt.Sprintf("%s, %d of %s firing", s.Storm, s.Firing, count(s.Total, "alert")))
		}
	}
	if s.Waiting > 0 {
		rows = append(rows, "  waiting", count(s.Waiting, "alert")+" for the import")
	}
	if s.Known {
		rows = append(rows, "  last notified", clock(s.LastSeen))
	}
	if !s.Due.IsZero() {
		rows = append(rows, "  next due", clock(s.Due))
	}
	alert := "not in the group"
	if s.Alert.Known {
		alert = fmt.Sprintf("%s, as of %s", s.Alert.Status, clock(s.Alert.NotifiedAt))
		if s.Alert.Incident != "" {
			alert += fmt.Sprintf(", in %s (%s)", s.Alert.Incident, s.Alert.State)
		}
	}
	fields(w, append(rows, "  the alert", alert)...)
}

// meaning is a group's state with an explanation.
func (s *groupStatus) meaning() string {
	switch s.State {
	case "storm":
		if s.Threshold == 1 {
			return "open: all its alerts are one incident"
		}
		return "storm: it crossed its threshold"
	case "cool":
		return "cool: its incident is resolved; an alert that fires before " + clock(s.CooldownUntil) + " reopens it"
	case "calm":
		return "calm: below its threshold"
	case "waiting":
		return "waiting: its incidents must be imported from Kubernetes first"
	default:
		if !s.Imported {
			return "unknown: nothing has been imported from Kubernetes yet"
		}
		return "unknown: Redis has no such group"
	}
}
