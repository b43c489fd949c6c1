package aggregator

import "strings"

// severities are the usual ones of Prometheus rules, the lowest first.
var severities = []string{"none", "info", "warning", "error", "critical"}

// SeverityRank orders severities: critical, error, warning, info, none; any other ranks lowest, 0.
func SeverityRank(severity string) int {
	for i, s := range severities {
		if strings.EqualFold(s, severity) {
			return i + 1
		}
	}
	return 0
}
