package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// TestEveryExpressionHasAnAnswer runs every expression of the dashboard, and of the alerts, on a Prometheus that
// scrapes the programs under load, while much goes wrong. None may come back empty, or with only NaN.
//
// An alert that does not fire is empty, as it should be. So its comparisons are made to answer 0 or 1 instead of
// leaving out what they do not find: what they compare has to be there.
func TestEveryExpressionHasAnAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.load()
	b.provoke()

	for name, expression := range dashboardExpressions(t) {
		b.hasAnAnswer(name, expression)
	}
	for _, r := range readRules(t) {
		b.hasAnAnswer(r.Alert, comparison.ReplaceAllString(r.Expr, " $1 bool "))
	}
	// The variable with which a namespace is chosen.
	samples, err := b.prometheus.Query(t.Context(), "group by (namespace) (stormfold_build_info)")
	require.NoError(t, err)
	require.Equal(t, []testbed.Sample{{Labels: map[string]string{"namespace": "stormfold"}, Value: 1}}, samples)

	require.ErrorIs(t, b.answer(t.Context(), "stormfold_no_such_total"), errEmpty)
	require.ErrorIs(t, b.answer(t.Context(), `stormfold_events_total{type="none"}`), errEmpty)
	require.ErrorIs(t, b.answer(t.Context(), "vector(0) / 0"), errEmpty, "only NaN")
	b.alertsFollow()

	// Histograms are native ones as well, of every program that has any.
	for _, metric := range []string{"stormfold_event_duration_seconds", "stormfold_flush_lag_seconds",
		"stormfold_source_event_duration_seconds"} {
		expression := "histogram_count(rate(" + metric + "[30s])) > 0 and histogram_quantile(0.9, rate(" + metric +
			"[30s])) > 0"
		testbed.Eventually(
			t,
			30*time.Second,
			expression,
			func(ctx context.Context) error { return answer(ctx, b.native, expression) },
		)
	}
}

// comparison in an alert's expression. Those inside braces have no spaces around them.
var comparison = regexp.MustCompile(` (>|==|<) `)

var errEmpty = errors.New("it is empty")

func (b *bed) hasAnAnswer(name, expression string) {
	b.t.Helper()
	testbed.Eventually(
		b.t,
		30*time.Second,
		name+": "+expression,
		func(ctx context.Context) error { return b.answer(ctx, expression) },
	)
}

// answer is errEmpty when an expression has none.
func (b *bed) answer(ctx context.Context, expression string) error {
	return answer(ctx, b.prometheus, expression)
}

func answer(ctx context.Context, p *testbed.PrometheusServer, expression string) error {
	samples, err := p.Query(ctx, expression)
	if err != nil {
		return err
	}
	for _, s := range samples {
		if !math.IsNaN(s.Value) {
			return nil
		}
	}
	return fmt.Errorf("%w, with %d series", errEmpty, len(samples))
}

// dashboardExpressions are all, by the panel, with its variables filled in.
func dashboardExpressions(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(root + "/deploy/observability/dashboard.json")
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(raw, &board))
	fill := strings.NewReplacer("$__rate_interval", "30s", "$namespace", "stormfold")
	out := map[string]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			expression := fill.Replace(target.Expr)
			require.NotContains(t, expression, "$")
			out[fmt.Sprintf("%d %s %s", p.ID, p.Title, target.RefID)] = expression
		}
	}
	require.Greater(t, len(out), 40)
	return out
}

const typeAlert = "io.prometheus.alertmanager.alert.v1"

// provoke makes things go wrong that the function survives: requests that are not events, too large or invalid; a Redis
// without memory; an event that was given up; a policy file that is not usable. Overflow and truncation come with the
// policy.
func (b *bed) provoke() {
	b.t.Helper()
	b.answered(http.StatusBadRequest, b.function.url, event("x.y.z"), "{}")
	b.answered(http.StatusBadRequest, b.function.url, event(typeAlert), "{")
	b.answered(http.StatusBadRequest, b.function.url, nil, "{}")
	b.answered(
		http.StatusRequestEntityTooLarge,
		b.function.url,
		event(typeAlert),
		string(bytes.Repeat([]byte(" "), 4<<20+1)),
	)
	b.answered(http.StatusBadRequest, b.source.url, nil, "{}")
	b.answered(http.StatusAccepted, b.letters.url, event(typeAlert, "Ce-Knativeerrorcode", "503"), "{}")

	// First what was counted before has to be seen, for its increase to be seen.
	b.hasAnAnswer("scraped", `stormfold_redis_errors_total{reason="oom"}`)
	redis := b.redis.Client()
	require.NoError(b.t, redis.ConfigSet(b.t.Context(), "maxmemory", "1mb").Err())
	b.hasAnAnswer("refused for lack of memory", `increase(stormfold_events_total{result="redis_oom"}[30s]) > 0`)
	require.NoError(b.t, redis.ConfigSet(b.t.Context(), "maxmemory", "256mb").Err())

	b.answered(http.StatusBadRequest, b.function.url, event("x.y.z"), "{}")
	b.answered(http.StatusAccepted, b.letters.url, event(typeAlert, "Ce-Knativeerrorcode", "503"), "{}")
	b.write("policies: [{nam: x}]")
	for what, expression := range map[string]string{
		"overflow":          `increase(stormfold_overflow_alerts_total[30s]) > 0`,
		"truncation":        `increase(stormfold_incident_writes_total{type="Storm",truncated="true"}[30s]) > 0`,
		"dead letters":      `increase(stormfold_events_total{type="other",result="invalid"}[30s]) > 0`,
		"an event given up": `increase(stormfold_dead_letters_events_total{code="5xx"}[30s]) > 0`,
		"broken policies":   `stormfold_policies_broken > 0`,
		"open storms":       `stormfold_open_incidents{type="Storm"} > 0`,
		"overflow groups":   `stormfold_groups{kind="overflow"} > 0`,
		"Redis' errors":     `increase(stormfold_redis_errors_total{reason="oom"}[60s]) > 0`,
		"Redis' memory":     `stormfold_redis_memory_used_bytes / stormfold_redis_memory_limit_bytes > 0`,
		"the source":        `increase(stormfold_source_notifications_total{result="sink_unavailable"}[60s]) > 0`,
	} {
		b.hasAnAnswer(what, expression)
	}
}

// alertsFollow: Prometheus evaluates every alert without an error, and those of what was provoked are on.
func (b *bed) alertsFollow() {
	b.t.Helper()
	on := []string{
		"StormfoldOverflow",
		"StormfoldTruncated",
		"StormfoldDeadLetters",
		"StormfoldUndelivered",
		"StormfoldPoliciesBroken",
	}
	off := []string{
		"StormfoldBreakerOpen",
		"StormfoldRedisMemory",
		"StormfoldNothingWritten",
		"StormfoldNoSweeps",
		"StormfoldFlushLag",
	}
	testbed.Eventually(b.t, 30*time.Second, "alerts", func(ctx context.Context) error {
		var loaded struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
		if err := b.prometheus.Get(ctx, "/api/v1/rules", &loaded); err != nil {
			return err
		}
		states := map[string]string{}
		for _, g := range loaded.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
				states[r.Name] = r.State
			}
		}
		for _, name := range on {
			if states[name] != "firing" && states[name] != "pending" {
				return fmt.Errorf("%s is %q", name, states[name])
			}
		}
		for _, name := range off {
			if states[name] != "inactive" {
				return fmt.Errorf("%s is %q", name, states[name])
			}
		}
		return nil
	})
}
