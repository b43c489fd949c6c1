package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/test/testbed"
)

// spoken is when all the events of these tests were sent.
var spoken = time.Unix(1e9, 0).UTC()

// decoded is what the function makes of an event of a load.
func decoded(t *testing.T, build func([]byte, int) ([]byte, string), n int) aggregator.Batch {
	t.Helper()
	data, eventType := build(nil, n)
	ev := event.New()
	ev.SetID("1")
	ev.SetSource("/bench")
	ev.SetType(eventType)
	require.NoError(t, ev.SetData(event.ApplicationJSON, data))
	request, err := handlers.Decode(ev, spoken)
	require.NoError(t, err)
	return request.Batch
}

// What is sent to the function and what is folded without it are the same alerts: otherwise the bound compares two
// works.
func TestBareFoldsGetWhatTheFunctionDecodes(t *testing.T) {
	s := newStream("X", 16)
	for _, n := range []int{0, 1, 17, 16*perGroup + 3} {
		assert.Equal(t, aggregator.Batch{Alerts: []aggregator.Alert{s.alert(n, spoken)}}, decoded(t, s.singles(), n))
		assert.Equal(t, s.batch(n, 100, spoken), decoded(t, s.notifications(100), n))
	}
}

func TestAStreamRepeatsNothingBeforeItsEnd(t *testing.T) {
	s := newStream("X", 4)
	groups, fingerprints := map[string]int{}, map[string]bool{}
	for n := range 400 {
		for _, g := range aggregator.Split(testbed.OnePolicy(), s.batch(n, 25, time.Now())) {
			groups[g.ID]++
			for _, a := range g.Alerts {
				assert.False(t, fingerprints[a.Fingerprint], "batch %d", n)
				fingerprints[a.Fingerprint] = true
			}
		}
	}
	assert.Len(t, groups, 4)
	for _, events := range groups {
		assert.Equal(t, 100, events)
	}
	assert.Equal(t, s.alert(3, time.Time{}), s.alert(3+4*perGroup, time.Time{}))
}

// Alertmanager's API takes no status, no fingerprint and no end that is not known.
func TestPostsAreWhatAlertmanagerTakes(t *testing.T) {
	body, eventType := newStream("X", 16).posts(100)(nil, 5)
	assert.Empty(t, eventType)
	var posted []map[string]any
	require.NoError(t, json.Unmarshal(body, &posted))
	require.Len(t, posted, 100)
	for _, name := range []string{"labels", "annotations", "startsAt", "generatorURL"} {
		assert.Contains(t, posted[99], name)
	}
	assert.Len(t, posted[99], 4)
}
