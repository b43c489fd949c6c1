package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
)

// redisTimeout is the timeout of a call to Redis.
const redisTimeout = 3 * time.Second

// groupStatus is the state of a group in Redis.
type groupStatus struct {
	// Group is the id of the group that was read: the policy's overflow group if it has the alert.
	Group    string `json:"group"`
	Imported bool   `json:"imported"`
	Known    bool   `json:"known"`
	// State is calm, storm, cool, waiting, or unknown.
	State string `json:"state"`
	// Window of Threshold alerts fire now or started to fire within the policy's window. WindowLeft is for how long the
	// oldest resolved one still counts.
	Window            int    `json:"window"`
	Threshold         int    `json:"threshold,omitempty"`
	WindowLeftSeconds int64  `json:"windowLeftSeconds,omitempty"`
	Storm             string `json:"storm,omitempty"`
	Total             int    `json:"total"`
	Firing            int    `json:"firing"`
	Singles           int    `json:"singles"`
	Waiting           int    `json:"waiting"`
	// CooldownUntil is until when an alert reopens the resolved storm.
	CooldownUntil time.Time   `json:"cooldownUntil,omitzero"`
	LastSeen      time.Time   `json:"lastSeenAt,omitzero"`
	Due           time.Time   `json:"due,omitzero"`
	Now           time.Time   `json:"now"`
	Alert         alertStatus `json:"alert"`
}

// alertStatus is what the group knows of the alert.
type alertStatus struct {
	Known bool `json:"known"`
	// Status is firing, resolved, or closed: its incident ended while it fired.
	Status     string    `json:"status,omitempty"`
	NotifiedAt time.Time `json:"notifiedAt,omitzero"`
	Member     bool      `json:"member"`
	Incident   string    `json:"incident,omitempty"`
	// State of that incident, as Redis wants it: open, resolved, absorbed.
	State string `json:"state,omitempty"`
}

// shownIn is the incident in Kubernetes that shows the alert.
type shownIn struct {
	Name       string               `json:"name"`
	Namespace  string               `json:"namespace"`
	Type       v1alpha1.Type        `json:"type"`
	State      v1alpha1.State       `json:"state"`
	Severity   string               `json:"severity"`
	Alerts     v1alpha1.AlertCounts `json:"alerts"`
	Firing     bool                 `json:"firing"`
	AbsorbedBy string               `json:"absorbedBy,omitempty"`
}

// silent drops the client's own log, since its messages are also returned as errors.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// lookInRedis reads the state of the group. It writes nothing.
func lookInRedis(ctx context.Context, url, prefix string, group groupFacts, fingerprint string) (*groupStatus, error) {
	settings := config.Settings{RedisURL: config.RedisURL(url), RedisTimeout: redisTimeout}
	redis.SetLogger(silent{})
	client, err := settings.NewRedis()
	if err != nil {
		return nil, usage{err}
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 2*redisTimeout)
	defer cancel()
	a := aggregator.New(aggregator.Options{Redis: client, Prefix: prefix})
	id := group.ID
	state, err := a.Peek(ctx, id, fingerprint)
	if err == nil && !state.Alert.Known {
		var overflow aggregator.GroupState
		if overflow, err = a.Peek(ctx, group.Overflow, fingerprint); overflow.Alert.Known {
			id, state = group.Overflow, overflow
		}
	}
	if err != nil {
		return nil, fmt.Errorf("asking Redis at %s: %w", settings.RedisURL, err)
	}
	return statusOf(id, state), nil
}

// statusOf is a group's state for people and scripts.
func statusOf(id string, s aggregator.GroupState) *groupStatus {
	out := &groupStatus{
		Group: id, Imported: s.Imported, Known: s.Known, State: s.State, Window: s.Window, Threshold: s.Threshold,
		Storm: s.Storm,
		Total: s.Total + s.Beyond, Firing: s.Firing, Singles: s.Singles, Waiting: s.Waiting, LastSeen: s.LastSeen,
		Due: s.Due, Now: s.Now,
		Alert: alertStatus{
			Known: s.Alert.Known, Status: s.Alert.Status, NotifiedAt: s.Alert.NotifiedAt, Member: s.Alert.Member,
			Incident: s.Alert.Incident, State: string(s.Alert.State),
		},
	}
	if !s.Known {
		out.State = "unknown"
	}
	if s.State == "cool" {
		out.CooldownUntil = s.ResolvedAt.Add(s.Cooldown)
	}
	if !s.WindowUntil.IsZero() {
		out.WindowLeftSeconds = int64(s.WindowUntil.Sub(s.Now).Round(time.Second) / time.Second)
	}
	return out
}

// lookInKube finds the incident that shows the alert. Without a configured cluster it does not fail.
func (o *explainOptions) lookInKube(ctx context.Context, out *explained) error {
	named := *o.kube.KubeConfig != "" || *o.kube.Context != "" || *o.kube.APIServer != ""
	k, err := o.kube.connect()
	if errors.Is(err, errNoKubeconfig) && !named {
		out.note("Kubernetes was not asked: " + err.Error() + ".")
		return nil
	}
	if err == nil {
		out.Incident, err = k.shows(ctx, out.Group, out.Alert.Fingerprint)
	}
	switch {
	case err != nil && named:
		return err
	case err != nil:
		out.note("Kubernetes was not asked: " + err.Error() + ".")
	case out.Incident == nil:
		where := "any namespace"
		if k.namespace != metav1.NamespaceAll {
			where = "namespace " + k.namespace
		}
		out.note("No incident in " + where + " shows the alert.")
	}
	return nil
}

// shows is the incident of a group that counts the alert: a firing one first, then the one that changed last.
func (k *kube) shows(ctx context.Context, group groupFacts, fingerprint string) (*shownIn, error) {
	all, err := k.list(ctx,
		metav1.ListOptions{LabelSelector: v1alpha1.LabelGroup + " in (" + group.ID + "," + group.Overflow + ")"})
	if err != nil {
		return nil, err
	}
	var best *shownIn
	var changed time.Time
	for _, i := range all {
		members, err := projector.MembersOf(&i)
		if err != nil {
			return nil, fmt.Errorf("incident %s: %w", i.Name, err)
		}
		at := slices.IndexFunc(members, func(m aggregator.Member) bool { return m.Fingerprint == fingerprint })
		if at < 0 {
			continue
		}
		found := &shownIn{
			Name: i.Name, Namespace: i.Namespace, Type: i.Status.Type, State: i.Status.State,
			Severity: i.Status.Severity,
			Alerts:   i.Status.Alerts, Firing: members[at].Firing, AbsorbedBy: i.Status.AbsorbedBy,
		}
		fires := found.State == v1alpha1.StateFiring
		if best == nil || fires && best.State != v1alpha1.StateFiring ||
			fires == (best.State == v1alpha1.StateFiring) && since(i.Status.LastChangeAt).After(changed) {
			best, changed = found, since(i.Status.LastChangeAt)
		}
	}
	return best, nil
}
