package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel is one picture. A row of them is 24 wide.
type panel struct {
	title, about string
	// unit is Grafana's word for it.
	unit   string
	width  uint32
	number bool // A number instead of lines over time.
	// warn and bad are where a number turns orange and red; 0 for never.
	warn, bad float64
	lines     []line
}

// line is an expression, in which NS is replaced by the chosen namespace, and the legend of its series.
type line struct{ expr, legend string }

// row is a title, and the panels below it.
type row struct {
	title  string
	panels []panel
}

const (
	heightOfNumber = 4
	heightOfLines  = 8
)

// newDashboard lays the rows of panels.go out.
func newDashboard() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("Stormfold").Uid("stormfold").Tags([]string{"stormfold", "alerts"}).
		Description("What the function, its source and its dead letters do; docs/observability.md says what to look at.").
		Time("now-1h", "now").Refresh("30s").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("namespace").Label("Namespace").Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(stormfold_build_info, namespace)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).IncludeAll(true).AllValue(".*").Multi(true))
	id := uint32(0)
	for _, r := range rows {
		id++
		b.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			b.WithPanel(p.build(id))
		}
	}
	return b.Build()
}

// source is the Prometheus that is chosen.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	if p.number {
		return stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).
			Span(p.width).Height(heightOfNumber).Targets(p.targets()).Thresholds(p.thresholds()).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			GraphMode(common.BigValueGraphModeArea).ColorMode(common.BigValueColorModeValue)
	}
	return timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).
		Span(p.width).Height(heightOfLines).Targets(p.targets()).Min(0).FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
}

func (p panel) targets() (out []cog.Builder[variants.Dataquery]) {
	for i, l := range p.lines {
		out = append(out, prometheus.NewDataqueryBuilder().RefId(string(rune('A'+i))).Datasource(source()).Range().
			Expr(strings.ReplaceAll(l.expr, "NS", `namespace=~"$namespace"`)).LegendFormat(l.legend))
	}
	return out
}

func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	if p.warn > 0 {
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(p.warn), Color: "orange"})
	}
	if p.bad > 0 {
		steps = append(steps, dashboard.Threshold{Value: cog.ToPtr(p.bad), Color: "red"})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}
