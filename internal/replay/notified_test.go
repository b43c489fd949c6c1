package replay

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/internal/alertmanager"
)

// From the alerts of a recording alone, the model sends the notifications that the recording has: as many, at the same
// times, about the same groups, and for the same reasons.
func TestTheModelSendsWhatWasSent(t *testing.T) {
	files, err := filepath.Glob("../../docs/recordings/*.kube-prometheus*.jsonl")
	require.NoError(t, err)
	require.Len(t, files, 16)
	for _, file := range files {
		// The Watchdog has a route of its own.
		all := slices.DeleteFunc(recording(t, filepath.Base(file)), func(n Notification) bool {
			return n.Batch.Alerts[0].Labels["alertname"] == "Watchdog"
		})
		sent, computed := notified(all, nil), notified(all, []string{"namespace"})
		require.Equal(t, len(all), sent.Notifications)
		require.Zero(t, sent.Computed)
		require.Equal(t, sent.Notifications, computed.Computed)
		computed.Computed, computed.GroupBy = 0, nil
		require.Equal(t, sent, computed, file)
		var got, want []string
		for _, n := range all {
			want = append(want, n.At.String()+n.Batch.Alerts[0].Labels["namespace"])
		}
		for _, n := range wouldSend(all, alertmanager.Shipped) {
			got = append(got, n.At.String()+n.GroupLabels["namespace"])
		}
		require.ElementsMatch(t, want, got, file)
	}
}

// The reasons of what was sent, in numbers that were counted by hand.
func TestNotificationsThatWereSent(t *testing.T) {
	require.Equal(t, Notified{
		Notifications: 5, Groups: 1, FirstNotification: 1, NewAlerts: 2, SomeResolved: 1, AllResolved: 1,
	}, notified(recording(t, "rollout.jsonl"), nil))
}

// Documents without a group key are what Alertmanager would have received.
func TestNotificationsThatWouldHaveBeenSent(t *testing.T) {
	minutes := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	one := func(minute int, status aggregator.Status, pods ...string) Notification {
		return notification(t, minutes(minute), status, pods...)
	}
	shipped := []string{"namespace"}
	for name, c := range map[string]struct {
		documents []Notification
		want      Notified
	}{
		"an alert that fires for long is repeated every 12 hours": {
			[]Notification{one(0, aggregator.Firing, "a"), one(30*60, aggregator.Resolved, "a")},
			Notified{Notifications: 4, FirstNotification: 1, Repeat: 2, AllResolved: 1},
		},
		"an alert that nobody resolves times out": {
			[]Notification{one(0, aggregator.Firing, "a"), one(30*60, aggregator.Firing, "b")},
			Notified{Notifications: 4, FirstNotification: 2, AllResolved: 2},
		},
		"what is repeated in the recording is not": {
			[]Notification{one(0, aggregator.Firing, "a"), one(2, aggregator.Firing, "a"), one(9, aggregator.Firing, "a")},
			Notified{Notifications: 2, FirstNotification: 1, AllResolved: 1},
		},
		"the end is reported after the last document": {
			[]Notification{one(0, aggregator.Firing, "a", "b"), one(1, aggregator.Resolved, "a"), one(6, aggregator.Resolved, "b")},
			Notified{Notifications: 3, FirstNotification: 1, SomeResolved: 1, AllResolved: 1},
		},
		"an alert whose firing is not in the recording is not reported": {
			[]Notification{one(0, aggregator.Resolved, "a")},
			Notified{},
		},
		"an alert that fires again": {
			[]Notification{
				one(0, aggregator.Firing, "a", "b"), one(1, aggregator.Resolved, "a"), one(7, aggregator.Firing, "a"),
				one(20, aggregator.Resolved, "b"),
			},
			Notified{Notifications: 5, FirstNotification: 1, SomeResolved: 2, NewAlerts: 1, AllResolved: 1},
		},
	} {
		c.want.Computed, c.want.GroupBy = c.want.Notifications, shipped
		c.want.Groups = min(1, c.want.Notifications)
		require.Equal(t, c.want, notified(c.documents, nil), name)
	}
}

// Both kinds of documents in one replay are added, and with labels to group by all are computed.
func TestNotificationsOfBothKinds(t *testing.T) {
	all := slices.Concat(recording(t, "rollout.jsonl"), recording(t, "flapping.jsonl"))
	slices.SortStableFunc(all, func(a, b Notification) int { return a.At.Compare(b.At) })
	require.Equal(t, Notified{
		Notifications: 15, Computed: 10, GroupBy: []string{"namespace"}, Groups: 2,
		FirstNotification: 6, NewAlerts: 2, SomeResolved: 1, AllResolved: 6,
	}, notified(all, nil))
	r := replayed(t, all, Options{GroupBy: []string{"alertname"}})
	require.Equal(t, Notified{
		Notifications: 13, Computed: 13, GroupBy: []string{"alertname"}, Groups: 2,
		FirstNotification: 6, NewAlerts: 1, AllResolved: 6,
	}, r.Alertmanager)
}
