package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Standing is an open incident that was written, as Redis knows it.
type Standing struct {
	Group, Name, Namespace string
	// Revision that was confirmed.
	Revision int64
}

// Standing returns what should stand open in Kubernetes of a shard. It reads page by page, beside everything else that
// goes on: what changes meanwhile may be among it or not.
func (a *Aggregator) Standing(ctx context.Context, shard int) ([]Standing, error) {
	var out []Standing
	for cursor := uint64(0); ; {
		page, next, err := a.rdb.ZScan(ctx, a.keys.due(shard), cursor, "", sweepGroups).Result()
		if err != nil {
			return nil, fmt.Errorf("reading the groups of shard %d: %w", shard, classify(err))
		}
		groups := make([]string, 0, len(page)/2)
		for i := 0; i < len(page); i += 2 { // Each with its score.
			switch {
			case IsOutage(page[i]):
				if out, err = a.standingOutages(ctx, out, page[i]); err != nil {
					return nil, err
				}
			case page[i] != importedMark:
				groups = append(groups, page[i])
			}
		}
		if out, err = a.standing(ctx, out, shard, groups); err != nil {
			return nil, err
		}
		if cursor = next; cursor == 0 {
			return out, nil
		}
	}
}

// standing appends the open incidents of some groups: in one round trip, unless one of them has very many objects.
func (a *Aggregator) standing(ctx context.Context, out []Standing, shard int, groups []string) ([]Standing, error) {
	cursors := make([]uint64, len(groups))
	for len(groups) > 0 {
		replies, err := a.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, group := range groups {
				pipe.HScan(ctx, a.keys.group(group).objects, cursors[i], "", foldAlerts)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading the objects of shard %d: %w", shard, classify(err))
		}
		var unread []string
		var at []uint64
		for i, reply := range replies {
			page, next := reply.(*redis.ScanCmd).Val()
			if out, err = appendStanding(out, groups[i], page); err != nil {
				return nil, err
			}
			if next != 0 {
				unread, at = append(unread, groups[i]), append(at, next)
			}
		}
		groups, cursors = unread, at
	}
	return out, nil
}

// appendStanding takes the open incidents from a page of names and entries.
func appendStanding(out []Standing, group string, page []string) ([]Standing, error) {
	for i := 0; i+1 < len(page); i += 2 {
		if strings.HasSuffix(page[i], factsSuffix) {
			continue
		}
		var e entry
		if err := json.Unmarshal([]byte(page[i+1]), &e); err != nil {
			return nil, fmt.Errorf("reading the entry of incident %s: %w: %w", page[i], ErrReply, err)
		}
		if e.open() && e.Confirmed > 0 {
			out = append(out, Standing{Group: group, Name: page[i], Namespace: e.Namespace, Revision: e.Confirmed})
		}
	}
	return out, nil
}

// Differs says that an incident that should exist is gone, or, with a resource version, that it shows something else.
// It is written again, unless that has happened since it was read from Redis.
func (a *Aggregator) Differs(ctx context.Context, s Standing, resourceVersion string) error {
	if IsOutage(s.Group) {
		return a.differsOutage(ctx, s, resourceVersion)
	}
	for range importTries {
		v, err := a.read(ctx, s.Group, s.Name, nil)
		if err != nil {
			return err
		}
		m, err := newMerging(v, policyText{})
		if err != nil {
			return err
		}
		e := m.entries[s.Name]
		if e == nil || !e.open() || e.Confirmed != s.Revision {
			return nil
		}
		e.again(resourceVersion)
		change, err := a.changeOf(Imported{Group: s.Group}, v, m, policyText{}, found{}, false)
		if err != nil {
			return err
		}
		if done, err := a.apply(ctx, change); done || err != nil {
			return err
		}
	}
	return fmt.Errorf(
		"marking incident %s as one to be written again: it changes all the time: %w",
		s.Name,
		ErrUnavailable,
	)
}
