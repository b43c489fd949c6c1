package meter

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySeriesIsThereFromTheBeginning(t *testing.T) {
	s := New("test")
	s.Counter("things_total", "Things.", Of("a", "x", "y"), Of("b", "1", "2", "3"))
	s.Histogram("wait_seconds", "Waiting.", Of("a", "x"))
	s.Read("level", "Level.", Of("a", "x", "y"), func(v string) float64 { return float64(len(v)) })
	s.Read("all_total", "All.", Label{}, func(string) float64 { return 7 })
	require.Empty(t, s.Check())
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`test_things_total{a="x",b="1"} 0`, `test_things_total{a="y",b="3"} 0`, `test_wait_seconds_count{a="x"} 0`,
		`test_wait_seconds_bucket{a="x",le="0.001"} 0`, `test_level{a="y"} 1`, "test_all_total 7",
		`test_build_info{version="`, "go_goroutines ",
	} {
		require.Contains(t, w.Body.String(), line)
	}
}

// A Prometheus that takes native histograms gets them.
func TestHistogramsAreNativeToo(t *testing.T) {
	s := New("test")
	s.Histogram("wait_seconds", "Waiting.").WithLabelValues().Observe(0.3)
	families, err := s.Registry().Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "test_wait_seconds" {
			require.NotEmpty(t, f.GetMetric()[0].GetHistogram().GetBucket())
			require.NotEmpty(t, f.GetMetric()[0].GetHistogram().GetPositiveSpan())
			return
		}
	}
	t.Fatal("it is not exported")
}

// TestCheckCanFail plants one fault after the other.
func TestCheckCanFail(t *testing.T) {
	for says, plant := range map[string]func(*Set){
		`test_a_total: l="z" is not in its set`: func(s *Set) {
			s.Counter("a_total", "A.", Of("l",
				"x")).WithLabelValues("z")
		},
		"test_a_total: 2 series where 1 are possible": func(s *Set) {
			s.Counter("a_total", "A.", Of("l",
				"x")).WithLabelValues("z")
		},
		"test_a: _total is for counters":          func(s *Set) { s.Counter("a", "A.") },
		"test_a_total: its help is no sentence":   func(s *Set) { s.Counter("a_total", "A") },
		"test_a_bytes: histograms are of seconds": func(s *Set) { s.Histogram("a_bytes", "A.") },
		"test_a_total: not exported":              func(s *Set) { s.Counter("a_total", "A.", Label{Name: "l"}) },
		"test_build_info: not defined":            func(s *Set) { s.definitions = nil },
	} {
		s := New("test")
		plant(s)
		require.Contains(t, s.Check(), says)
	}
}

func TestMarkdown(t *testing.T) {
	require.Equal(t, "| metric | type | labels | meaning |\n|---|---|---|---|\n"+
		"| `a_seconds` | histogram |  | A. |\n| `b_total` | counter | `l`, `m` | B. |\n"+
		"\nValues of the labels:\n\n- `l` of `b_total`: x, y\n",
		Markdown([]Definition{
			{Name: "b_total", Type: "counter", Help: "B.", Labels: []Label{Of("l", "x", "y"), {Name: "m"}}},
			{Name: "a_seconds", Type: "histogram", Help: "A."},
		}))
}
