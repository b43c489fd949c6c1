package main

// refused is the share of events that were refused and will be delivered again.
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

// rows are the dashboard: first what matters on call, then single parts.
var rows = []row{
	{"At a glance", []panel{
		{title: "Open storms", about: "Storms that have not ended, in all shards.", unit: "short", width: 4, number: true,
			lines: []line{{`max(stormfold_open_incidents{NS,type="Storm"})`, "storms"}}},
		{title: "Open lone alerts", about: "Open incidents of one alert each.", unit: "short", width: 4, number: true,
			lines: []line{{`max(stormfold_open_incidents{NS,type="Alert"})`, "alerts"}}},
		{title: "Alerts", about: "Alerts folded per second, including repetitions.", unit: "ops", width: 4, number: true,
			lines: []line{{`sum(rate(stormfold_alerts_total{NS}[$__rate_interval]))`, "alerts"}}},
		{
			title:  "Events refused for now",
			about:  "Share of events answered 503. The Broker delivers them again.",
			unit:   "percentunit",
			width:  4,
			number: true,
			warn:   0.01,
			bad:    0.05,
			lines:  []line{{refused, "refused"}},
		},
		{
			title:  "Flush lag",
			about:  "Time from an incident's last change until Kubernetes shows it, 95th percentile.",
			unit:   "s",
			width:  4,
			number: true,
			warn:   20,
			bad:    30,
			lines:  []line{{quantiles("stormfold_flush_lag_seconds")[1].expr, "lag"}},
		},
		{
			title:  "Redis memory",
			about:  "Share of maxmemory. At 100 % events are refused.",
			unit:   "percentunit",
			width:  4,
			number: true,
			warn:   0.7,
			bad:    0.85,
			lines: []line{
				{`max(stormfold_redis_memory_used_bytes{NS} / (stormfold_redis_memory_limit_bytes{NS} > 0))`, "used"},
			},
		},
	}},
	{"Events", []panel{
		{title: "Events by type", about: "All events received, whatever the answer.", unit: "ops", width: 8,
			lines: []line{{per("type", `stormfold_events_total{NS}`), "{{type}}"}}},
		{
			title: "Refused by reason",
			about: "Events refused with redis_oom, redis_timeout and so on are delivered again; invalid and too_large are dead letters.",
			unit:  "ops",
			width: 8,
			lines: []line{{per("result", `stormfold_events_total{NS,result!="ok"}`), "{{result}}"}},
		},
		{
			title: "Dead letters",
			about: "Events and requests refused permanently, and events in the dead letter sink by status of the last attempt.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{per("result", `stormfold_events_total{NS,result=~"invalid|too_large"}`), "event {{result}}"},
				{per("reason", `stormfold_requests_refused_total{NS}`), "request {{reason}}"},
				{per("code", `stormfold_dead_letters_events_total{NS}`), "sink {{code}}"},
			},
		},
		{
			title: "Time of an event",
			about: "From its arrival to its answer.",
			unit:  "s",
			width: 8,
			lines: quantiles("stormfold_event_duration_seconds"),
		},
		{
			title: "Age of events",
			about: "Age of an event when it is folded: time in queues and redeliveries.",
			unit:  "s",
			width: 8,
			lines: quantiles("stormfold_notification_age_seconds"),
		},
		{
			title: "Alerts by status",
			about: "Alerts folded, and alerts written without Redis while it failed.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{per("status", `stormfold_alerts_total{NS}`), "{{status}}"},
				{per("result", `stormfold_passthrough_alerts_total{NS}`), "passed through: {{result}}"},
			},
		},
	}},
	{"Incidents", []panel{
		{title: "Open incidents", about: "By type, according to Redis.", unit: "short", width: 8,
			lines: []line{{`max by (type) (stormfold_open_incidents{NS})`, "{{type}}"}}},
		{
			title: "Transitions",
			about: "storm: a group crossed its threshold. absorbed: a lone incident became part of a storm.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{per("transition, type", `stormfold_transitions_total{NS}`), "{{transition}} {{type}}"},
				{`sum(rate(stormfold_promotions_total{NS}[$__rate_interval]))`, "promoted"},
			},
		},
		{
			title: "Groups",
			about: "Groups in Redis. An overflow group has the alerts above a policy's maxGroups.",
			unit:  "short",
			width: 8,
			lines: []line{{`max by (kind) (stormfold_groups{NS})`, "{{kind}}"}},
		},
		{
			title: "Limits reached",
			about: "Writes of incidents whose counts are lower bounds, and alerts folded into overflow groups.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{`sum(rate(stormfold_incident_writes_total{NS,truncated="true"}[$__rate_interval]))`, "truncated writes"},
				{`sum(rate(stormfold_overflow_alerts_total{NS}[$__rate_interval]))`, "overflow alerts"},
			},
		},
		{title: "Writes", about: "Incidents written and deleted.", unit: "ops", width: 8,
			lines: []line{
				{per("type", `stormfold_incident_writes_total{NS}`), "{{type}}"},
				{`sum(rate(stormfold_incident_deletions_total{NS}[$__rate_interval]))`, "deleted"},
			}},
		{
			title: "Imports",
			about: "Incidents read back after Redis lost them, and incidents written again after someone deleted or broke them.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{`sum(rate(stormfold_imported_incidents_total{NS}[$__rate_interval]))`, "incidents"},
				{`sum(rate(stormfold_import_errors_total{NS}[$__rate_interval]))`, "errors"},
				{`sum(rate(stormfold_restored_incidents_total{NS}[$__rate_interval]))`, "written again"},
			},
		},
	}},
	{"Writing to Kubernetes", []panel{
		{
			title: "Flush lag",
			about: "Time from an incident's last change until Kubernetes shows it.",
			unit:  "s",
			width: 8,
			lines: quantiles("stormfold_flush_lag_seconds"),
		},
		{
			title: "Projections",
			about: "Writes of a group. busy: another pod writes it, or its interval is not over.",
			unit:  "ops",
			width: 8,
			lines: []line{{per("result", `stormfold_projections_total{NS}`), "{{result}}"}},
		},
		{
			title: "Time of a projection",
			about: "Time to write a group: snapshot, API server, settle.",
			unit:  "s",
			width: 8,
			lines: quantiles("stormfold_projection_duration_seconds"),
		},
		{
			title: "Calls to the API server",
			about: "TooManyRequests: throttling. Conflict: a second writer.",
			unit:  "ops",
			width: 8,
			lines: []line{{per("verb, result", `stormfold_kubernetes_requests_total{NS}`) + " > 0", "{{verb}} {{result}}"}},
		},
		{title: "Time of calls to the API server", about: "95th percentile, by verb.", unit: "s", width: 8,
			lines: []line{
				{
					`histogram_quantile(0.95, sum by (verb, le) (rate(stormfold_kubernetes_request_duration_seconds_bucket{NS}[$__rate_interval])))`,
					"{{verb}}",
				},
			}},
		{
			title: "Sweeps",
			about: "Every pod checks all shards for groups that are due: a pod stopped before it wrote them, or a deadline passed.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{per("result", `stormfold_sweeps_total{NS}`), "{{result}}"},
				{`sum(rate(stormfold_swept_groups_total{NS}[$__rate_interval]))`, "groups found due"},
				{`sum(rate(stormfold_lease_takeovers_total{NS}[$__rate_interval]))`, "leases taken over"},
			},
		},
	}},
	{"Redis", []panel{
		{
			title: "Time of folds",
			about: "All groups of one event.",
			unit:  "s",
			width: 8,
			lines: quantiles("stormfold_fold_duration_seconds"),
		},
		{
			title: "Folds",
			about: "Repetitions are unchanged.",
			unit:  "ops",
			width: 8,
			lines: []line{{per("result", `stormfold_folds_total{NS}`), "{{result}}"}},
		},
		{title: "Errors", about: "Failed calls, by reason.", unit: "ops", width: 8,
			lines: []line{{per("reason", `stormfold_redis_errors_total{NS}`), "{{reason}}"}}},
		{title: "Memory", about: "Memory of the server nearest to its limit.", unit: "bytes", width: 8,
			lines: []line{
				{`max(stormfold_redis_memory_used_bytes{NS})`, "used"},
				{`max(stormfold_redis_memory_limit_bytes{NS})`, "limit"},
			}},
		{
			title: "Connections",
			about: "Connections in the pools of all pods, and results of requests for one.",
			unit:  "short",
			width: 8,
			lines: []line{
				{`sum by (state) (stormfold_redis_connections{NS})`, "{{state}}"},
				{per("result", `stormfold_redis_pool_requests_total{NS}`), "{{result}} per second"},
			},
		},
		{
			title: "Breaker",
			about: "0: closed. 1: half-open, one event at a time. 2: open, Redis does not answer.",
			unit:  "short",
			width: 8,
			lines: []line{{`max by (shard) (stormfold_redis_breaker_state{NS})`, "{{shard}}"}},
		},
	}},
	{"Source", []panel{
		{
			title: "Webhooks",
			about: "Alertmanager's notifications by answer. It repeats those answered 5xx.",
			unit:  "ops",
			width: 8,
			lines: []line{{per("result", `stormfold_source_notifications_total{NS}`), "{{result}}"}},
		},
		{
			title: "Events to the sink",
			about: "A notification is one event, or several when it is large.",
			unit:  "ops",
			width: 8,
			lines: []line{
				{per("result", `stormfold_source_events_total{NS}`), "{{result}}"},
				{`sum(rate(stormfold_source_alerts_total{NS}[$__rate_interval]))`, "alerts"},
			},
		},
		{title: "Time of a webhook", about: "Time to answer, including the sink's answer.", unit: "s", width: 8,
			lines: quantiles("stormfold_source_notification_duration_seconds")},
	}},
	{"Pods", []panel{
		{title: "Memory", about: "Resident memory, by pod.", unit: "bytes", width: 6,
			lines: []line{
				{
					`process_resident_memory_bytes{NS} and on (instance) {__name__=~"stormfold_build_info|stormfold_source_build_info",NS}`,
					"{{instance}}",
				},
			}},
		{title: "CPU", about: "Cores in use, by pod.", unit: "short", width: 6,
			lines: []line{
				{
					`rate(process_cpu_seconds_total{NS}[$__rate_interval]) and on (instance) {__name__=~"stormfold_build_info|stormfold_source_build_info",NS}`,
					"{{instance}}",
				},
			}},
		{
			title: "Work in progress",
			about: "Events in progress, and groups that wait for the end of their flush interval.",
			unit:  "short",
			width: 6,
			lines: []line{
				{`sum(stormfold_events_in_progress{NS})`, "events"}, {`sum(stormfold_groups_remembered{NS})`, "groups"},
				{`sum(stormfold_source_notifications_in_flight{NS})`, "webhooks"},
			},
		},
		{
			title: "Versions and policies",
			about: "Pods by version; policies_broken is 1 while a policy file is invalid.",
			unit:  "short",
			width: 6,
			lines: []line{
				{`count by (version) (stormfold_build_info{NS})`, "{{version}}"},
				{`max(stormfold_policies_broken{NS})`, "policies broken"},
				{per("result", `stormfold_policy_loads_total{NS}`), "policies read: {{result}}"},
			},
		},
	}},
}
