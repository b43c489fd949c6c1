package aggregator

// TransitionType says what happened to an incident.
type TransitionType string

// What can happen to an incident.
const (
	// Opened: it was opened, for one alert.
	Opened TransitionType = "opened"
	// Stormed: its group crossed the threshold; it shows the storm from now on.
	Stormed TransitionType = "storm"
	// Reopened: an alert fired again within the cooldown.
	Reopened TransitionType = "reopened"
	// Closed: it is over.
	Closed TransitionType = "resolved"
	// Absorbed: another incident of its group shows the storm in its place.
	Absorbed TransitionType = "absorbed"
)

// Transition is one thing that happened to one incident.
type Transition struct {
	Type TransitionType
	// Incident and Namespace name the object.
	Incident, Namespace string
	// Group, Policy and AlertName say what it is about.
	Group, Policy, AlertName string
	// Revision of the change.
	Revision int64
	// Total and Firing count the incident's alerts at that revision.
	Total, Firing int
	// Reason of an end: AllResolved, Quiet or MaxDuration.
	Reason string
	// Storm: the incident shows a storm, by now.
	Storm bool
	// Told: a pod was told to write the incident before. A storm of which this is so has been promoted.
	Told bool
}
