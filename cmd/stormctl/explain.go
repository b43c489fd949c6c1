package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

// explainVersion is the version of explain's JSON. Adding fields does not change it.
const explainVersion = "stormfold.io/explain/v1"

// redisVariable is the setting of the function with the URL of Redis, which may hold a password.
const redisVariable = "STORMFOLD_REDIS_URL"

// prefixVariable is the setting of the function with the prefix of the keys in Redis.
const prefixVariable = "STORMFOLD_REDIS_PREFIX"

// explainOptions are the flags of explain.
type explainOptions struct {
	kube     kubeFlags
	file     string
	policies string
	set      []string
	redis    string
	prefix   string
	output   *output
}

// explained is the JSON of explain.
type explained struct {
	APIVersion string       `json:"apiVersion"`
	Alert      alertFacts   `json:"alert"`
	Policies   []tried      `json:"policies"`
	Group      groupFacts   `json:"group"`
	Redis      *groupStatus `json:"redis,omitempty"`
	Incident   *shownIn     `json:"incident,omitempty"`
	// Notes say which server was not asked, and why.
	Notes []string `json:"notes"`
}

// alertFacts follow from the labels alone.
type alertFacts struct {
	Labels      map[string]string `json:"labels"`
	Fingerprint string            `json:"fingerprint"`
	Resource    resourceFacts     `json:"resource"`
	Workload    string            `json:"workload,omitempty"`
	Node        string            `json:"node,omitempty"`
	// Target are labels about the scrape target, which the fingerprint leaves out.
	Target []string `json:"target,omitempty"`
}

type resourceFacts struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// tried is a policy that the alert was tried against: all up to the one that takes it.
type tried struct {
	Name    string `json:"name"`
	Matches bool   `json:"matches"`
	// Matchers are those of the policy, Failed the first that the alert does not fulfil, and Value what it has for the
	// label.
	Matchers []string `json:"matchers"`
	Failed   string   `json:"failed,omitempty"`
	Value    string   `json:"value,omitempty"`
}

// groupFacts describe the group that the alert is folded into.
type groupFacts struct {
	ID       string            `json:"id"`
	Policy   string            `json:"policy"`
	GroupBy  []string          `json:"groupBy"`
	Labels   map[string]string `json:"labels"`
	Shard    int               `json:"shard"`
	Keys     []string          `json:"keys"`
	Overflow string            `json:"overflow"`
	// Drop: the policy drops the alert.
	Drop bool `json:"drop,omitempty"`
	// Threshold alerts that fire now or started to fire within Window make a storm.
	Threshold int    `json:"threshold"`
	Window    string `json:"window"`
}

func newExplain(s streams) *cobra.Command {
	o := explainOptions{output: newOutput(formatJSON, formatYAML)}
	c := &cobra.Command{
		Use:   "explain INCIDENT | NAME=VALUE... | -",
		Short: "Show why an incident is part of an outage or not, or what the policies make of an alert",
		Long: `Of an incident, by its name, show which outage it is part of and why, and why it is part of none of the
other outage policies: the labels that it shares, how many incidents began with it, and the cause.

Of an alert, by its labels, show which policy takes it and why those before it do not, its group with its
keys in Redis, the object that the alert is about, and its fingerprint. With a Redis it also shows the state of the
group, and with a kubeconfig the incident that counts the alert. It only reads.

The labels are arguments, or JSON on the standard input: an object of labels, or an alert of Alertmanager's webhook.
To keep the password of Redis off the command line, set the variable ` + redisVariable + ` instead of --redis.`,
		Example: `  # Is this incident part of an outage, and why?
  kubectl stormfold explain -n stormfold kube-pod-not-ready-qdblutey7h

  # What do the policies make of this alert?
  kubectl stormfold explain alertname=KubePodCrashLooping namespace=shop pod=cart-7d9f8b6c5d-gx87d --policies policies.yaml

  # The third alert of a webhook
  jq .alerts[2] webhook.json | kubectl stormfold explain -

  # With the state of its group in Redis
  kubectl stormfold explain alertname=DiskFull node=worker-3 --redis redis://127.0.0.1:6379/0 -n stormfold`,
		ValidArgsFunction: func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			return o.kube.ask(incidentNames)(c, args, typed)
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), s, args) },
	}
	o.kube.add(c)
	c.Flags().StringVarP(&o.file, "filename", "f", "",
		"read incidents from a file of YAML or JSON, - for the standard input")
	c.Flags().StringVar(&o.policies, "policies", "", "policies file (default: the built-in policies)")
	c.Flags().StringArrayVar(&o.set, "set", nil,
		"change a field of a policy, such as default.groupBy=[cluster]; can be repeated")
	suggest(c, "set", policyChanges)
	c.Flags().StringVar(
		&o.redis,
		"redis",
		"",
		"URL of the function's Redis, for instance redis://127.0.0.1:6379/0 (default: $"+redisVariable+")",
	)
	c.Flags().StringVar(
		&o.prefix,
		"redis-prefix",
		"",
		"prefix of the function's keys in Redis (default: $"+prefixVariable+", or "+
			aggregator.DefaultPrefix+")",
	)
	o.output.add(c)
	return c
}

