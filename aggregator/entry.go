package aggregator

// entry is what Kubernetes should show of an incident, as the scripts keep it. Times are ms since 1970; 0: not yet.
type entry struct {
	// Type is Alert or Storm. An incident of a group whose policy has threshold 1 is a storm of one alert at first.
	Type  string `json:"type"`
	State State  `json:"state"`
	// Fingerprint is the identity of the alert that opened it, empty where that is not known.
	Fingerprint string `json:"fingerprint,omitempty"`
	Namespace   string `json:"namespace"`
	OpenedAt    int64  `json:"openedAt"`
	// StormAt is when the second alert of a storm came.
	StormAt    int64 `json:"stormAt,omitempty"`
	ChangedAt  int64 `json:"changedAt"`
	ReopenedAt int64 `json:"reopenedAt,omitempty"`
	Reopened   int   `json:"reopened"`
	EndedAt    int64 `json:"endedAt,omitempty"`
	// Reason of the end: AllResolved, Quiet or MaxDuration.
	Reason     string `json:"reason,omitempty"`
	AbsorbedBy string `json:"absorbedBy,omitempty"`
	// LastSeen is when its alert was last reported; of a storm the group's counts.
	LastSeen int64 `json:"lastSeen"`
	// Revision is wanted, Confirmed is in Kubernetes, with ResourceVersion. Told: a pod was told to write it.
	Revision        int64  `json:"revision"`
	Confirmed       int64  `json:"confirmed"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	Told            bool   `json:"told,omitempty"`
	// Total and Firing count its alerts, Beyond those over maxAlerts. Truncated: the counts are lower bounds.
	Total     int  `json:"total"`
	Firing    int  `json:"firing"`
	Beyond    int  `json:"beyond"`
	Truncated bool `json:"truncated,omitempty"`
	// Cut are the sender's groups of which it left alerts out: notifiedAt (ms) by group key, * where the key is not
	// known.
	Cut map[string]int64 `json:"cut,omitempty"`
	// Common are the labels that the alerts of a storm share, as JSON. While a storm is open its group has them.
	Common string `json:"common,omitempty"`
	// Generation of a storm's records. Firing records of generations from Since on are members, too.
	Generation int64 `json:"generation,omitempty"`
	Since      int64 `json:"since,omitempty"`
	// Parent is the outage that the incident is part of, Up what its outages were told last.
	Parent *parent `json:"parent,omitempty"`
	Up     *up     `json:"up,omitempty"`
	// Imported: all that is known of it comes from Kubernetes. Incomplete: not even its status was there.
	// Loading: not all of its alerts have been imported yet.
	Imported   bool `json:"imported,omitempty"`
	Incomplete bool `json:"incomplete,omitempty"`
	Loading    bool `json:"loading,omitempty"`
}

// State of an incident, as its object shows it.
type State string

// The states of an incident.
const (
	StateFiring   State = "Firing"
	StateResolved State = "Resolved"
	StateAbsorbed State = "Absorbed"
)

// The types of an incident, as its object shows them.
const (
	typeAlert  = "Alert"
	typeStorm  = "Storm"
	typeOutage = "Outage"
)

func (e *entry) storm() bool { return e.Type == typeStorm }

// open tells whether the incident has not ended.
func (e *entry) open() bool { return e.State == StateFiring }
