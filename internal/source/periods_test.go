package source

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPeriodsAreLearnt from what an Alertmanager with 5m and 12h sends, in which retries and a peer's repetition mix.
func TestPeriodsAreLearnt(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	p := newPeriods()
	for i, step := range []struct {
		after   time.Duration
		content uint64
		firing  bool
		refused bool
		want    period
	}{
		{0, 1, true, false, period{}},
		{10 * time.Second, 1, true, false, period{}}, // The peer says the same.
		{10*time.Minute + 400*time.Millisecond, 2, true, false, period{interval: 590 * time.Second}},
		{15 * time.Minute, 3, true, true, period{interval: 300 * time.Second}},
		{15*time.Minute + 2*time.Second, 3, true, false, period{interval: 302 * time.Second}},
		{12*time.Hour + 15*time.Minute + 2*time.Second, 3, true, false, period{interval: 302 * time.Second,
			repeat: 12 * time.Hour}},
		{24*time.Hour + 20*time.Minute, 3, true, false, period{interval: 302 * time.Second, repeat: 12 * time.Hour}},
		{25 * time.Hour, 4, false, false, period{interval: 302 * time.Second, repeat: 12 * time.Hour}},
		{25*time.Hour + 40*time.Second, 1, true, false, period{interval: 302 * time.Second, repeat: 12 * time.Hour}},
		// group_wait
	} {
		n := &notification{groupKey: "g", content: step.content, firing: step.firing}
		require.Equal(t, step.want, p.with(n, start.Add(step.after)), "step %d", i)
		if !step.refused {
			p.accepted(n, start.Add(step.after))
		}
	}
	// Changed settings are seen.
	at := start.Add(26 * time.Hour)
	for range gapsKept + 1 {
		p.accepted(&notification{groupKey: "g", content: 1, firing: true}, at)
		at = at.Add(24 * time.Hour)
	}
	require.Equal(t, 24*time.Hour, p.with(&notification{groupKey: "g", content: 1, firing: true}, at).repeat)
}

func TestOnlySoManyGroupsAreRemembered(t *testing.T) {
	p := newPeriods()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 3 * maxGroups {
		p.accepted(&notification{groupKey: fmt.Sprint(i), content: 1, firing: true}, at)
		p.accepted(&notification{groupKey: "kept", content: 1, firing: true}, at)
	}
	p.accepted(&notification{content: 1, firing: true}, at)
	require.Len(t, p.groups, maxGroups)
	require.Equal(t, maxGroups, p.order.Len())
	later := at.Add(4 * time.Hour)
	require.Equal(t, 4*time.Hour, p.with(&notification{groupKey: "kept", content: 1, firing: true}, later).repeat)
	require.Zero(t, p.with(&notification{groupKey: "0", content: 1, firing: true}, later))
	require.Zero(
		t,
		p.with(&notification{groupKey: "kept", externalURL: "http://another", content: 1, firing: true}, later),
	)
}

// TestEventsTellThePeriods: the order of the alerts, and what changes from repetition to repetition, does not matter.
func TestEventsTellThePeriods(t *testing.T) {
	sink := newRecorder(t)
	s := newSource(t, sink.URL)
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	last := func(after time.Duration, alerts ...string) event.Event {
		now = now.Add(after)
		code, text := post(s, aWebhook(alerts...))
		require.Equal(t, http.StatusOK, code, text)
		events := sink.accepted()
		return events[len(events)-1]
	}
	a, b := anAlert(0, 0), anAlert(1, 0)
	assert.NotContains(t, last(0, a).Extensions(), "groupinterval")
	assert.Equal(t, "300", last(5*time.Minute, a, b).Extensions()["groupinterval"])
	again := last(4*time.Hour, strings.Replace(b, `"text":""`, `"text":"another value"`, 1), a).Extensions()
	assert.Equal(t, "300", again["groupinterval"])
	assert.Equal(t, "14400", again["repeatinterval"])
	assert.Equal(
		t,
		"240",
		last(4*time.Minute, a, strings.Replace(b, "firing", "resolved", 1)).Extensions()["groupinterval"],
		"the least of both",
	)
}
