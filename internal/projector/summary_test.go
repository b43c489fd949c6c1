package projector

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// The storm of 15 alerts starts at 03:00 UTC on May 1; 10 of them fire, 5 of these are critical.
func TestSummary(t *testing.T) {
	ended := func(reason string, after time.Duration) func(*aggregator.Object) {
		return func(o *aggregator.Object) {
			o.State, o.Reason, o.EndedAt = aggregator.StateResolved, reason, start.Add(after)
			if reason == v1alpha1.ReasonMaxDuration {
				return
			}
			o.Firing = 0
			for i := range o.Members {
				o.Members[i].Firing = false
			}
		}
	}
	elsewhere := func(o *aggregator.Object) {
		for i := range o.Members[:3] {
			o.Members[i].Resource = subject.Resource{Kind: "Pod", Namespace: "search", Name: "api-0"}
		}
	}
	for name, c := range map[string]struct {
		alerts int
		change func(*aggregator.Object)
		// What the incident says, and its conditions Resolved and Storm.
		about, summary, resolved, storm string
	}{
		"storm": {
			15, func(*aggregator.Object) {}, "Deployment/shop/web",
			"10 of 15 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop, 5 critical",
			"10 of 15 alerts firing",
			"15 alerts; the group crossed its policy's threshold at 03:00 UTC on May 1",
		},
		"lone alert": {
			1, func(o *aggregator.Object) { o.Storm = false }, "Pod/shop/web-7d9f8b6c5d-bbbbb",
			"1 alert firing since 03:00 UTC on May 1, Pod/web-7d9f8b6c5d-bbbbb in shop, warning",
			"1 of 1 alert firing", "1 alert, not a storm",
		},
		"lower bounds": {
			15, func(o *aggregator.Object) { o.Beyond = 5 }, "Deployment/shop/web",
			"at least 10 of 20 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop, 5 critical",
			"at least 10 of 20 alerts firing",
			"at least 20 alerts; the group crossed its policy's threshold at 03:00 UTC on May 1",
		},
		"no subject": {
			15, elsewhere, "workload=Deployment/web (80%)",
			"10 of 15 alerts firing since 03:00 UTC on May 1, about 8 resources, 80% with workload=Deployment/web, 5 critical",
			"10 of 15 alerts firing", "",
		},
		"no severity": {
			15, func(o *aggregator.Object) {
				for i := range o.Members {
					o.Members[i].Severity = ""
				}
			}, "Deployment/shop/web", "10 of 15 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop",
			"10 of 15 alerts firing", "",
		},
		"some are quiet": {
			15, func(o *aggregator.Object) { o.Members[2].Quiet, o.Members[5].Quiet = true, true }, "Deployment/shop/web",
			"10 of 15 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop, 5 critical, 2 no longer reported",
			"10 of 15 alerts firing", "",
		},
		"reopened": {
			15, func(o *aggregator.Object) { o.Reopened, o.ReopenedAt = 2, start.Add(time.Hour) }, "Deployment/shop/web",
			"10 of 15 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop, 5 critical, reopened twice",
			"reopened twice within the policy's cooldown; 10 of 15 alerts firing", "",
		},
		"resolved": {
			15, ended(v1alpha1.ReasonAllResolved, 25*time.Minute+10*time.Second), "Deployment/shop/web",
			"all 15 alerts resolved at 03:25 UTC on May 1 after 25m10s, all Deployment/web in shop, 7 critical",
			"0 of 15 alerts firing", "",
		},
		"lone alert, resolved": {
			1, func(o *aggregator.Object) {
				o.Storm = false
				ended(v1alpha1.ReasonAllResolved, time.Minute)(o)
			}, "Pod/shop/web-7d9f8b6c5d-bbbbb",
			"1 alert resolved at 03:01 UTC on May 1 after 1m0s, Pod/web-7d9f8b6c5d-bbbbb in shop, warning",
			"0 of 1 alert firing", "",
		},
		"quiet": {
			15, func(o *aggregator.Object) {
				ended(v1alpha1.ReasonQuiet, 13*time.Hour)(o)
				o.Members[2].Quiet = true
			}, "Deployment/shop/web",
			"15 alerts ended at 16:00 UTC on May 1 after 13h0m, all Deployment/web in shop, 7 critical, 1 no longer reported",
			"1 of 15 alerts not reported for the policy's quiet time, the others resolved", "",
		},
		"maximum duration": {
			15, ended(v1alpha1.ReasonMaxDuration, 7*24*time.Hour), "Deployment/shop/web",
			"closed at 03:00 UTC on May 8 after 7d0h with 10 of 15 alerts firing, all Deployment/web in shop, 5 critical",
			"closed after the policy's maxDuration with 10 of 15 alerts firing, which a new incident shows", "",
		},
		"absorbed": {
			1, func(o *aggregator.Object) {
				o.Storm, o.State, o.AbsorbedBy, o.EndedAt = false, aggregator.StateAbsorbed, "pod-down-y", start.Add(time.Minute)
			}, "Pod/shop/web-7d9f8b6c5d-bbbbb",
			"1 alert absorbed by pod-down-y at 03:01 UTC on May 1, Pod/web-7d9f8b6c5d-bbbbb in shop, warning",
			"1 alert absorbed by pod-down-y, which shows all alerts of the group", "1 alert, not a storm",
		},
		"imported": {
			15, func(o *aggregator.Object) { o.Members[0].Resource, o.Members[0].Severity = subject.Resource{}, "" },
			"Namespace/shop",
			"10 of 15 alerts firing since 03:00 UTC on May 1, all in namespace shop, critical",
			"10 of 15 alerts firing", "",
		},
		"nothing is known": {
			0, func(o *aggregator.Object) {
				o.CommonLabels = nil
				ended(v1alpha1.ReasonAllResolved, 0)(o)
			}, "", "0 alerts resolved at 03:00 UTC on May 1 after 0s", "0 of 0 alerts firing", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := storm(c.alerts)
			c.change(&o)
			st := Render(s, o).Status
			require.Equal(t, c.about, st.About)
			require.Equal(t, c.summary, st.Summary)
			require.Equal(t, c.resolved, meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionResolved).Message)
			if c.storm != "" {
				require.Equal(t, c.storm, meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionStorm).Message)
			}
		})
	}
}

