package function

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

// periodFields are the fields of a policy that must be longer than the sender's periods.
var periodFields = []string{"window", "cooldown", "quiet"}

// tooShort is a field of a policy that is too short for a sender.
type tooShort struct {
	field string
	has   time.Duration
	// sender describes the sender's period; set is the next round number above it.
	sender string
	set    time.Duration
}

func (t tooShort) sentence(policy string) string {
	return fmt.Sprintf("policy %s: %s is %s, but the sender %s; set %s to %s or more",
		policy, t.field, model.Duration(t.has), t.sender, t.field, model.Duration(t.set))
}

// comparePeriods compares a policy with its sender's periods:
//
//	window     has to be above the group interval, or alerts of two notifications never count together
//	cooldown   has to be above it too, or an alert that fires again in the next notification opens another incident
//	quiet      has to be above repeat interval and group interval together, or a firing incident ends between two
//	           repetitions
func comparePeriods(policy *config.Policy, sender handlers.Periods) (wrong []tooShort) {
	interval, repeat := sender.GroupInterval, sender.RepeatInterval
	tells := fmt.Sprintf("reports changes every %s", model.Duration(interval))
	for _, c := range []struct {
		known time.Duration // Zero is unknown.
		tooShort
		least time.Duration
	}{
		{interval, tooShort{field: "window", has: policy.Window, sender: tells}, interval},
		{interval, tooShort{field: "cooldown", has: policy.Cooldown, sender: tells}, interval},
		{repeat, tooShort{field: "quiet", has: policy.Quiet, sender: fmt.Sprintf("repeats every %s", model.Duration(repeat))},
			repeat + interval},
	} {
		if c.known > 0 && c.has <= c.least {
			c.set = above(c.least)
			wrong = append(wrong, c.tooShort)
		}
	}
	return wrong
}

// above is the next round time above d.
func above(d time.Duration) time.Duration {
	step := 10 * time.Second
	switch {
	case d >= time.Hour:
		step = time.Hour
	case d >= 5*time.Minute:
		step = 5 * time.Minute
	case d >= time.Minute:
		step = time.Minute
	}
	return d.Truncate(step) + step
}

// periodWarnings limits each warning to one an hour.
type periodWarnings struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// warnAgain is how often the same field of the same policy is warned about.
const warnAgain = time.Hour

// due reports whether to warn about a policy's field now.
func (w *periodWarnings) due(policy, field string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, at := range w.said { // This also drops removed policies.
		if now.Sub(at) >= warnAgain {
			delete(w.said, key)
		}
	}
	key := policy + "\x00" + field
	if _, said := w.said[key]; said {
		return false
	}
	if w.said == nil {
		w.said = map[string]time.Time{}
	}
	w.said[key] = now
	return true
}

// checkPeriods warns about policies that cannot work with the periods of an event's sender.
func (p *pod) checkPeriods(ctx context.Context, ev event.Event, sender handlers.Periods, groups []aggregator.Group) {
	if sender == (handlers.Periods{}) {
		return
	}
	seen := map[string]bool{}
	for _, group := range groups {
		if seen[group.Policy.Name] || group.Policy.Drop {
			continue
		}
		seen[group.Policy.Name] = true
		for _, wrong := range comparePeriods(group.Policy, sender) {
			p.metrics.periods.WithLabelValues(wrong.field).Inc()
			if p.periods.due(group.Policy.Name, wrong.field, time.Now()) {
				p.log.Warnw(wrong.sentence(group.Policy.Name), aboutEvent(
					ctx,
					ev,
					zap.String(
						fieldPolicy,
						group.Policy.Name,
					),
					zap.String("field", wrong.field),
					zap.String("set", model.Duration(wrong.set).String()),
				)...)
			}
		}
	}
}
