package cases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
)

const (
	// lone has an incident for each alert until five of one name and namespace fire.
	lone = "policies: [{name: lone, groupBy: [namespace, alertname], threshold: 5, window: 15m" + times
	// together has one incident for all alerts of a name and namespace.
	together = "policies: [{name: together, groupBy: [namespace, alertname], threshold: 1" + times
	times    = ", quiet: 5h, maxDuration: 7d, cooldown: 20m}]"
)

// down are n alerts about pods.
func down(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint("alertname=PodDown namespace=shop severity=warning pod=p-", i))
	}
	return out
}

func all(texts []string, document func(text string) string) (out []string) {
	for _, text := range texts {
		out = append(out, document(text))
	}
	return out
}

func firing(texts []string) []string {
	return all(texts, func(text string) string { return fires(text, 0) })
}

func over(texts []string, to time.Duration) []string {
	return all(texts, func(text string) string { return ended(text, 0, to) })
}

// The slower one of two Alertmanagers still says that an alert fires after the other one has said that it ended.
func TestCaseTheSlowerPeer(t *testing.T) {
	const alert = "alertname=Lag namespace=shop severity=warning"
	o := play(t, policies(t, lone),
		sent(30*time.Second, fires(alert, 0)),
		sent(80*time.Second, ended(alert, 0, 70*time.Second)),
		sent(90*time.Second, fires(alert, 0)),
		sent(91*time.Second, fires(alert, 0)),
		sent(105*time.Second, ended(alert, 0, 70*time.Second)))
	i := o.only(t)
	require.Zero(t, i.Status.Reopened)
	require.Equal(t, []v1alpha1.State{v1alpha1.StateFiring, v1alpha1.StateResolved}, o.states[i.Name])
	require.Equal(t, 80*time.Second, endedAt(i))
}

// Alerts that are first reported as resolved make no incident of their own.
func TestCaseOnlyEverResolved(t *testing.T) {
	require.Empty(t, play(t, policies(t, lone), sent(time.Minute, over(down(8), 50*time.Second)...)).incidents)
	// A value in a label makes another alert of each value, of which only the last one fires.
	alerts := []string{}
	for n := range 5 {
		text := fmt.Sprint("alertname=Memory namespace=shop instance=db-1:9100 value=84.", n)
		alerts = append(alerts, ended(text, 0, time.Minute))
	}
	const last = "alertname=Memory namespace=shop instance=db-1:9100 value=84.9"
	o := play(t, policies(t, lone), sent(time.Minute, append(alerts, fires(last, time.Minute))...))
	require.True(t, o.holds(t, last))
	require.EqualValues(t, 1, o.only(t).Status.Alerts.Total)
}

// Five of six alerts are silenced: they are not reported any more, while the sixth is repeated. They end by quiet, one
// by one.
func TestCaseSilencedMembers(t *testing.T) {
	alerts := down(6)
	documents := []string{sent(0, firing(alerts)...)}
	for repeated := 4 * time.Hour; repeated <= 16*time.Hour; repeated += 4 * time.Hour {
		documents = append(documents, sent(repeated, fires(alerts[0], 0)))
	}
	documents = append(documents, sent(18*time.Hour, ended(alerts[0], 0, 18*time.Hour-time.Minute)))
	for name, p := range map[string]string{"a storm": lone, "one incident": together} {
		t.Run(name, func(t *testing.T) {
			o := play(t, policies(t, p), documents...)
			i := o.only(t)
			require.Equal(t, 18*time.Hour, endedAt(i))
			require.Equal(t, "AllResolved", reason(i))
			var counts []string
			for _, w := range o.written {
				counts = append(counts, fmt.Sprint(w.Status.Alerts.Firing, " of ", w.Status.Alerts.Total))
			}
			require.Contains(t, counts, "1 of 6", "alerts without notifications do not fire forever")
		})
	}
}

// A critical alert inhibits the warning about the same object, and ends. The warning is not reported any more and
// ends by its own quiet.
func TestCaseInhibited(t *testing.T) {
	const alert = "alertname=VolumeFills namespace=shop persistentvolumeclaim=data-0 severity="
	o := play(t, policies(t, together),
		sent(0, fires(alert+"warning", 0)),
		sent(30*time.Minute, fires(alert+"critical", 30*time.Minute)),
		sent(time.Hour, ended(alert+"critical", 30*time.Minute, time.Hour)))
	i := o.only(t)
	require.Equal(t, "Quiet", reason(i))
	require.Equal(t, 5*time.Hour, endedAt(i))
}

// A resolution that never arrives: quiet ends the incident.
func TestCaseALostResolution(t *testing.T) {
	const alert = "alertname=DiskFull namespace=shop instance=db-1 severity=critical"
	i := play(t, policies(t, lone), sent(0, fires(alert, 0))).only(t)
	require.Equal(t, "Quiet", reason(i))
	require.Equal(t, 5*time.Hour, endedAt(i))
}

