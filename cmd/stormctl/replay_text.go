package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stormfold/stormfold/internal/replay"
)

// draw writes a replay for people: one run in full, or two side by side.
func (r replayed) draw(w io.Writer, incidents int) {
	first := r.Runs[0].Report
	all := first.Totals
	fmt.Fprintf(w, "%s with %s, %s to %s UTC.\n", count(first.Notifications, "document"),
		count(first.Reports, "alert"), clock(first.From), clock(first.To))
	if len(r.Runs) > 1 {
		r.compare(w)
		return
	}
	fmt.Fprintf(w, "Policies: %s. The clock stopped at %s UTC", r.Runs[0].label(), clock(first.End))
	if first.Open > 0 {
		fmt.Fprintf(w, ", with %s still firing", count(first.Open, "incident"))
	}
	fmt.Fprint(w, ".\n\n")
	single := all.Incidents - all.Storms - all.Absorbed
	numbers := []string{
		"alerts",
		fmt.Sprintf("%d, which began to fire %s", all.Alerts, times(all.Firings)),
		"notifications",
		notifications(first.Alertmanager),
		"incidents",
		fmt.Sprintf("%d: %s, %d of single alerts, %d absorbed by a storm", all.Incidents, count(all.Storms, "storm"),
			single, all.Absorbed),
		"reduction",
		reduction(all),
		"API writes",
		fmt.Sprintf("%d: %s, %d of status, %s", all.Writes.Total(), count(all.Writes.Create, "create"),
			all.Writes.Status, count(all.Writes.Delete, "delete")),
		"peak firing",
		fmt.Sprintf("%s at %s", count(first.PeakFiring, "alert"), clock(first.PeakAt)),
	}
	if len(first.Outages) > 0 {
		numbers = append(numbers, "outages", strconv.Itoa(len(first.Outages)))
	}
	fields(w, append(numbers, "to look at", fmt.Sprintf("%s, compared with %s from Alertmanager",
		count(first.Roots, "incident"), count(first.Alertmanager.Notifications, "notification")))...)
	fmt.Fprintln(w)
	rows := [][]string{{"POLICY", ">ALERTS", ">FIRINGS", ">INCIDENTS", ">STORMS", ">ABSORBED", ">REDUCTION", ">WRITES"}}
	for _, p := range first.Policies {
		rows = append(rows, []string{
			p.Policy, strconv.Itoa(p.Alerts), strconv.Itoa(p.Firings), strconv.Itoa(p.Incidents),
			strconv.Itoa(p.Storms),
			strconv.Itoa(p.Absorbed), reduction(p.Line), strconv.Itoa(p.Writes.Total()),
		})
	}
	table(w, rows)
	fmt.Fprintln(w)
	listIncidents(w, slices.Concat(first.Outages, first.Incidents), incidents)
}

// notifications describes those of Alertmanager: how many, where they are from, and their reasons.
func notifications(n replay.Notified) string {
	origin := " sent"
	switch computed := fmt.Sprintf(" computed (grouped by %s)", strings.Join(n.GroupBy, ", ")); {
	case len(n.GroupBy) > 0 && n.Computed == n.Notifications:
		origin = computed
	case len(n.GroupBy) > 0:
		origin = fmt.Sprintf(", %d of them%s", n.Computed, computed)
	}
	return fmt.Sprintf("%d%s, about %s: %d first, %d for new alerts, %d for resolved alerts, %s",
		n.Notifications, origin, count(n.Groups, "group"), n.FirstNotification, n.NewAlerts, n.SomeResolved+n.AllResolved,
		count(n.Repeat, "repeat"))
}

// listIncidents lists the first of the incidents that matter most.
func listIncidents(w io.Writer, all []replay.Incident, most int) {
	rows := [][]string{
		{"INCIDENT", "TYPE", ">ALERTS", ">PEAK", "OPENED", ">LASTED", "END", ">REOPENED", ">WRITES", "GROUP"},
	}
	shown := replay.Foremost(all)
	if most >= 0 && len(shown) > most {
		shown = shown[:most]
	}
	for _, i := range shown {
		end := i.Reason
		if end == "" {
			end = "(" + strings.ToLower(i.State) + ")"
		}
		rows = append(rows, []string{
			i.Name, i.Type, strconv.Itoa(i.Alerts), strconv.Itoa(i.PeakFiring), clock(i.OpenedAt),
			length(time.Duration(i.Seconds) * time.Second),
			end, strconv.Itoa(i.Reopened), strconv.Itoa(i.Writes.Total()), i.Policy + " " + pairs(i.GroupLabels),
		})
	}
	if len(shown) > 0 {
		table(w, rows)
	}
	if more := len(all) - len(shown); more > 0 {
		fmt.Fprintf(w, "and %d more: --incidents %d, or -o json\n", more, len(all))
	}
}

// compare writes two runs side by side.
func (r replayed) compare(w io.Writer) {
	a, b := r.Runs[0].Report, r.Runs[1].Report
	fmt.Fprintln(w)
	rows := [][]string{{"", ">" + r.Runs[0].label(), ">" + r.Runs[1].label(), ">CHANGE"}}
	number := func(name string, x, y int) {
		diff := ""
		if x != y {
			diff = fmt.Sprintf("%+d", y-x)
		}
		rows = append(rows, []string{name, strconv.Itoa(x), strconv.Itoa(y), diff})
	}
	lines := func(prefix string, x, y replay.Line) {
		number(prefix+"alerts", x.Alerts, y.Alerts)
		number(prefix+"firings", x.Firings, y.Firings)
		number(prefix+"incidents", x.Incidents, y.Incidents)
		number(prefix+"storms", x.Storms, y.Storms)
		number(prefix+"absorbed", x.Absorbed, y.Absorbed)
		rows = append(rows, []string{prefix + "reduction", reduction(x), reduction(y), ""})
		number(prefix+"API writes", x.Writes.Total(), y.Writes.Total())
	}
	lines("", a.Totals, b.Totals)
	number("outages", len(a.Outages), len(b.Outages))
	number("notifications", a.Alertmanager.Notifications, b.Alertmanager.Notifications)
	number("to look at", a.Roots, b.Roots)
	number("peak firing", a.PeakFiring, b.PeakFiring)
	number("still firing", a.Open, b.Open)
	rows = append(rows, []string{"longest storm", longest(a), longest(b), ""})
	names, of := []string{}, [2]map[string]replay.Line{{}, {}}
	for i, report := range []*replay.Report{a, b} {
		for _, p := range report.Policies {
			of[i][p.Policy] = p.Line
			if !slices.Contains(names, p.Policy) {
				names = append(names, p.Policy)
			}
		}
	}
	for _, name := range names {
		if len(names) > 1 {
			rows = append(rows, []string{"", "", "", ""})
			lines(name+": ", of[0][name], of[1][name])
		}
	}
	table(w, rows)
}

// longest is how long the longest storm lasted.
func longest(r *replay.Report) string {
	most := int64(-1)
	for _, i := range r.Incidents {
		if !i.StormAt.IsZero() {
			most = max(most, i.Seconds)
		}
	}
	if most < 0 {
		return "-"
	}
	return length(time.Duration(most) * time.Second)
}

// reduction is how many firings there are for each incident.
func reduction(l replay.Line) string {
	if l.Incidents == 0 {
		return "-"
	}
	return strconv.FormatFloat(l.Reduction, 'f', 1, 64) + " : 1"
}
