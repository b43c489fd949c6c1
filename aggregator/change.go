package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// change is what import.lua writes, if what was read is still so. It is the script's argument, see its header.
type change struct {
	Now       int64                `json:"now"`
	Group     string               `json:"group"`
	Revision  int64                `json:"revision"`
	Decided   bool                 `json:"decided"`
	Policy    string               `json:"policy"`
	Labels    string               `json:"labels"`
	Limits    string               `json:"parameters"`
	Settings  string               `json:"settings"`
	Overflow  string               `json:"overflow"`
	Fields    map[string]any       `json:"fields"`
	Records   map[string][2]string `json:"records"`
	Incidents map[string][2]string `json:"incidents"`
	Facts     map[string]string    `json:"facts"`
	Settled   []string             `json:"settled"`
}

// empty tells whether there is nothing to write.
func (c change) empty() bool { return len(c.Fields)+len(c.Records)+len(c.Incidents) == 0 }

// newMerging is what a view tells, under the policy for a group that is not there yet.
func newMerging(v view, text policyText) (*merging, error) {
	m := &merging{
		now: v.now.UnixMilli(), group: v.group, singles: v.singles, counting: v.counting,
		entries: map[string]*entry{}, records: map[string]*record{},
	}
	if !v.group.known {
		m.group.state, m.group.generation, m.group.since = groupCalm, 1, 1
	}
	limits := []byte(v.group.limits)
	if len(limits) == 0 {
		limits = text.limits
	}
	if len(limits) > 0 {
		if err := json.Unmarshal(limits, &m.limits); err != nil {
			return nil, fmt.Errorf("%w: limits %q", ErrReply, limits)
		}
	}
	for name := range v.incidents {
		e, err := v.entry(name)
		if err != nil {
			return nil, err
		}
		m.entries[name] = e
	}
	if m.entries[m.group.object] == nil { // It has been lost, which import.lua will find, too.
		m.group.state, m.group.object = groupCalm, ""
	}
	for identity, text := range v.records {
		if text == "" {
			continue
		}
		r, err := parseRecord(text)
		if err != nil {
			return nil, err
		}
		m.records[identity] = &r
	}
	return m, nil
}

// changeOf is what the merge has changed of a view.
func (a *Aggregator) changeOf(i Imported, v view, m *merging, text policyText, f found, isNew bool) (change, error) {
	c := change{
		Now: a.scriptTime(), Group: i.Group, Revision: v.group.revision, Decided: isNew,
		Fields: map[string]any{}, Records: map[string][2]string{}, Incidents: map[string][2]string{},
		Facts:   map[string]string{},
		Settled: append([]string{}, m.settled...),
	}
	if !v.group.known {
		labels, err := json.Marshal(i.Labels)
		if err != nil {
			return c, err
		}
		c.Policy, c.Labels, c.Limits, c.Settings = i.Policy, string(labels), string(text.limits), string(text.settings)
		c.Overflow = flag(i.Group == overflowID(i.Policy, ShardOf(i.Group)))
	}
	for name, pair := range map[string][2]any{
		"state": {v.group.state, m.group.state}, "object": {v.group.object, m.group.object},
		"absorbInto": {v.group.absorbInto, m.group.absorbInto}, "common": {v.group.common, m.group.common},
		"revision": {v.group.revision, m.group.revision}, "generation": {v.group.generation, m.group.generation},
		"since": {v.group.since, m.group.since}, "absorbRevision": {v.group.absorbRevision, m.group.absorbRevision},
		"quietAt": {v.group.quietAt, m.group.quietAt},
	} {
		if pair[0] != pair[1] {
			c.Fields[name] = pair[1]
		}
	}
	for identity, r := range m.records {
		if text := r.String(); text != v.records[identity] {
			c.Records[identity] = [2]string{v.records[identity], text}
		}
	}
	if err := c.addIncidents(v, m); err != nil {
		return c, err
	}
	if c.empty() {
		return c, nil
	}
	if m.group.imported != v.group.imported {
		c.Fields["importedAt"] = m.group.imported
	}
	if isNew && m.entries[f.name] != nil {
		facts, err := json.Marshal(i.Object.Facts)
		if err != nil {
			return c, err
		}
		c.Facts[f.name] = string(facts)
	}
	return c, nil
}

// addIncidents takes the entries that have changed.
func (c *change) addIncidents(v view, m *merging) error {
	for _, name := range m.drop {
		c.Incidents[name] = [2]string{v.incidents[name], ""}
	}
	for _, name := range slices.Sorted(maps.Keys(m.entries)) {
		before, err := v.entry(name)
		if err != nil {
			return err
		}
		if reflect.DeepEqual(before, m.entries[name]) {
			continue
		}
		text, err := json.Marshal(m.entries[name])
		if err != nil {
			return err
		}
		c.Incidents[name] = [2]string{v.incidents[name], string(text)}
	}
	return nil
}

// apply writes a change. It returns false when something else than what was read is there.
func (a *Aggregator) apply(ctx context.Context, c change) (bool, error) {
	if c.empty() {
		return true, nil
	}
	head, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	reply, err := a.scripts.importing.Run(ctx, a.rdb, a.keys.script(c.Group), head).Result()
	if err != nil {
		return false, classify(err)
	}
	switch reply {
	case "ok":
		return true, nil
	case "changed":
		return false, nil
	case "imported":
		return false, ErrNotImported
	}
	return false, fmt.Errorf("%w: import replied %v", ErrReply, reply)
}

func formatMS(ms int64) string { return strconv.FormatInt(ms, 10) }
