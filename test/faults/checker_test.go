package faults

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// saying are words about alerts by number, all of one group.
func saying(firing bool, second int, alerts ...uint64) []Word {
	var out []Word
	for _, n := range alerts {
		out = append(out, Word{
			Fingerprint: fmt.Sprintf("%016x", n), Group: "shop/PodDown", Firing: firing, At: time.Unix(int64(second), 0),
		})
	}
	return out
}

// planted is an incident that lists these alerts.
func planted(name string, kind v1alpha1.Type, firing, resolved []uint64) v1alpha1.Incident {
	var in v1alpha1.Incident
	in.Name = name
	in.Spec.GroupLabels = map[string]string{"namespace": "shop", "alertname": "PodDown"}
	var raw []byte
	for _, n := range append(append([]uint64{}, firing...), resolved...) {
		raw = binary.BigEndian.AppendUint64(raw, n)
	}
	in.Status = v1alpha1.IncidentStatus{
		State: v1alpha1.StateFiring, Type: kind,
		Upkeep: v1alpha1.Upkeep{Members: base64.StdEncoding.EncodeToString(raw), Firing: int32(len(firing))},
		Alerts: v1alpha1.AlertCounts{
			Total: int32(len(firing) + len(resolved)), Firing: int32(len(firing)), Resolved: int32(len(resolved)),
		},
	}
	if len(firing) == 0 {
		in.Status.State = v1alpha1.StateResolved
	}
	return in
}

// TestCheckerFindsPlantedFaults: a checker that finds nothing proves nothing.
func TestCheckerFindsPlantedFaults(t *testing.T) {
	const storm, single = v1alpha1.TypeStorm, v1alpha1.TypeAlert
	// Alerts 1 to 5 fired; 5 is resolved, which was said first and delivered last; 6 was refused.
	journal := func() *Journal {
		j := NewJournal()
		j.Sending(saying(false, 20, 5)...)(202, "")
		j.Sending(saying(true, 10, 1, 2, 3, 4, 5)...)(202, "")
		j.Sending(saying(true, 30, 6)...)(503, "redis_oom: Redis is out of memory")
		return j
	}
	good := func() v1alpha1.Incident { return planted("a", storm, []uint64{1, 2, 3, 4}, []uint64{5}) }
	edited := func(edit func(*v1alpha1.Incident)) v1alpha1.Incident {
		in := good()
		edit(&in)
		return in
	}
	absorbed := func(by string) v1alpha1.Incident {
		in := planted("b", single, []uint64{1}, nil)
		in.Status.State, in.Status.AbsorbedBy = v1alpha1.StateAbsorbed, by
		return in
	}
	cases := []struct {
		name                 string
		incidents            []v1alpha1.Incident
		lost, doubled, wrong int
	}{
		{"all is well", []v1alpha1.Incident{good()}, 0, 0, 0},
		{
			"what was refused may count",
			[]v1alpha1.Incident{planted("a", storm, []uint64{1, 2, 3, 4, 6}, []uint64{5})},
			0,
			0,
			0,
		},
		{"absorbed incidents do not count", []v1alpha1.Incident{good(), absorbed("a")}, 0, 0, 0},
		{"one that was over before the storm stays", []v1alpha1.Incident{
			planted("a", storm, []uint64{1, 2, 3, 4}, nil), planted("b", single, nil, []uint64{5})}, 0, 0, 0},
		{"an incident each, below the threshold", []v1alpha1.Incident{
			planted(
				"a",
				single,
				[]uint64{1},
				nil,
			), planted("b", single, []uint64{2}, nil), planted("c", single, []uint64{3}, nil),
			planted("d", single, []uint64{4}, nil), planted("e", single, nil, []uint64{5})}, 0, 0, 0},
		{"counted beyond what is listed", []v1alpha1.Incident{edited(func(in *v1alpha1.Incident) {
			*in = planted("a", storm, []uint64{1, 2}, nil)
			in.Status.Truncated, in.Status.Alerts.Total, in.Status.Alerts.Resolved = true, 5, 3
		})}, 0, 0, 0},

		{"nothing stands", nil, 5, 0, 0},
		{"an alert is missing", []v1alpha1.Incident{planted("a", storm, []uint64{1, 2, 3}, []uint64{5})}, 1, 0, 0},
		{"an alert is only in an absorbed incident", []v1alpha1.Incident{
			planted("a", storm, []uint64{2, 3, 4}, []uint64{5}), absorbed("a")}, 1, 0, 0},
		{"truncated, and one too few", []v1alpha1.Incident{edited(func(in *v1alpha1.Incident) {
			*in = planted("a", storm, []uint64{1, 2}, nil)
			in.Status.Truncated, in.Status.Alerts.Total, in.Status.Alerts.Resolved = true, 4, 2
		})}, 1, 0, 0},
		{"an alert is in two incidents", []v1alpha1.Incident{good(), planted("b", single, nil, []uint64{5})}, 0, 1, 0},
		{"an open incident beside the storm", []v1alpha1.Incident{
			planted("a", storm, []uint64{1, 2, 3}, []uint64{5}), planted("b", single, []uint64{4}, nil)}, 0, 1, 0},
		{"two storms", []v1alpha1.Incident{
			planted("a", storm, []uint64{1, 2}, []uint64{5}), planted("b", storm, []uint64{3, 4}, nil)}, 0, 1, 0},
		{"a status is old", []v1alpha1.Incident{planted("a", storm, []uint64{1, 2, 3, 4, 5}, nil)}, 0, 0, 1},
		{"resolved without a word", []v1alpha1.Incident{planted("a", storm, []uint64{1, 2, 3}, []uint64{4, 5})}, 0, 0, 1},
		{
			"an alert that was never sent",
			[]v1alpha1.Incident{planted("a", storm, []uint64{1, 2, 3, 4, 7}, []uint64{5})},
			0,
			0,
			1,
		},
		{"the counts are not those of the list", []v1alpha1.Incident{edited(func(in *v1alpha1.Incident) {
			in.Status.Alerts.Total, in.Status.Alerts.Resolved = 6, 2
		})}, 0, 0, 1},
		{"over while alerts fire", []v1alpha1.Incident{edited(func(in *v1alpha1.Incident) {
			in.Status.State = v1alpha1.StateResolved
		})}, 0, 0, 1},
		{"never given a status", []v1alpha1.Incident{good(), {}}, 0, 0, 1},
		{"another group's alerts", []v1alpha1.Incident{edited(func(in *v1alpha1.Incident) {
			in.Spec.GroupLabels["namespace"] = "other"
		})}, 0, 0, 5},
		{
			"half a list",
			[]v1alpha1.Incident{edited(func(in *v1alpha1.Incident) { in.Status.Upkeep.Members = "AAAA" })},
			5,
			0,
			2,
		},
		{"absorbed by nothing", []v1alpha1.Incident{good(), absorbed("z")}, 0, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Check(journal(), c.incidents)
			require.Equal(t, []int{c.lost, c.doubled, c.wrong}, []int{v.Lost, v.Doubled, v.Wrong}, "%v", v.Problems)
			require.Equal(t, c.lost+c.doubled+c.wrong > 0, v.Err() != nil)
			require.Equal(t, 5, v.Alerts)
			require.Equal(t, 3, v.Events)
			require.Equal(t, 1, v.Refused)
			require.Equal(t, map[string]int{"202": 2, "503 redis_oom": 1}, v.Answers)
		})
	}
}