// Other kinds of subjects, in a word and in a sentence.
func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		resource        subject.Resource
		about, sentence string
	}{
		{subject.Resource{Kind: "Node", Name: "worker-3"}, "Node/worker-3", "all Node/worker-3"},
		{subject.Resource{Kind: "Namespace", Name: "shop"}, "Namespace/shop", "all in namespace shop"},
		{subject.Resource{Kind: subject.Cluster}, "Cluster", "all about the whole cluster"},
		{subject.Resource{Kind: "Deployment", Namespace: "monitoring"}, "Deployment/monitoring",
			"all Deployment in monitoring"},
		{subject.Resource{Kind: subject.Alert, Name: "Slow"}, "Alert/Slow", "all Alert/Slow"},
	} {
		s, o := storm(4)
		for i := range o.Members {
			o.Members[i].Resource = c.resource
		}
		st := Render(s, o).Status
		require.Equal(t, c.about, st.About)
		require.Equal(t, "3 of 4 alerts firing since 03:00 UTC on May 1, "+c.sentence+", 2 critical", st.Summary)
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct{ part, all, want int }{
		{1, 1, 100}, {1, 3, 33}, {2, 3, 67}, {1, 8, 13}, {999, 1000, 99}, {1, 1000, 0}, {5, 1000, 1}, {10000, 10000, 100},
	} {
		require.EqualValues(t, c.want, percent(c.part, c.all), "%d of %d", c.part, c.all)
	}
}

// Alerts about a node and what runs on it.
func TestOnANode(t *testing.T) {
	s, o := storm(4)
	o.Members[0].Resource = subject.Resource{Kind: "Node", Name: "node-0"}
	for i := range o.Members {
		o.Members[i].Breakdown = []aggregator.Label{{Name: "node", Value: "node-0"}}
		o.Members[i].Resource.Name = fmt.Sprintf("node-%d", i)
	}
	st := Render(s, o).Status
	require.Equal(t, "Node/node-0", st.About)
	require.Equal(t, "3 of 4 alerts firing since 03:00 UTC on May 1, all on Node/node-0, 2 critical", st.Summary)
}

// What all alerts share is among the common labels, and no hotspot.
func TestHotspotsDoNotRepeatCommonLabels(t *testing.T) {
	s, o := storm(8)
	for i := range o.Members {
		o.Members[i].Severity = "critical"
	}
	o.CommonLabels["severity"] = "critical"
	got := Render(s, o).Status.Hotspots
	require.Equal(t, []v1alpha1.Hotspot{
		{Label: "workload", Value: "Deployment/web", Alerts: 8, Share: 100},
		{Label: "node", Value: "node-0", Alerts: 4, Share: 50},
		{Label: "node", Value: "node-1", Alerts: 4, Share: 50},
	}, got)
}

// The subject of alerts of which Redis has only the fingerprints is what the object says, until another alert differs.
func TestTheSubjectIsCarried(t *testing.T) {
	s, o := storm(9)
	s.Labels = map[string]string{"alertname": "PodDown"}
	have := Render(s, o)
	require.Equal(t, &v1alpha1.Subject{Kind: "Deployment", Namespace: "shop", Name: "web"}, have.Status.Subject)
	for i := range o.Members[1:] {
		o.Members[i+1].Resource = subject.Resource{}
	}
	want := Render(s, o)
	require.Nil(t, want.Status.Subject)
	carry(want, have, s, o)
	require.Equal(t, have.Status.Subject, want.Status.Subject)
	require.Equal(
		t,
		"6 of 9 alerts firing since 03:00 UTC on May 1, all Deployment/web in shop, critical",
		want.Status.Summary,
	)

	o.Members[0].Resource.Name = "cart-7d9f8b6c5d-bbbbb"
	want = Render(s, o)
	carry(want, have, s, o)
	require.Equal(t, &v1alpha1.Subject{Kind: "Namespace", Name: "shop"}, want.Status.Subject)
}
