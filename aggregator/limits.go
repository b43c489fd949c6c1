package aggregator

import (
	"time"

	"github.com/stormfold/stormfold/config"
)

// limits are the numbers of a policy, as the scripts go by them and groups remember them. Durations are in ms.
type limits struct {
	Kind        string `json:"kind"`
	Threshold   int64  `json:"threshold"`
	Window      int64  `json:"window"`
	Quiet       int64  `json:"quiet"`
	MaxDuration int64  `json:"maxDuration"`
	Cooldown    int64  `json:"cooldown"`
	Retention   int64  `json:"retention"`
	FlushMin    int64  `json:"flushMin"`
	FlushMax    int64  `json:"flushMax"`
	Hold        int64  `json:"hold"`
	MaxAlerts   int64  `json:"maxAlerts"`
	MaxGroups   int64  `json:"maxGroups"`
}

func limitsOf(p *config.Policy, kind Kind) limits {
	ms := time.Duration.Milliseconds
	return limits{
		Kind: kind.String(), Threshold: int64(p.Threshold), Window: ms(p.Window), Quiet: ms(p.Quiet),
		MaxDuration: ms(p.MaxDuration), Cooldown: ms(p.Cooldown), Retention: ms(p.Retention), FlushMin: ms(p.Flush.Min),
		FlushMax: ms(p.Flush.Max), Hold: ms(p.Hold), MaxAlerts: int64(p.MaxAlerts), MaxGroups: int64(p.MaxGroups),
	}
}
