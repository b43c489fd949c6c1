package main

// refused is the share of events that were not taken for now: they come again.
const refused = `sum(rate(stormfold_events_total{NS,result!~"ok|invalid|too_large"}[$__rate_interval])) / sum(rate(stormfold_events_total{NS}[$__rate_interval]))`

// quantiles are lines of the median, the 95th and the 99th percentile of a histogram.
func quantiles(metric string) []line {
	of := func(q string) string {
		return `histogram_quantile(` + q + `, sum by (le) (rate(` + metric + `_bucket{NS}[$__rate_interval])))`
	}
	return []line{{of("0.5"), "median"}, {of("0.95"), "95 %"}, {of("0.99"), "99 %"}}
}

// per is the rate of a counter, by a label.
func per(label, counter string) string {
	return `sum by (` + label + `) (rate(` + counter + `[$__rate_interval]))`
}

// rows are the dashboard, from what matters to whoever is on call down to single parts.
var rows = []row{
	{"At a glance", []panel{
		{title: "Open storms", about: "Storms that have not ended, in all shards.", unit: "short", width: 4, number: true,
			lines: []line{{`max(stormfold_open_incidents{NS,type="Storm"})`, "storms"}}},
		{title: "Open lone alerts", about: "Open incidents of one alert each.", unit: "short", width: 4, number: true,
			lines: []line{{`max(stormfold_open_incidents{NS,type="Alert"})`, "alerts"}}},
		{title: "Alerts", about: "Alerts folded in a second, repetitions included.", unit: "ops", width: 4, number: true,
			lines: []line{{`sum(rate(stormfold_alerts_total{NS}[$__rate_interval]))`, "alerts"}}},
		{title: "Events refused for now", about: "The share that was answered 503. They are delivered again.", unit: "percentunit", width: 4, number: true,
			warn: 0.01, bad: 0.05, lines: []line{{refused, "refused"}}},
		{title: "Flush lag", about: "From an incident's last change to its standing in Kubernetes, 95th percentile.", unit: "s", width: 4, number: true,
			warn: 20, bad: 30, lines: []line{{quantiles("stormfold_flush_lag_seconds")[1].expr, "lag"}}},
		{title: "Redis memory", about: "Of its maxmemory. At 100 % events are refused.", unit: "percentunit", width: 4, number: true,
			warn: 0.7, bad: 0.85, lines: []line{{`max(stormfold_redis_memory_used_bytes{NS} / (stormfold_redis_memory_limit_bytes{NS} > 0))`, "used"}}},
	}},
	{"Events", []panel{
		{title: "Events by type", about: "All that came, whatever became of them.", unit: "ops", width: 8,
			lines: []line{{per("type", `stormfold_events_total{NS}`), "{{type}}"}}},
		{title: "Refused by reason", about: "redis_oom, redis_timeout and so on come again; invalid and too_large are dead letters.", unit: "ops", width: 8,
			lines: []line{{per("result", `stormfold_events_total{NS,result!="ok"}`), "{{result}}"}}},
		{title: "Dead letters", about: "Events and requests refused for good, and what the dead letter sink got, by the status of the last attempt.", unit: "ops", width: 8,
			lines: []line{
				{per("result", `stormfold_events_total{NS,result=~"invalid|too_large"}`), "event {{result}}"},
				{per("reason", `stormfold_requests_refused_total{NS}`), "request {{reason}}"},
				{per("code", `stormfold_dead_letters_events_total{NS}`), "sink {{code}}"},
			}},
		{title: "Time of an event", about: "From its arrival to its answer.", unit: "s", width: 8, lines: quantiles("stormfold_event_duration_seconds")},
		{title: "Age of events", about: "How long ago the sender spoke when its word was folded: queues and redeliveries on the way.", unit: "s", width: 8,
			lines: quantiles("stormfold_notification_age_seconds")},
		{title: "Alerts by status", about: "What was folded, and what was passed by a Redis that failed.", unit: "ops", width: 8,
			lines: []line{
				{per("status", `stormfold_alerts_total{NS}`), "{{status}}"},
				{per("result", `stormfold_passthrough_alerts_total{NS}`), "passed through: {{result}}"},
			}},
	}},
	{"Incidents", []panel{
		{title: "Open incidents", about: "By type, as Redis has it.", unit: "short", width: 8,
			lines: []line{{`max by (type) (stormfold_open_incidents{NS})`, "{{type}}"}}},
		{title: "Transitions", about: "storm: a group crossed its threshold. absorbed: a lone incident became part of a storm.", unit: "ops", width: 8,
			lines: []line{
				{per("transition, type", `stormfold_transitions_total{NS}`), "{{transition}} {{type}}"},
				{`sum(rate(stormfold_promotions_total{NS}[$__rate_interval]))`, "promoted"},
			}},
		{title: "Groups", about: "All that Redis has. An overflow group takes what is beyond a policy's maxGroups.", unit: "short", width: 8,
			lines: []line{{`max by (kind) (stormfold_groups{NS})`, "{{kind}}"}}},
		{title: "Limits met", about: "Writes of incidents whose counts are lower bounds, and alerts folded into overflow groups.", unit: "ops", width: 8,
			lines: []line{
				{`sum(rate(stormfold_incident_writes_total{NS,truncated="true"}[$__rate_interval]))`, "truncated writes"},
				{`sum(rate(stormfold_overflow_alerts_total{NS}[$__rate_interval]))`, "overflow alerts"},
			}},
		{title: "Writes", about: "Incidents written and deleted.", unit: "ops", width: 8,
			lines: []line{
				{per("type", `stormfold_incident_writes_total{NS}`), "{{type}}"},
				{`sum(rate(stormfold_incident_deletions_total{NS}[$__rate_interval]))`, "deleted"},
			}},
		{title: "Imports", about: "What was read back from Kubernetes, after Redis forgot it; and what is written again, after someone deleted or spoiled it.", unit: "ops", width: 8,
			lines: []line{
				{`sum(rate(stormfold_imported_incidents_total{NS}[$__rate_interval]))`, "incidents"},
				{`sum(rate(stormfold_import_errors_total{NS}[$__rate_interval]))`, "errors"},
				{`sum(rate(stormfold_restored_incidents_total{NS}[$__rate_interval]))`, "written again"},
			}},
	}},
	{"Writing to Kubernetes", []panel{
		{title: "Flush lag", about: "From an incident's last change to its standing in Kubernetes.", unit: "s", width: 8, lines: quantiles("stormfold_flush_lag_seconds")},
		{title: "Projections", about: "A group's snapshot being written. busy: another pod is at it, or its interval is not over.", unit: "ops", width: 8,
			lines: []line{{per("result", `stormfold_projections_total{NS}`), "{{result}}"}}},
		{title: "Time of a projection", about: "Snapshot, API server, settle.", unit: "s", width: 8, lines: quantiles("stormfold_projection_duration_seconds")},
		{title: "Calls to the API server", about: "TooManyRequests is throttling, Conflict a second writer.", unit: "ops", width: 8,
			lines: []line{{per("verb, result", `stormfold_kubernetes_requests_total{NS}`) + " > 0", "{{verb}} {{result}}"}}},
		{title: "Time of calls to the API server", about: "95th percentile, by verb.", unit: "s", width: 8,
			lines: []line{{`histogram_quantile(0.95, sum by (verb, le) (rate(stormfold_kubernetes_request_duration_seconds_bucket{NS}[$__rate_interval])))`, "{{verb}}"}}},
		{title: "Sweeps", about: "Every pod looks at all shards; what it finds due was left by a pod that ended, or has met a deadline.", unit: "ops", width: 8,
			lines: []line{
				{per("result", `stormfold_sweeps_total{NS}`), "{{result}}"},
				{`sum(rate(stormfold_swept_groups_total{NS}[$__rate_interval]))`, "groups found due"},
				{`sum(rate(stormfold_lease_takeovers_total{NS}[$__rate_interval]))`, "leases taken over"},
			}},
	}},
	{"Redis", []panel{
		{title: "Time of folds", about: "All groups of one event.", unit: "s", width: 8, lines: quantiles("stormfold_fold_duration_seconds")},
		{title: "Folds", about: "unchanged are repetitions.", unit: "ops", width: 8, lines: []line{{per("result", `stormfold_folds_total{NS}`), "{{result}}"}}},
		{title: "Errors", about: "Calls that failed, by the way in which Redis did.", unit: "ops", width: 8,
			lines: []line{{per("reason", `stormfold_redis_errors_total{NS}`), "{{reason}}"}}},
		{title: "Memory", about: "Of the server that is nearest to its limit.", unit: "bytes", width: 8,
			lines: []line{{`max(stormfold_redis_memory_used_bytes{NS})`, "used"}, {`max(stormfold_redis_memory_limit_bytes{NS})`, "limit"}}},
		{title: "Connections", about: "In the pools of all pods, and how requests for one went.", unit: "short", width: 8,
			lines: []line{
				{`sum by (state) (stormfold_redis_connections{NS})`, "{{state}}"},
				{per("result", `stormfold_redis_pool_requests_total{NS}`), "{{result}} a second"},
			}},
		{title: "Breaker", about: "0: folds are tried. 1: one at a time. 2: none, for Redis did not answer.", unit: "short", width: 8,
			lines: []line{{`max by (shard) (stormfold_redis_breaker_state{NS})`, "{{shard}}"}}},
	}},
	{"Source", []panel{
		{title: "Webhooks", about: "Alertmanager's notifications, by how they were answered. It sends again what was answered 5xx.", unit: "ops", width: 8,
			lines: []line{{per("result", `stormfold_source_notifications_total{NS}`), "{{result}}"}}},
		{title: "Events to the sink", about: "A notification is one event, or several when it is large.", unit: "ops", width: 8,
			lines: []line{
				{per("result", `stormfold_source_events_total{NS}`), "{{result}}"},
				{`sum(rate(stormfold_source_alerts_total{NS}[$__rate_interval]))`, "alerts"},
			}},
		{title: "Time of a webhook", about: "Until it was answered, the sink's answer included.", unit: "s", width: 8,
			lines: quantiles("stormfold_source_notification_duration_seconds")},
	}},
	{"Pods", []panel{
		{title: "Memory", about: "Resident, by pod.", unit: "bytes", width: 6,
			lines: []line{{`process_resident_memory_bytes{NS} and on (instance) {__name__=~"stormfold_build_info|stormfold_source_build_info",NS}`, "{{instance}}"}}},
		{title: "CPU", about: "Cores in use, by pod.", unit: "short", width: 6,
			lines: []line{{`rate(process_cpu_seconds_total{NS}[$__rate_interval]) and on (instance) {__name__=~"stormfold_build_info|stormfold_source_build_info",NS}`, "{{instance}}"}}},
		{title: "Work at hand", about: "Events being handled, and groups that will be written when their interval is over.", unit: "short", width: 6,
			lines: []line{
				{`sum(stormfold_events_in_progress{NS})`, "events"}, {`sum(stormfold_groups_remembered{NS})`, "groups"},
				{`sum(stormfold_source_notifications_in_flight{NS})`, "webhooks"},
			}},
		{title: "Versions and policies", about: "Pods by version; policies_broken is 1 while a policy file is not usable.", unit: "short", width: 6,
			lines: []line{
				{`count by (version) (stormfold_build_info{NS})`, "{{version}}"},
				{`max(stormfold_policies_broken{NS})`, "policies broken"},
				{per("result", `stormfold_policy_loads_total{NS}`), "policies read: {{result}}"},
			}},
	}},
}
