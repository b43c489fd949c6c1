package main

import (
	"fmt"
	"math"
)

// comparison says which figure of a row is held against its target.
type comparison int

const (
	// ratio is measured / reference.
	ratio comparison = iota
	// difference is measured - reference.
	difference
	// absolute is measured alone.
	absolute
)

// row is one line of the table: what is measured, against what, and the target.
type row struct {
	ID      string // Names the row in the JSON file and to -rows.
	Name    string
	Against string
	Unit    string // Of what is measured.
	Compare comparison
	// Target is what the figure has to reach: from below when AtLeast is false.
	Target  float64
	AtLeast bool
	// Loose is the bound of -check, generous since machines are busy with other things; 0: -check leaves the row out. A
	// row with a difference of times has none: a slow machine is not a slow program.
	Loose float64
}

// sample is what one round measured.
type sample struct {
	Measured  float64 `json:"measured"`
	Reference float64 `json:"reference,omitempty"`
}

// outcome is a row with what came out.
type outcome struct {
	row
	Rounds []sample
	Note   string // Said below the table.
}

// rows are the lines of the table in its order.
var rows = []row{
	{
		ID:      "events",
		Name:    "events/s, 1 alert each, 64 connections, 16 groups",
		Against: "bound of no-op function and bare folds",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.85,
		AtLeast: true,
		Loose:   0.4,
	},
	{
		ID:      "alerts",
		Name:    "alerts/s, notifications of 100 alerts",
		Against: "bound of a function that only decodes and bare folds of 100",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.8,
		AtLeast: true,
		Loose:   0.3,
	},
	{ID: "alertmanager", Name: "alerts/s, notifications of 100 alerts", Against: "Alertmanager's `POST /api/v2/alerts`",
		Unit: "/s", Compare: ratio, Target: 3, AtLeast: true, Loose: 0.15},
	{ID: "fold", Name: "time of a fold in a group of 10,000 alerts", Against: "in a group of 10",
		Unit: "ms", Compare: ratio, Target: 1.2, Loose: 2},
	{ID: "latency", Name: "latency p99 at half of the maximum rate", Against: "the no-op function's p99 at that rate",
		Unit: "ms", Compare: ratio, Target: 2},
	{
		ID:      "memory-redis",
		Name:    "Redis memory per tracked alert at 10,000",
		Unit:    "bytes",
		Compare: absolute,
		Target:  200,
		Loose:   200,
	},
	{
		ID:      "writes-15",
		Name:    "incident writes for 15 concurrent alerts",
		Against: "one each per alert",
		Unit:    "",
		Compare: absolute,
		Target:  4,
		Loose:   4,
	},
	{
		ID:      "writes-10000",
		Name:    "incident writes for 10,000 alerts in 60 s",
		Against: "one each per alert",
		Unit:    "",
		Compare: absolute,
		Target:  25,
	},
	{
		ID:      "lag",
		Name:    "last alert's 2xx to the object showing it, p99",
		Against: "flush interval",
		Unit:    "s",
		Compare: difference,
		Target:  0.5,
	},
	{
		ID:      "start",
		Name:    "process start to first event answered",
		Against: "the no-op function",
		Unit:    "ms",
		Compare: difference,
		Target:  150,
	},
	{ID: "memory-idle", Name: "resident memory, idle", Unit: "MiB", Compare: absolute, Target: 48, Loose: 64},
	{ID: "memory-load", Name: "resident memory, most under load", Unit: "MiB", Compare: absolute, Target: 128, Loose: 192},
	{ID: "binary", Name: "binary size", Unit: "MiB", Compare: absolute, Target: 40, Loose: 44},
	{
		ID:      "groups",
		Name:    "alerts/s, 1,000 groups at once",
		Against: "1 group",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.7,
		AtLeast: true,
	},
	{
		ID:      "pods-2",
		Name:    "events/s, 2 function processes on one Redis",
		Against: "1 process",
		Unit:    "/s",
		Compare: ratio,
		Target:  1,
		AtLeast: true,
	},
	{
		ID:      "pods-4",
		Name:    "events/s, 4 function processes on one Redis",
		Against: "1 process",
		Unit:    "/s",
		Compare: ratio,
		Target:  1,
		AtLeast: true,
	},
	{
		ID:      "outages-events",
		Name:    "events/s, 1 alert each, with outages",
		Against: "with `outages: []`",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.9,
		AtLeast: true,
	},
	{
		ID:      "outages-alerts",
		Name:    "alerts/s, notifications of 100 alerts, with outages",
		Against: "with `outages: []`",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.9,
		AtLeast: true,
		Loose:   0.6,
	},
	{
		ID:      "outages-groups",
		Name:    "alerts/s, 1,000 groups at once, with outages",
		Against: "with `outages: []`",
		Unit:    "/s",
		Compare: ratio,
		Target:  0.9,
		AtLeast: true,
	},
	{
		ID:      "writes-outage",
		Name:    "writes of an outage to which 1,000 incidents of 10 alerts come in 60 s",
		Unit:    "",
		Compare: absolute,
		Target:  25,
	},
	{
		ID:      "writes-members",
		Name:    "writes of each of its incidents",
		Against: "with `outages: []`",
		Unit:    "",
		Compare: difference,
		Target:  1,
	},
	{
		ID:      "lag-outage",
		Name:    "deciding alert's 2xx to the outage's object, p99",
		Against: "two flush intervals",
		Unit:    "s",
		Compare: difference,
		Target:  1,
	},
}

func rowOf(id string) row {
	for _, r := range rows {
		if r.ID == id {
			return r
		}
	}
	panic(fmt.Sprintf("there is no row %q", id))
}

// figure is what one round says against the target.
func (r row) figure(s sample) float64 {
	switch r.Compare {
	case ratio:
		return s.Measured / s.Reference
	case difference:
		return s.Measured - s.Reference
	default:
		return s.Measured
	}
}

// measured, reference and figure are each the median of the rounds. The median of the ratios is not the ratio of the
// medians: what disturbs a machine for a while disturbs both sides of a round.
func (o outcome) measured() float64 {
	return o.middle(func(s sample) float64 { return s.Measured })
}
func (o outcome) reference() float64 {
	return o.middle(func(s sample) float64 { return s.Reference })
}
func (o outcome) figure() float64 { return o.middle(o.row.figure) }

func (o outcome) middle(of func(sample) float64) float64 {
	values := make([]float64, len(o.Rounds))
	for i, s := range o.Rounds {
		values[i] = of(s)
	}
	return median(values)
}

func (o outcome) met() bool { return o.holds(o.Target) }

// holds is false for a figure that is not a number: nothing was measured then.
func (o outcome) holds(limit float64) bool {
	f := o.figure()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return false
	}
	if o.AtLeast {
		return f >= limit
	}
	return f <= limit
}

// check says what is wrong with a row by the generous bounds of -check.
func (o outcome) check() error {
	if o.Loose == 0 || o.holds(o.Loose) {
		return nil
	}
	word := "above"
	if o.AtLeast {
		word = "below"
	}
	return fmt.Errorf("%s: %s is %s %s", o.Name, number(o.figure()), word, number(o.Loose))
}
