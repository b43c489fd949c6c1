package faults

import (
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// enough is the threshold of the outage policy of the tests: the number of incidents of a rack that are an outage.
const enough = 2

// part is an incident as an outage lists it.
type part struct {
	Name   string
	Firing bool
}

// outages compares the outages with the incidents. All incidents of a rack are part of one outage as soon as there are
// enough of them; each says so, and that outage lists it. Racks names the rack of each incident that is not absorbed.
func (v *Verdict) outages(incidents []v1alpha1.Incident, racks map[string]string) {
	byName := map[string]*v1alpha1.Incident{}
	for i := range incidents {
		byName[incidents[i].Name] = &incidents[i]
	}
	lists, ofRack := map[string][]string{}, map[string][]string{}
	for name, in := range byName {
		if in.Status.Type != v1alpha1.TypeOutage || in.Status.State == v1alpha1.StateAbsorbed {
			continue
		}
		parts, err := parts(in.Status.Upkeep.Parts)
		if err != nil {
			v.wrong("%s: %v", name, err)
		}
		rack := in.Spec.GroupLabels["rack"]
		ofRack[rack] = append(ofRack[rack], name)
		firing := 0
		for _, p := range parts {
			lists[p.Name] = append(lists[p.Name], name)
			if p.Firing {
				firing++
			}
			member := byName[p.Name]
			switch {
			case racks[p.Name] != rack:
				v.wrong("%s of rack %s lists %s of rack %q", name, rack, p.Name, racks[p.Name])
			case member.Status.PartOf != name:
				v.wrong("%s lists %s, which is part of %q", name, p.Name, member.Status.PartOf)
			case p.Firing != (member.Status.State == v1alpha1.StateFiring):
				v.wrong("%s lists %s as %s, which is %s", name, p.Name, word(p.Firing), member.Status.State)
			}
		}
		v.counts(in, len(parts), firing)
	}
	for rack, names := range ofRack {
		if len(names) > 1 {
			v.doubled("rack %s has %d outages: %v", rack, len(names), names)
		}
	}
	members := map[string]int{}
	for _, rack := range racks {
		members[rack]++
	}
	for _, name := range slices.Sorted(maps.Keys(racks)) {
		in := lists[name]
		rack, says := racks[name], byName[name].Status.PartOf
		switch {
		case len(in) > 1:
			v.doubled("%s is in the outages %v", name, in)
		case len(in) == 0 && rack != "" && members[rack] >= enough:
			v.lost("%s of rack %s is in no outage", name, rack)
		case len(in) == 0 && says != "":
			v.wrong("%s says that it is part of %s, which does not list it", name, says)
		}
	}
}

// counts looks at the numbers of an outage.
func (v *Verdict) counts(in *v1alpha1.Incident, total, firing int) {
	n := in.Status.Incidents
	if n == nil || int(n.Total) != total || int(n.Firing) != firing {
		v.wrong("%s counts %v and lists %d incidents, %d of them firing", in.Name, n, total, firing)
	}
	if open := in.Status.State == v1alpha1.StateFiring; open != (firing > 0) {
		v.wrong("%s is %s with %d incidents firing", in.Name, in.Status.State, firing)
	}
}

// parts reads status.upkeep.parts, on purpose not with the code that wrote it: base64 of deflated JSON.
func parts(encoded string) ([]part, error) {
	var out []part
	raw := base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded))
	if err := json.NewDecoder(flate.NewReader(raw)).Decode(&out); err != nil && err != io.EOF {
		return nil, fmt.Errorf("status.upkeep.parts: %w", err)
	}
	return out, nil
}
