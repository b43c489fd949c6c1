package aggregator

import (
	"encoding/json"
	"sync"

	"github.com/stormfold/stormfold/config"
)

// policyText is a policy as the scripts get it, and groups remember it: both JSON.
type policyText struct {
	// limits are its numbers, durations in ms.
	limits []byte
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
	numbers, err := json.Marshal(limitsOf(p, kind))
	if err != nil {
		return policyText{}, err
	}
	settings, err := json.Marshal(projection{MaxListed: p.MaxListed, Breakdown: p.Breakdown, Severities: p.Severities})
	return policyText{limits: numbers, settings: settings}, err
}
