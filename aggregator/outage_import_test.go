package aggregator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A pod that took its snapshot before Redis was emptied may write its outage after the import, when the group has made
// another one of the same incidents.
func TestAnOutageWrittenAfterTheImport(t *testing.T) {
	for name, c := range map[string]struct {
		members []string
		state   State
		want    State
		by      string
	}{
		"its incidents are in another one": {[]string{"a", "b", "c"}, StateFiring, StateAbsorbed, "ours"},
		"most of them are":                 {[]string{"a", "b", "x"}, StateFiring, StateAbsorbed, "ours"},
		"half of them are":                 {[]string{"a", "x"}, StateFiring, StateFiring, ""},
		"it had ended":                     {[]string{"a", "b", "c"}, StateResolved, StateResolved, ""},
		"their own one is no longer there": {[]string{"y", "z"}, StateFiring, StateFiring, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := &outageGroup{now: 100, state: outageState{
				Revision: 50,
				Outages:  map[string]*outageEntry{"ours": {State: StateResolved, Reason: "AllResolved", Revision: 50}},
				Told:     map[string]string{"a": "ours", "b": "ours", "c": "ours", "y": "gone", "z": "gone"},
			}}
			g.merge(&foundOutage{"late", outageEntry{State: c.state, Members: c.members, Revision: 60, Confirmed: 60}})
			late := g.state.Outages["late"]
			require.Equal(t, c.want, late.State)
			require.Equal(t, c.by, late.AbsorbedBy)
			require.Equal(t, c.by != "", late.Revision > late.Confirmed, "it has to be written")
		})
	}
}
