package aggregator

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/stormfold/stormfold/config"
)

// policyText is a policy as the scripts are told of it, and groups remember it: both JSON.
type policyText struct {
	// params are its numbers, durations in ms.
	params []byte
	// settings are what the scripts do not look at, see projection.
	settings []byte
}

// projection is what a group remembers of its policy for the object that shows it.
type projection struct {
	MaxListed  int               `json:"maxListed"`
	Breakdown  []string          `json:"breakdown,omitempty"`
	Severities config.Severities `json:"severities,omitempty"`
}

// mostPolicies is how many texts are kept. Policies that were replaced by a reload are among them until then.
const mostPolicies = 1000

// policyTexts keeps the texts of policies, which every fold needs. A policy is not changed once it is in use.
type policyTexts struct {
	mu       sync.Mutex
	byPolicy map[*config.Policy]policyText
}

func (t *policyTexts) of(p *config.Policy) (policyText, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text, there := t.byPolicy[p]; there {
		return text, nil
	}
	text, err := textOf(p, KindOf(p))
	if err != nil {
		return policyText{}, err
	}
	if t.byPolicy == nil || len(t.byPolicy) >= mostPolicies {
		t.byPolicy = map[*config.Policy]policyText{}
	}
	t.byPolicy[p] = text
	return text, nil
}

func textOf(p *config.Policy, kind Kind) (policyText, error) {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	numbers, err := json.Marshal(map[string]any{
		"kind": kind.String(), "threshold": int64(p.Threshold), "window": ms(p.Window), "quiet": ms(p.Quiet), "maxDuration": ms(p.MaxDuration),
		"cooldown": ms(p.Cooldown), "retention": ms(p.Retention), "flushMin": ms(p.Flush.Min), "flushMax": ms(p.Flush.Max),
		"hold": ms(p.Hold), "maxAlerts": int64(p.MaxAlerts), "maxGroups": int64(p.MaxGroups),
	})
	if err != nil {
		return policyText{}, err
	}
	settings, err := json.Marshal(projection{MaxListed: p.MaxListed, Breakdown: p.Breakdown, Severities: p.Severities})
	return policyText{params: numbers, settings: settings}, err
}