func (o *explainOptions) run(ctx context.Context, s streams, args []string) error {
	source, policies, err := policiesOf(o.policies, o.set)
	switch {
	case err != nil:
		return err
	case len(args) == 1 && isName(args[0]):
		return o.incident(ctx, s, args[0], source.label(), policies)
	case o.file != "":
		return usagef("--filename is for the name of an incident, as in explain -f incidents.yaml disk-full-abcdefghij")
	}
	alert, err := alertOf(s, args)
	if err != nil {
		return err
	}
	o.prefix = cmp.Or(o.prefix, os.Getenv(prefixVariable), aggregator.DefaultPrefix)
	if err := config.CheckRedisPrefix(o.prefix); err != nil {
		return usagef("--redis-prefix, or %s: %w", prefixVariable, err)
	}
	out := explain(policies, alert, o.prefix)
	if o.redis == "" {
		o.redis = os.Getenv(redisVariable)
	}
	if o.redis == "" {
		out.note("Redis was not asked: give --redis or set " + redisVariable + ".")
	} else if out.Redis, err = lookInRedis(ctx, o.redis, o.prefix, out.Group, out.Alert.Fingerprint); err != nil {
		return err
	}
	if err := o.lookInKube(ctx, &out); err != nil {
		return err
	}
	return s.print(o.output.format, out, out.draw)
}

func (e *explained) note(sentence string) { e.Notes = append(e.Notes, sentence) }

// alertOf makes an alert of labels, by the same rules as for events.
func alertOf(s streams, args []string) (aggregator.Alert, error) {
	var labels map[string]string
	switch {
	case len(args) == 1 && args[0] == "-", len(args) == 0 && !s.inTerminal:
		content, err := readInput(s, "-")
		if err != nil {
			return aggregator.Alert{}, err
		}
		if labels, err = labelsOf(content); err != nil {
			return aggregator.Alert{}, fmt.Errorf("standard input: %w", err)
		}
	case len(args) == 0:
		return aggregator.Alert{}, usagef(
			"explain needs the name of an incident, or the labels of an alert as in alertname=DiskFull node=worker-3")
	default:
		labels = map[string]string{}
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok || name == "" {
				return aggregator.Alert{}, usagef("%q is not a label, for instance alertname=DiskFull", arg)
			}
			if _, twice := labels[name]; twice {
				return aggregator.Alert{}, usagef("%q: the label %s is given twice", arg, name)
			}
			labels[name] = value
		}
	}
	now := s.now().UTC()
	ev := event.New()
	ev.SetType(handlers.TypeAlert)
	err := ev.SetData(event.ApplicationJSON,
		map[string]any{"status": "firing", "labels": labels, "startsAt": now.Format(time.RFC3339)})
	if err != nil {
		return aggregator.Alert{}, err
	}
	request, err := handlers.Decode(ev, now)
	if err != nil {
		return aggregator.Alert{}, err
	}
	return request.Batch.Alerts[0], nil
}

// labelsOf reads the labels of a JSON document: an alert that has them, or the labels themselves.
func labelsOf(content []byte) (map[string]string, error) {
	var alert struct {
		Labels json.RawMessage `json:"labels"`
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("it is empty")
	}
	if err := json.Unmarshal(content, &alert); err != nil {
		return nil, fmt.Errorf("it is not a JSON object: %w", err)
	}
	given := content
	if len(alert.Labels) > 0 && alert.Labels[0] == '{' {
		given = alert.Labels
	}
	var labels map[string]string
	if err := json.Unmarshal(given, &labels); err != nil {
		return nil, errors.New("labels: it is not an object of strings")
	}
	return labels, nil
}

// explain returns what follows from policies and labels alone.
func explain(policies config.Policies, alert aggregator.Alert, prefix string) explained {
	group := aggregator.Split(policies, aggregator.Batch{Alerts: []aggregator.Alert{alert}})[0]
	alert = group.Alerts[0]
	reading := alert.Reading
	out := explained{
		APIVersion: explainVersion,
		Alert: alertFacts{
			Labels: alert.Labels, Fingerprint: alert.Fingerprint, Resource: resourceFacts(reading.Subject),
			Workload: reading.Workload,
			Node:     reading.Node, Target: reading.Target,
		},
		Notes: []string{},
	}
	for i := range policies.List {
		p := &policies.List[i]
		t := tried{Name: p.Name, Matches: true, Matchers: []string{}}
		for _, m := range p.Matchers {
			t.Matchers = append(t.Matchers, m.String())
		}
		if failed := p.Failing(reading); failed != nil {
			t.Matches, t.Failed, t.Value = false, failed.String(), reading.Value(failed.Name)
		}
		out.Policies = append(out.Policies, t)
		if t.Matches {
			break
		}
	}
	out.Group = groupFacts{
		ID: group.ID, Policy: group.Policy.Name, GroupBy: group.Policy.GroupBy, Labels: group.Labels,
		Shard: aggregator.ShardOf(
			group.ID,
		), Keys: aggregator.Keys(prefix, group.ID), Overflow: aggregator.OverflowOf(group.Policy.Name, group.ID),
		Drop:      group.Policy.Drop,
		Threshold: group.Policy.Threshold, Window: model.Duration(group.Policy.Window).String(),
	}
	return out
}