// TestCheckerOnRandomLosses removes one alert after the other from the incidents.
func TestCheckerOnRandomLosses(t *testing.T) {
	j := NewJournal()
	var all []uint64
	for n := range uint64(50) {
		all = append(all, 1+n*0x9e3779b97f4a7c15)
		j.Sending(saying(true, 10, all[n])...)(202, "")
	}
	require.NoError(t, Check(j, []v1alpha1.Incident{planted("a", v1alpha1.TypeStorm, all, nil)}).Err())
	for n := range all {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			rest := append(append([]uint64{}, all[:n]...), all[n+1:]...)
			v := Check(j, []v1alpha1.Incident{planted("a", v1alpha1.TypeStorm, rest, nil)})
			require.Equal(t, []int{1, 0, 0}, []int{v.Lost, v.Doubled, v.Wrong})
			v = Check(j, []v1alpha1.Incident{planted("a", v1alpha1.TypeStorm, rest, all[n:n+1])})
			require.Equal(t, []int{0, 0, 1}, []int{v.Lost, v.Doubled, v.Wrong})
		})
	}
}

// TestCheckerOnWhatRedisForgot: what is over need not stand, what fires has to.
func TestCheckerOnWhatRedisForgot(t *testing.T) {
	j := NewJournal()
	j.Sending(saying(true, 10, 1, 2)...)(202, "")
	j.Sending(saying(false, 20, 2)...)(202, "")
	require.Equal(t, 2, Check(j, nil).Lost)
	j.Forgot()
	require.Equal(t, 1, Check(j, nil).Lost)
	require.NoError(t, Check(j, []v1alpha1.Incident{planted("a", v1alpha1.TypeAlert, []uint64{1}, nil)}).Err())
}

