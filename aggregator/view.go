package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// view is what Redis holds at one moment of a group, of some of its alerts, and of the incidents that have to do with
// them.
type view struct {
	now      time.Time
	imported bool
	// due is when the group wants attention, zero for never.
	due time.Time
	// waiting counts the alerts that wait for the import, singles the open incidents of single alerts, and counting
	// those of them that no storm absorbs.
	waiting, singles, counting int
	group                      fields
	// recent are the resolved alerts that count for the threshold, by when they newly fired.
	recent []time.Time
	// records and incidents as they are in Redis; an alert without a record has an empty one.
	records, incidents map[string]string
}

// fields are those of a group that Go reads. known is false for a group that is not there.
type fields struct {
	known                                       bool
	policy, labels, overflow, limits            string
	state, object, absorbInto, common           string
	revision, generation, since                 int64
	absorbRevision, lastSeen, quietAt, imported int64
}

// read runs read.lua.
func (a *Aggregator) read(ctx context.Context, group, incident string, identities []string) (view, error) {
	args := []any{a.scriptTime(), group, incident}
	for _, id := range identities {
		args = append(args, id)
	}
	reply, err := a.scripts.read.Run(ctx, a.rdb, a.keys.script(group), args...).Result()
	if err != nil {
		return view{}, fmt.Errorf("reading group %s: %w", group, classify(err))
	}
	v, err := decodeView(reply)
	if err != nil {
		return view{}, fmt.Errorf("reading the reply of read: %w", err)
	}
	return v, nil
}

func decodeView(reply any) (view, error) {
	r := newReader(reply)
	v := view{
		now: r.time(), imported: r.int() == 1, due: r.time(), waiting: int(r.int()), singles: int(r.int()),
		counting: int(r.int()),
	}
	group := r.pairs()
	for i, part := range r.list() {
		if i%2 == 0 {
			continue
		}
		ms, err := strconv.ParseFloat(fmt.Sprint(part), 64)
		if err != nil {
			return v, fmt.Errorf("%w: time %v", ErrReply, part)
		}
		v.recent = append(v.recent, msTime(int64(ms)))
	}
	v.records, v.incidents = r.pairs(), r.pairs()
	if r.err != nil {
		return v, r.err
	}
	var err error
	v.group, err = fieldsOf(group)
	return v, err
}

// pairs takes a list of names and values.
func (r *reader) pairs() map[string]string {
	out := map[string]string{}
	list := r.list()
	for i := 0; i+1 < len(list); i += 2 {
		out[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return out
}

func fieldsOf(hash map[string]string) (fields, error) {
	f := fields{
		known: hash["policy"] != "", policy: hash["policy"], labels: hash["labels"], overflow: hash["overflow"],
		limits: hash["parameters"], state: hash["state"], object: hash["object"], absorbInto: hash["absorbInto"],
		common: hash["common"],
	}
	if f.state == "" {
		f.state = groupCalm
	}
	for name, into := range map[string]*int64{
		"revision": &f.revision, "generation": &f.generation, "since": &f.since, "absorbRevision": &f.absorbRevision,
		"lastSeen": &f.lastSeen, "quietAt": &f.quietAt, "importedAt": &f.imported,
	} {
		text, there := hash[name]
		if !there {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return f, fmt.Errorf("%w: field %s of a group is %q", ErrReply, name, text)
		}
		*into = n
	}
	return f, nil
}

// The states of a group.
const (
	groupCalm  = "calm"
	groupStorm = "storm"
	// groupCool: the storm has resolved, and may be reopened.
	groupCool = "cool"
	// groupWaiting: alerts wait until the shard has been imported.
	groupWaiting = "waiting"
)

// entry decodes an incident of the view, nil for one that is not there.
func (v view) entry(name string) (*entry, error) {
	text, there := v.incidents[name]
	if !there {
		return nil, nil
	}
	var e entry
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return nil, fmt.Errorf("%w: entry %q", ErrReply, text)
	}
	return &e, nil
}