// A notification about two alerts of six does not change the others.
func TestCaseAPartialNotification(t *testing.T) {
	alerts := down(6)
	o := play(t, policies(t, lone),
		sent(0, firing(alerts)...),
		sent(time.Minute, firing(alerts[:2])...),
		sent(5*time.Minute, append(firing(alerts[2:]), over(alerts[:2], 4*time.Minute)...)...),
		sent(10*time.Minute, over(alerts[2:], 9*time.Minute)...))
	i := o.only(t)
	require.EqualValues(t, 6, i.Status.Alerts.Total)
	require.Equal(t, "AllResolved", reason(i))
	require.Equal(t, 10*time.Minute, endedAt(i))
}

// Alertmanager says again and again that an alert is over, together with others of its group.
func TestCaseResolvedAgain(t *testing.T) {
	const one, other = "alertname=Disk namespace=shop instance=a", "alertname=Disk namespace=shop instance=b"
	gone := ended(one, 0, 4*time.Minute)
	o := play(t, policies(t, lone),
		sent(0, fires(one, 0)),
		sent(5*time.Minute, gone),
		sent(11*time.Minute, fires(other, 10*time.Minute), gone),
		sent(16*time.Minute, ended(other, 10*time.Minute, 15*time.Minute), gone))
	require.Len(t, o.incidents, 2)
	for _, i := range o.incidents {
		require.Zero(t, i.Status.Reopened)
		require.Equal(t, "AllResolved", reason(i))
		require.Equal(t, []v1alpha1.State{v1alpha1.StateFiring, v1alpha1.StateResolved}, o.states[i.Name])
	}
}

// A notification leaves alerts out, the next one of the same group is whole: the storm is no longer truncated, and
// ends when its alerts have.
func TestCaseTruncatedOnce(t *testing.T) {
	alerts := down(12)
	o := play(t, policies(t, lone),
		strings.Replace(sent(0, firing(alerts[:8])...), `"truncatedAlerts":0`, `"truncatedAlerts":4`, 1),
		sent(5*time.Minute, firing(alerts)...),
		sent(10*time.Minute, over(alerts, 9*time.Minute)...))
	i := o.only(t)
	require.True(t, o.written[0].Status.Truncated)
	require.False(t, i.Status.Truncated)
	require.EqualValues(t, 12, i.Status.Alerts.Total)
	require.Equal(t, "AllResolved", reason(i))
	require.Equal(t, 10*time.Minute, endedAt(i))
}

// An alert changes its state with each group_interval, and is reported a little late.
func TestCaseFlapsEachGroupInterval(t *testing.T) {
	const steady, flapping = "alertname=Flap namespace=shop instance=b", "alertname=Flap namespace=shop instance=a"
	documents := []string{sent(0, fires(steady, 0), fires(flapping, 0))}
	for n := range 6 {
		told, since := time.Duration(10*n+5)*time.Minute, time.Duration(10*n)*time.Minute
		documents = append(documents,
			sent(told+3*time.Millisecond, fires(steady, 0), ended(flapping, since, told-time.Minute)),
			sent(told+5*time.Minute+6*time.Millisecond, fires(steady, 0), fires(flapping, since+10*time.Minute)))
	}
	o := play(t, config.Default(), documents...)
	require.Len(t, o.incidents, 2)
	require.EqualValues(t, 6, o.incidents[0].Status.Reopened+o.incidents[1].Status.Reopened)
}

// An alert that fires for 26 hours is repeated every twelve.
func TestCaseRepeatedEveryTwelveHours(t *testing.T) {
	const alert = "alertname=KubePersistentVolumeFillingUp namespace=shop persistentvolumeclaim=data-0 severity=critical"
	o := play(t, config.Default(),
		sent(0, fires(alert, 0)), sent(12*time.Hour, fires(alert, 0)), sent(24*time.Hour, fires(alert, 0)),
		sent(26*time.Hour, ended(alert, 0, 26*time.Hour-time.Minute)))
	require.Len(t, o.incidents, 1)
	i := o.only(t)
	require.Equal(t, []v1alpha1.State{v1alpha1.StateFiring, v1alpha1.StateResolved}, o.states[i.Name])
	require.Equal(t, "AllResolved", reason(i))
}

// Sixteen alerts about the pods of one Deployment, four more every five minutes.
func TestCaseAStormThatComesSlowly(t *testing.T) {
	var alerts, documents []string
	for n := range 4 {
		for _, c := range "bcdf" {
			text := fmt.Sprintf(
				"alertname=KubePodCrashLooping namespace=shop severity=warning pod=web-7d9f8b6c5d-4k%d7%c",
				n+4,
				c,
			)
			alerts = append(alerts, fires(text, time.Duration(n)*5*time.Minute))
		}
		documents = append(documents, sent(time.Duration(n)*5*time.Minute+30*time.Second, alerts...))
	}
	i := play(t, config.Default(), documents...).only(t)
	require.Equal(t, v1alpha1.TypeStorm, i.Status.Type)
	require.EqualValues(t, 16, i.Status.Alerts.Total)
}
