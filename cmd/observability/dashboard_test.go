package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const dir = "../../deploy/observability"

// The files are what the code says: make generate writes them.
func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := generate(dir)
	require.NoError(t, err)
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "%s: go run ./cmd/observability writes it", name)
	}
}

// seen is as much of a dashboard as is looked at, rows and panels alike.
type seen struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Datasource               struct{ UID string }
	Targets                  []struct {
		Expr, LegendFormat, RefID string
		Datasource                struct{ UID string }
	}
}

// names of metrics in an expression.
var names = regexp.MustCompile(`\bstormfold_[a-z_]+|\bprocess_[a-z_]+`)

// lint returns what is wrong with a dashboard, one sentence for each fault.
func lint(raw []byte) (wrong []string, err error) {
	var board struct {
		Templating struct{ List []struct{ Name string } }
		Panels     []seen
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		return nil, err
	}
	ids, titles := map[int]bool{}, map[string]bool{}
	refuse := func(when bool, p seen, problem string) {
		if when {
			wrong = append(wrong, fmt.Sprintf("%q: %s", p.Title, problem))
		}
	}
	section := ""
	for i, p := range board.Panels {
		refuse(p.ID == 0 || ids[p.ID], p, "its id is not its own")
		ids[p.ID] = true
		refuse(p.Title == "", p, "no title")
		refuse(p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24, p, "it is beyond the 24 columns")
		for _, q := range board.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			refuse(a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H, p, "it overlaps "+q.Title)
		}
		if p.Type == "row" {
			section = p.Title
			continue
		}
		refuse(titles[section+p.Title], p, "its title is not its own in its row")
		titles[section+p.Title] = true
		refuse(p.Description == "", p, "no description")
		refuse(p.FieldConfig.Defaults.Unit == "", p, "no unit")
		refuse(len(p.Targets) == 0, p, "nothing to show")
		for _, target := range p.Targets {
			refuse(
				target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}",
				p,
				"the data source is fixed",
			)
			refuse(target.LegendFormat == "", p, "a line without a name")
			refuse(
				strings.Count(
					target.Expr,
					"$namespace",
				) != len(
					names.FindAllString(target.Expr, -1),
				)-strings.Count(
					target.Expr,
					"|stormfold_",
				),
				p,
				"a metric is not of the namespace that is chosen: "+target.Expr,
			)
			refuse(
				strings.Contains(target.Expr, "rate(") && !strings.Contains(target.Expr, "[$__rate_interval]"),
				p,
				"a fixed range",
			)
			refuse(regexp.MustCompile(`[^_]NS\b`).MatchString(target.Expr), p, "NS is left")
		}
	}
	for _, name := range []string{"datasource", "namespace"} {
		if !slices.ContainsFunc(board.Templating.List, func(v struct{ Name string }) bool { return v.Name == name }) {
			wrong = append(wrong, "no variable "+name)
		}
	}
	return wrong, nil
}

func TestDashboardIsSound(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(dir, dashboardFile))
	require.NoError(t, err)
	wrong, err := lint(raw)
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// TestLintCanFail plants one fault after the other.
func TestLintCanFail(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(dir, dashboardFile))
	require.NoError(t, err)
	for says, plant := range map[string]func(board map[string]any, panel map[string]any){
		"its id is not its own":       func(_, p map[string]any) { p["id"] = 1 },
		"no title":                    func(_, p map[string]any) { p["title"] = "" },
		"no description":              func(_, p map[string]any) { delete(p, "description") },
		"no unit":                     func(_, p map[string]any) { delete(p, "fieldConfig") },
		"nothing to show":             func(_, p map[string]any) { p["targets"] = nil },
		"it overlaps":                 func(_, p map[string]any) { p["gridPos"].(map[string]any)["x"] = 3 },
		"it is beyond the 24 columns": func(_, p map[string]any) { p["gridPos"].(map[string]any)["w"] = 25 },
		"the data source is fixed":    func(_, p map[string]any) { p["datasource"] = map[string]any{"uid": "x"} },
		"a fixed range":               func(_, p map[string]any) { target(p)["expr"] = "rate(stormfold_x{$namespace}[5m])" },
		"is not of the namespace":     func(_, p map[string]any) { target(p)["expr"] = "stormfold_x" },
		"a line without a name":       func(_, p map[string]any) { target(p)["legendFormat"] = "" },
		"no variable namespace":       func(b, _ map[string]any) { delete(b, "templating") },
	} {
		var board map[string]any
		require.NoError(t, json.Unmarshal(raw, &board))
		plant(board, board["panels"].([]any)[2].(map[string]any))
		planted, err := json.Marshal(board)
		require.NoError(t, err)
		wrong, err := lint(planted)
		require.NoError(t, err)
		require.Contains(t, strings.Join(wrong, "\n"), says)
	}
}

func target(panel map[string]any) map[string]any {
	return panel["targets"].([]any)[0].(map[string]any)
}
