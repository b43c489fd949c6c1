package aggregator

import "strings"

// severities are the usual ones of Prometheus rules, the lowest first.
var severities = []string{"none", "info", "warning", "error", "critical"}

// SeverityRank orders severities: critical, error, warning, info, none, in upper or lower case. Any other, and none at all,
// ranks lowest, 0: what another word means in somebody's rules is not guessed.
func SeverityRank(severity string) int {
	for i, s := range severities {
		if strings.EqualFold(s, severity) {
			return i + 1
		}
	}
	return 0
}
