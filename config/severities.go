package config

import "strings"

// Severities are the known values of the label severity, the worst first. Words of one entry are equally severe.
type Severities [][]string

// defaultSeverities are the words that rules of Prometheus, pagers and syslog use.
var defaultSeverities = Severities{
	{"critical", "page", "emergency", "fatal", "disaster", "alert", "p1", "sev1"},
	{"high", "error", "major", "urgent", "p2", "sev2"},
	{"warning", "warn", "medium", "average", "minor", "p3", "sev3"},
	{"info", "information", "informational", "notice", "low", "p4", "p5", "sev4", "sev5"},
	{"none", "ok", "debug"},
}

// Rank orders severities, in upper or lower case: the worse, the higher. Without any list the order is the built-in
// one. A word that is not listed, and none at all, ranks lowest, 0: what it means in somebody's rules is not guessed.
func (s Severities) Rank(severity string) int {
	if len(s) == 0 {
		s = defaultSeverities
	}
	for i, words := range s {
		for _, word := range words {
			if strings.EqualFold(word, severity) {
				return len(s) - i
			}
		}
	}
	return 0
}
