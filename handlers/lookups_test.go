package handlers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Look-ups are beside the labels: they change neither the fingerprint nor, when they are wrong, anything else.
func TestLookups(t *testing.T) {
	alert := func(lookups string) string {
		return `{"status":"firing","labels":{"alertname":"A","pod":"p"},"startsAt":"2026-03-01T10:15:30Z"` +
			lookups + `}`
	}
	plain := decodeOne(t, alert(""))
	for name, c := range map[string]struct {
		sent string
		want map[string]string
	}{
		"known ones": {
			`,"lookups":{"node":"n1","zone":"z","owner":"Deployment/web"}`,
			map[string]string{"node": "n1", "zone": "z", "owner": "Deployment/web"},
		},
		"unknown ones": {`,"lookups":{"rack":"r"}`, nil},
		"null":         {`,"lookups":null`, nil},
		"another type": {`,"lookups":["n1"]`, nil},
		"a number":     {`,"lookups":{"node":7}`, map[string]string{"node": "7"}},
		"one that is long": {
			`,"lookups":{"node":"` + strings.Repeat("n", MaxLookup+1) + `","zone":"z"}`,
			map[string]string{"zone": "z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := decodeOne(t, alert(c.sent))
			assert.Equal(t, c.want, a.Lookups)
			a.Lookups = nil
			assert.Equal(t, plain, a)
		})
	}
}
