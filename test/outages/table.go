package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// draw writes the rows as a table.
func draw(out io.Writer, rows []Row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "recording\troots\talerts\topened\tpeak open\tof the outage\tstorms\t"+
		"wrong subjects\twrong merges\tended while firing\topened again\tARI\t"+
		"outages\troots left\tmixed\tnoise inside\tARI of roots\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d of %d\t%d\t%d\t%d\t%.2f\t%d\t%d\t%d\t%d\t%.3f\t\n", r.Recording, r.Roots, r.Alerts,
			r.Opened, r.PeakOpen, r.OfTheOutage, r.Storms, r.WrongSubjects, r.resources,
			r.WrongMerges, r.EndedWhileFiring, r.OpenedAnew, r.ARI,
			r.Outages, r.RootsLeft, r.MixedRoots, r.NoiseInside, r.ARIOfRoots)
	}
	_ = w.Flush() // To the terminal.
}
