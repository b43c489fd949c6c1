package aggregator

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/config"
)

// After Redis' clock stepped back, neither the flush interval nor a lease of a dead pod reaches further than from now.
func TestRedisClockStepsBack(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(6, Firing)...)
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	dead := l.fold(l.alert("web-9", Firing)) // Its pod dies with the lease.
	require.NotEmpty(t, dead.Token)
	l.pass(-time.Hour)
	l.fold(l.alert("web-10", Firing))
	var busy *Busy
	_, err := l.Snapshot(l.ctx, f.Group, "", false)
	require.ErrorAs(t, err, &busy)
	require.LessOrEqual(t, busy.Until.Sub(l.now), 20*time.Second, "the lease")
	l.pass(20 * time.Second)
	s, err := l.Snapshot(l.ctx, f.Group, "", false)
	require.NoError(t, err, "the flush interval")
	l.settle(s)
	require.Equal(t, 8, l.one(StateFiring).Total)
}

// An alert that its policy's overflow group counts stays there when its own group could have a slot.
func TestAnOverflowGroupKeepsItsAlerts(t *testing.T) {
	l := newLab(t, func(p *config.Policy) { p.GroupBy, p.MaxGroups, p.Threshold = []string{"pod"}, 1, 3 })
	var names []string // Pods whose groups share a shard.
	for i := 0; len(names) < 3; i++ {
		name := "web-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		if ShardOf(GroupID("default", map[string]string{"pod": name})) == 5 {
			names = append(names, name)
		}
	}
	f := l.fold(l.alert(names[0], Firing))
	l.flush(f.Group, f.Token)
	f = l.fold(l.alert(names[1], Firing))
	require.Equal(t, OverflowOf("default", f.Group), f.Group)
	l.flush(f.Group, f.Token)
	l.policy.MaxGroups = 100 // A slot.
	l.pass(time.Minute)
	require.Equal(t, f.Group, l.fold(l.alert(names[1], Firing)).Group)
	require.Equal(t, f.Group, l.fold(l.alert(names[2], Firing)).Group, "no group beside it while it has something open")
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.Len(t, l.open(), 3)
	f = l.fold(l.alert(names[1], Resolved))
	l.fold(l.alert(names[2], Resolved))
	l.pass(time.Minute)
	l.flush(f.Group, "")
	require.Len(t, l.open(), 1)
	l.pass(time.Hour)
	require.NotEqual(t, f.Group, l.fold(l.alert(names[1], Firing)).Group)
}

// Alerts that wait for the import are folded although Redis has lost the hash of their group meanwhile.
func TestAlertsThatWaitOutliveTheirGroupsHash(t *testing.T) {
	l := newLab(t, nil)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	f := l.fold(l.pods(6, Firing)...)
	require.Equal(t, "waiting", f.State)
	require.NoError(t, l.rdb.Del(l.ctx, l.keys.group(f.Group).hash).Err())
	l.imported()
	l.flush(f.Group, "")
	o := l.one(StateFiring)
	require.Equal(t, []int{6, 6}, []int{o.Total, o.Firing})
	require.Equal(t, map[string]string{"alertname": "PodDown", "namespace": "shop", "severity": "warning"}, o.CommonLabels)
}

// halved is a Redis that fails over, between two pages of a scan, to one whose scan goes another way: half of the alerts
// are in no page.
type halved struct{ failing bool }

func (h *halved) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return next(ctx, network, address)
	}
}

func (h *halved) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *halved) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, c redis.Cmder) error {
		err := next(ctx, c)
		if scan, ok := c.(*redis.ScanCmd); ok && h.failing && c.Name() == "hscan" {
			page, cursor := scan.Val()
			scan.SetVal(page[:len(page)/4*2], cursor)
		}
		return err
	}
}

// A scan that misses alerts is never written: what is listed in Kubernetes is at least what is counted.
func TestAScanThatMissesAlertsIsNotWritten(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.pods(1000, Firing)...)
	h := &halved{failing: true}
	l.rdb.AddHook(h)
	_, err := l.Snapshot(l.ctx, f.Group, f.Token, true)
	require.True(t, errors.Is(err, ErrUnavailable), "%v", err)
	h.failing = false
	l.flush(f.Group, f.Token)
	require.Len(t, l.one(StateFiring).Members, 1000)
}

// What a sender left out of one notification it tells in a later one of the same group: then the storm's counts are exact, and it
// ends when its alerts do.
func TestTruncationEnds(t *testing.T) {
	l := newLab(t, nil)
	send := func(truncated bool, key string, alerts ...Alert) Folded {
		batch := Batch{Alerts: alerts, Truncated: truncated, GroupKey: key}
		folded, err := l.Fold(l.ctx, Split(config.Policies{List: []config.Policy{l.policy}}, batch), func(Group) string { return "stormfold" })
		require.NoError(t, err)
		l.pass(time.Minute)
		l.flush(folded[0].Group, "")
		return folded[0]
	}
	send(true, "aa", l.pods(6, Firing)...)
	send(true, "bb", l.pods(6, Firing)...)
	require.True(t, l.one(StateFiring).Truncated)
	send(false, "aa", l.pods(8, Firing)...)
	require.True(t, l.one(StateFiring).Truncated, "the other group's notification is still cut")
	send(false, "bb", l.pods(8, Firing)...)
	require.False(t, l.one(StateFiring).Truncated)
	require.Equal(t, "cool", send(false, "aa", l.pods(8, Resolved)...).State)
}

// An end that is told again after Redis lost its alert, and before the incident was imported, is that incident's: an alert that
// fires within the cooldown reopens it.
func TestAnEndToldAgainBeforeTheImport(t *testing.T) {
	l := newLab(t, nil)
	f := l.fold(l.alert("web-0", Firing))
	l.flush(f.Group, f.Token)
	l.pass(time.Minute)
	over := l.alert("web-0", Resolved)
	f = l.fold(over)
	l.flush(f.Group, f.Token)
	o := l.one(StateResolved)
	require.NoError(t, l.rdb.FlushAll(l.ctx).Err())
	l.imported()
	l.pass(time.Minute)
	over.NotifiedAt = l.now
	l.fold(over)
	labels := map[string]string{"alertname": "PodDown"}
	l.give(Imported{Group: f.Group, Policy: "default", Labels: labels, Object: o})
	l.pass(time.Minute)
	f = l.fold(l.alert("web-0", Firing))
	require.Equal(t, []TransitionType{Reopened}, types(f))
	l.flush(f.Group, f.Token)
	require.Len(t, l.objects, 1)
}
