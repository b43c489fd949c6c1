package function

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

func TestPeriodsAreCompared(t *testing.T) {
	const m, h = time.Minute, time.Hour
	for name, c := range map[string]struct {
		window, cooldown, quiet, interval, repeat time.Duration
		want                                      []string
	}{
		"nothing is known": {1, 1, 1, 0, 0, nil},
		"all is well":      {15 * m, 20 * m, 13 * h, 5 * m, 12 * h, nil},
		"below the interval": {2 * m, 5 * m, 13 * h, 5 * m, 12 * h, []string{
			"policy default: window is 2m, but the sender reports changes every 5m; set window to 10m or more",
			"policy default: cooldown is 5m, but the sender reports changes every 5m; set cooldown to 10m or more",
		}},
		"below the repetition": {15 * m, 20 * m, 5 * h, 5 * m, 12 * h, []string{
			"policy default: quiet is 5h, but the sender repeats every 12h; set quiet to 13h or more",
		}},
		"just the sum": {15 * m, 20 * m, 4*h + 5*m, 5 * m, 4 * h, []string{
			"policy default: quiet is 4h5m, but the sender repeats every 4h; set quiet to 5h or more",
		}},
		"the interval alone":   {15 * m, 20 * m, m, 5 * m, 0, nil},
		"the repetition alone": {m, m, 4*h + 1, 0, 4 * h, nil},
		"seconds": {30 * time.Second, m, h, 30 * time.Second, 30 * m, []string{
			"policy default: window is 30s, but the sender reports changes every 30s; set window to 40s or more",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			policy := &config.Policy{Name: "default", Window: c.window, Cooldown: c.cooldown, Quiet: c.quiet}
			var got []string
			for _, wrong := range comparePeriods(policy, handlers.Periods{GroupInterval: c.interval, RepeatInterval: c.repeat}) {
				require.Contains(t, periodFields, wrong.field)
				got = append(got, wrong.sentence("default"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestAPolicyThatCannotWorkIsWarnedAbout once an hour, and counted each time.
func TestAPolicyThatCannotWorkIsWarnedAbout(t *testing.T) {
	seen, lines := observer.New(zap.WarnLevel)
	f := New()
	f.log = zap.New(seen).Sugar()
	startOn(t, f)
	p := f.pod.Load()
	for range 3 {
		ev := alertEvent(t, "web-0", "firing")
		ev.SetExtension("groupinterval", "300")
		ev.SetExtension("repeatinterval", "2592000")
		_, err := f.Handle(t.Context(), ev)
		require.NoError(t, err)
	}
	warned := lines.FilterField(zap.String("field", "quiet")).All()
	require.Len(t, warned, 1)
	require.Contains(t, warned[0].Message, "but the sender repeats every 30d; set quiet to")
	require.InDelta(t, 3, valueOf(t, p.metrics.periods.WithLabelValues("quiet")), 0)
	require.NoError(t, f.Stop(t.Context()))

	var w periodWarnings
	now := time.Now()
	require.True(t, w.due("a", "quiet", now))
	require.False(t, w.due("a", "quiet", now.Add(59*time.Minute)))
	require.True(t, w.due("b", "quiet", now.Add(59*time.Minute)))
	require.True(t, w.due("a", "quiet", now.Add(time.Hour)))
	require.Len(t, w.said, 2)
}
