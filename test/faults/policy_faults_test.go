package faults

import (
	"strings"
)

// policyFaults are policies that change, or end what fires on.
var policyFaults = []fault{
	{
		name: "groupBy changed while incidents are open", long: true, pods: 1,
		before: func(b *bed) { b.journal.Regrouped() },
		env:    func(int) []string { return []string{"STORMFOLD_POLICIES_RELOAD=1s"} },
		during: func(b *bed) {
			b.setPolicies(strings.Replace(policies, "[namespace, alertname]", "[namespace, alertname, severity]", 1))
			b.awaitLog("policies loaded")
			b.awaitAnswers(taken, 60)
		},
	},
}
