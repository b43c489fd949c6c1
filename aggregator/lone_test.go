package aggregator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/stormfold/stormfold/config"
)

// Every pod and every delivery of an event makes the same name; another alert, another start or another group makes another.
func TestLoneNames(t *testing.T) {
	l := &lab{now: epoch}
	policies := config.Default()
	lone := func(a Alert, at time.Time) Object {
		group := Split(policies, Batch{Alerts: []Alert{a}})[0]
		s := Lone(group, group.Alerts[0], "stormfold", at)
		require.Equal(t, group.ID, s.Group)
		require.Equal(t, at.UnixMilli(), s.Objects[0].Revision)
		return s.Objects[0]
	}
	alert := l.alert("web-0", Firing)
	first := lone(alert, epoch)
	require.Regexp(t, "^pod-down-[a-z2-7]{10}$", first.Name)
	require.Empty(t, validation.IsDNS1123Label(first.Name))
	require.Equal(t, first.Name, lone(alert, epoch.Add(time.Minute)).Name)
	require.Equal(t, []Member{{
		Fingerprint: alert.Fingerprint, Firing: true, StartsAt: epoch, Severity: "warning",
		Resource: Resource{Kind: "Pod", Namespace: "shop", Name: "web-0"},
	}}, first.Members)

	names := map[string]bool{first.Name: true}
	again, other, elsewhere := alert, l.alert("web-1", Firing), l.alert("web-0", Firing)
	again.StartsAt = epoch.Add(time.Hour)
	elsewhere.Labels["cluster"] = "eu"
	for _, a := range []Alert{again, other, elsewhere} {
		name := lone(a, epoch).Name
		require.False(t, names[name], name)
		names[name] = true
	}
}
