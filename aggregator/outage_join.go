package aggregator

import (
	"slices"

	"github.com/stormfold/stormfold/config"
)

// Joined is what an outage policy makes of one incident among those of its group.
type Joined struct {
	// Members are the incidents that the policy joins with it, itself included; nil when it joins none.
	Members []Part
	// Cause is the name of the earliest cause among them.
	Cause string
	// Count is how many incidents, or values of the policy's distinct label, began within one window and count for the
	// threshold: the most of all windows that the incident is in, or, with Members, that one of them opens.
	Count int
}

// Join tells what an outage policy makes of the incident of that name. The incidents are those of one group; they are
// judged as a pod does it.
func Join(p *config.Outage, parts []Part, name string) Joined {
	named := func(a Part) bool { return a.Name == name }
	for _, run := range runsOf(p, parts) {
		if slices.ContainsFunc(run.parts, named) {
			members := inOrder(p, run.parts)
			return Joined{Members: members, Cause: run.cause, Count: mostBegan(p, members, -1)}
		}
	}
	parts = inOrder(p, parts)
	at := slices.IndexFunc(parts, named)
	if at < 0 {
		return Joined{}
	}
	return Joined{Count: mostBegan(p, parts, at)}
}

// mostBegan is the highest count of a window: of those that the incident at that index is in, or, below 0, of all.
func mostBegan(p *config.Outage, parts []Part, at int) int {
	most := 0
	for i := range parts {
		if at < 0 || i <= at && within(p, parts[i].StartsAt, parts[at].StartsAt) {
			most = max(most, began(p, parts[i:], len(parts)))
		}
	}
	return most
}

// OutageGroup is the group of an outage policy that an incident with these labels belongs to, and what its incidents
// share.
func OutageGroup(p *config.Outage, labels map[string]string) (id string, shared map[string]string) {
	return outageGroupID(p, labels)
}
