package projector

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/subject"
)

// outageOf is a snapshot of an outage of a node with that many pods, the last of which has recovered.
func outageOf(pods int) (*aggregator.Snapshot, aggregator.Object) {
	at := time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)
	o := aggregator.Object{
		Name: "node-worker-1-aaaaaaaaaa", Namespace: "stormfold", State: aggregator.StateFiring, Revision: 7, OpenedAt: at,
		ChangedAt: at, Total: pods + 1, Firing: pods,
		Outage: &aggregator.Outage{Policy: "node", Evidence: aggregator.EvidenceCause, Cause: "node-down"},
	}
	o.Outage.Members = append(o.Outage.Members, aggregator.Part{
		Name: "node-down", Namespace: "stormfold", Group: "00112233445566aa", Type: "Storm", Firing: true, StartsAt: at,
		Severity: "warning", Subject: subject.Resource{Kind: "Node", Name: "worker-1"}, Alerts: 3, AlertsFiring: 3,
		Labels: map[string]string{"node": "worker-1", "cause:node": "true"},
	})
	for n := range pods {
		p := aggregator.Part{
			Name: "kube-pod-not-ready-" + unlike(n, 10), Namespace: "stormfold", Group: unlike(n+1, 16),
			Type: "Alert", Firing: n < pods-1, StartsAt: at.Add(time.Minute), Severity: "critical", AlertName: "KubePodNotReady",
			Subject: subject.Resource{Kind: "Pod", Namespace: fmt.Sprintf("ns-%d", n%24), Name: unlike(n, 40)}, Alerts: 1,
			Labels: map[string]string{"node": "worker-1", "namespace": fmt.Sprintf("ns-%d", n%24), "subject_kind": "Pod",
				"policy": "workloads", "type": "Alert", "severity": "critical"},
		}
		if p.Firing {
			p.AlertsFiring = 1
		} else {
			p.EndedAt = at.Add(time.Hour)
		}
		o.Outage.Members = append(o.Outage.Members, p)
	}
	return &aggregator.Snapshot{
		Group: "2a112233445566aao", Shard: 10, Policy: "node", Labels: map[string]string{"node": "worker-1"}, MaxListed: 20,
	}, o
}

// unlike is a text that does not compress.
func unlike(n, length int) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(n, length)))
	return hex.EncodeToString(sum[:])[:length]
}

func TestRenderOutage(t *testing.T) {
	s, o := outageOf(44)
	i := Render(s, o)
	st := i.Status
	assert.Equal(t, v1alpha1.TypeOutage, st.Type)
	assert.Equal(t, "44 of 45 incidents firing since 03:00 UTC on May 1, probably Node/worker-1, "+
		"47 alerts in 24 namespaces, critical", st.Summary)
	assert.Equal(t, &v1alpha1.IncidentCounts{Total: 45, Firing: 44}, st.Incidents)
	assert.Equal(t, v1alpha1.AlertCounts{Total: 47, Firing: 46, Resolved: 1}, st.Alerts)
	assert.Equal(t, &v1alpha1.ProbableCause{Incident: "node-down", Policy: "node", About: "Node/worker-1"}, st.ProbableCause)
	assert.Equal(t, "high", st.Confidence)
	require.Len(t, st.Parts, 20)
	assert.Equal(t, "node-down", st.Parts[0].Name, "the cause comes first")
	assert.True(t, st.Truncated)

	read, err := read(i)
	require.NoError(t, err)
	assert.ElementsMatch(t, o.Outage.Members, read.Object.Outage.Members, "an import gets back every incident")
	assert.Equal(t, aggregator.StateFiring, read.Object.State)
	assert.Equal(t, int64(7), read.Object.Revision)
}

// As many incidents as a policy may track fit, however little they have in common.
func TestTheLargestOutageFits(t *testing.T) {
	s, o := outageOf(1999)
	s.MaxListed = v1alpha1.MaxParts
	i := Render(s, o)
	content, err := json.Marshal(i)
	require.NoError(t, err)
	assert.Less(t, len(content), maxObject-objectOverhead)
	parts, err := PartsOf(i)
	require.NoError(t, err)
	assert.Len(t, parts, 2000)
	assert.Less(t, len(i.Status.Upkeep.Parts), 262144, "what the schema allows")
	t.Logf("%d bytes", len(content))
}

func TestPartsOfRefusesNonsense(t *testing.T) {
	for _, packed := range []string{"%", "AAAA", packParts([]aggregator.Part{{}})} {
		i := &v1alpha1.Incident{}
		i.Status.Upkeep.Parts = packed
		_, err := PartsOf(i)
		assert.ErrorContains(t, err, "status.upkeep.parts")
	}
}

// Labels as long as they may be, which differ in every incident, do not make an object too large: what does not fit is
// left out, incidents that have recovered first.
func TestHugeLabelsFit(t *testing.T) {
	huge := func(n int) map[string]string {
		labels := map[string]string{}
		for i := range 64 {
			labels[unlike(i, 64)+unlike(i+100, 64)] = strings.Repeat(unlike(n*64+i, 64), 4)[:253]
		}
		return labels
	}
	s, o := outageOf(1999)
	for i := range o.Outage.Members {
		o.Outage.Members[i].Labels = huge(i)
		o.Outage.Members[i].Firing = i%100 == 0
	}
	o.Labels = huge(2000)
	i := Render(s, o)
	content, err := json.Marshal(i)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(content), maxObject-objectOverhead)
	assert.Equal(t, o.Labels, i.Status.Labels)
	assert.True(t, i.Status.Truncated)
	assert.Equal(t, &v1alpha1.IncidentCounts{Total: 2000, Firing: 1999}, i.Status.Incidents, "counts stay exact")
	parts, err := PartsOf(i)
	require.NoError(t, err)
	require.NotEmpty(t, parts)
	assert.Less(t, len(parts), 2000)
	for _, p := range parts[:min(len(parts), 20)] {
		assert.True(t, p.Firing, "those that fire are kept")
	}

	lone, alert := storm(10000)
	alert.Labels = huge(1)
	content, err = json.Marshal(Render(lone, alert))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(content), maxObject-objectOverhead)
}
