package aggregator

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/stormfold/stormfold/config"
)

// However many labels an alert, its group or the members of an outage have, an incident has at most what the schema
// allows, and the same ones in any order.
func TestLabelsAreBounded(t *testing.T) {
	o := Object{Total: 1, Members: []Member{{Severity: "critical"}}}
	group := map[string]string{}
	var parts []Part
	for i := range 200 {
		o.Members[0].Traits = append(o.Members[0].Traits, Label{fmt.Sprintf("trait%03d", i), "x"})
		group[fmt.Sprintf("group%03d", i)] = strings.Repeat("é", 1000)
		parts = append(parts, Part{Labels: map[string]string{fmt.Sprintf("part%03d", i): "x", "type": "Alert"}})
	}
	rank := config.Severities(nil).Rank
	labels := incidentLabels("default", &o, group, nil, nil, rank)
	assert.Len(t, labels, maxLabels+3)
	assert.Equal(t, "critical", labels["severity"])
	assert.Equal(t, "default", labels["policy"])
	for name, value := range labels {
		assert.LessOrEqual(t, len(value), maxName, name)
	}
	assert.Equal(t, labels, incidentLabels("default", &o, group, nil, nil, rank))

	labels = outageLabels("node", map[string]string{"node": "worker-1"}, parts)
	assert.LessOrEqual(t, len(labels), 64)
	assert.Equal(t, "node", labels["outage"])
	assert.Equal(t, "worker-1", labels["node"])
}