// TestCheckerFindsPlantedFaultsOfOutages: two incidents of a rack are one outage, which lists them.
func TestCheckerFindsPlantedFaultsOfOutages(t *testing.T) {
	j := NewJournal()
	words := saying(true, 10, 1, 2)
	words = append(words, saying(false, 20, 3)...)
	for i := range words {
		words[i].Rack = "r1"
	}
	j.Sending(words...)(202, "")
	member := func(name, partOf string, n uint64) v1alpha1.Incident {
		in := planted(name, v1alpha1.TypeAlert, []uint64{n}, nil)
		if n == 3 {
			in = planted(name, v1alpha1.TypeAlert, nil, []uint64{n})
		}
		in.Status.PartOf = partOf
		return in
	}
	outage := func(name, list string, total, firing int32) v1alpha1.Incident {
		var in v1alpha1.Incident
		in.Name, in.Spec.GroupLabels = name, map[string]string{"rack": "r1"}
		in.Status = v1alpha1.IncidentStatus{
			Type: v1alpha1.TypeOutage, State: v1alpha1.StateFiring, Upkeep: v1alpha1.Upkeep{Parts: deflated(t, list)},
			Incidents: &v1alpha1.IncidentCounts{Total: total, Firing: firing},
		}
		return in
	}
	const all = `[{"name":"a","firing":true},{"name":"b","firing":true},{"name":"c"}]`
	a, b, c := member("a", "o", 1), member("b", "o", 2), member("c", "o", 3)
	cases := []struct {
		name                 string
		incidents            []v1alpha1.Incident
		lost, doubled, wrong int
	}{
		{"all is well", []v1alpha1.Incident{a, b, c, outage("o", all, 3, 2)}, 0, 0, 0},
		{"no outage", []v1alpha1.Incident{member("a", "", 1), member("b", "", 2), member("c", "", 3)}, 3, 0, 0},
		{"an outage that is gone", []v1alpha1.Incident{a, b, c}, 3, 0, 0},
		{"not listed", []v1alpha1.Incident{a, b, c,
			outage("o", `[{"name":"a","firing":true},{"name":"b","firing":true}]`, 2, 2)}, 1, 0, 0},
		{"not told", []v1alpha1.Incident{a, b, member("c", "", 3), outage("o", all, 3, 2)}, 0, 0, 1},
		{"told another", []v1alpha1.Incident{a, b, member("c", "p", 3), outage("o", all, 3, 2)}, 0, 0, 1},
		{"two outages", []v1alpha1.Incident{a, b, c, outage("o", all, 3, 2), outage("p", `[]`, 0, 0)}, 0, 1, 1},
		{"in two outages", []v1alpha1.Incident{a, b, c, outage("o", all, 3, 2),
			outage("p", `[{"name":"a","firing":true}]`, 1, 1)}, 0, 2, 1},
		{"lists nobody knows", []v1alpha1.Incident{a, b, c, outage("o", all[:len(all)-1]+`,{"name":"z"}]`, 4, 2)}, 0, 0, 1},
		{"an old state", []v1alpha1.Incident{a, b, c,
			outage("o", strings.Replace(all, `"c"`, `"c","firing":true`, 1), 3, 3)}, 0, 0, 1},
		{"other counts", []v1alpha1.Incident{a, b, c, outage("o", all, 3, 3)}, 0, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Check(j, c.incidents)
			require.Equal(t, []int{c.lost, c.doubled, c.wrong}, []int{v.Lost, v.Doubled, v.Wrong}, "%v", v.Problems)
		})
	}
}

// deflated is the list as status.upkeep.parts holds it.
func deflated(t *testing.T, list string) string {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	require.NoError(t, err)
	_, err = w.Write([]byte(list))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// TestCheckerOnSources: an alert fires while any source says so.
func TestCheckerOnSources(t *testing.T) {
	j := NewJournal()
	by := func(source string, words []Word) []Word {
		words[0].Source = source
		return words
	}
	firing, over := []v1alpha1.Incident{
		planted("a", v1alpha1.TypeAlert, []uint64{1}, nil),
	}, []v1alpha1.Incident{
		planted("a", v1alpha1.TypeAlert, nil, []uint64{1}),
	}
	wrong := func(want int, incidents []v1alpha1.Incident) {
		t.Helper()
		v := Check(j, incidents)
		require.Equal(t, []int{0, 0, want}, []int{v.Lost, v.Doubled, v.Wrong})
	}
	j.Sending(by("x", saying(true, 10, 1))...)(202, "")
	j.Sending(by("y", saying(true, 10, 1))...)(202, "")
	j.Sending(by("x", saying(false, 20, 1))...)(202, "")
	wrong(0, firing)
	wrong(1, over)
	refused := j.Sending(by("y", saying(false, 30, 1))...)
	refused(503, "")
	wrong(0, firing) // It may count or not.
	wrong(0, over)
	refused(202, "")
	wrong(1, firing)
	wrong(0, over)
	require.Len(t, j.Latest(), 2)
}
