package function

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/meter"
)

// metrics are those of the function. metrics_record.go records them; metrics_redis.go has those about Redis.
type metrics struct {
	set           *meter.Set
	events        *prometheus.CounterVec
	eventSeconds  prometheus.Observer
	alerts        map[aggregator.Status]prometheus.Counter
	leftOut       *prometheus.CounterVec
	overflow      prometheus.Counter
	dropped       prometheus.Counter
	folds         map[string]prometheus.Counter
	foldSeconds   prometheus.Observer
	transitions   *prometheus.CounterVec
	promotions    prometheus.Counter
	projections   *prometheus.CounterVec
	projectionSec prometheus.Observer
	flushLag      prometheus.Observer
	writes        *prometheus.CounterVec
	deletions     prometheus.Counter
	takeovers     prometheus.Counter
	kubeRequests  *prometheus.CounterVec
	kubeSeconds   prometheus.ObserverVec
	sweeps        *prometheus.CounterVec
	sweepSeconds  prometheus.Observer
	sweptGroups   prometheus.Counter
	importedCount prometheus.Counter
	importErrors  prometheus.Counter
	restored      prometheus.Counter
	policyLoads   *prometheus.CounterVec
	policyBroken  prometheus.Gauge
	skew          prometheus.Observer
	panics        *prometheus.CounterVec
	periods       *prometheus.CounterVec
	passedAlerts  *prometheus.CounterVec
	badRequests   *prometheus.CounterVec
	redisErrors   *prometheus.CounterVec
	open, groups  *prometheus.GaugeVec
	redisMemory   prometheus.Gauge
	redisLimit    prometheus.Gauge
	shards        numbers
}

// other is the value of a label for everything that is not in its set.
const other = "Other"

// The values of labels that are not defined elsewhere.
var (
	eventTypes   = meter.Of("type", append(handlers.Types(), "other")...)
	eventResults = meter.Of("result", handlers.Reasons()...)
	alertStatus  = meter.Of("status", aggregator.Firing, aggregator.Resolved)
	foldResults  = meter.Of("result", "changed", "unchanged", "error")
	// transitionTypes are all types that a fold or a snapshot returns.
	transitionTypes = []aggregator.TransitionType{
		aggregator.Opened, aggregator.Stormed, aggregator.Reopened, aggregator.Closed, aggregator.Absorbed,
	}
	incidentTypes     = meter.Of("type", v1alpha1.TypeAlert, v1alpha1.TypeStorm)
	writtenTypes      = meter.Of("type", v1alpha1.TypeAlert, v1alpha1.TypeStorm, v1alpha1.TypeOutage)
	projectionResults = meter.Of("result", "ok", "error", "busy", "redis")
	groupKinds        = meter.Of("kind", "plain", "overflow")
	kubeVerbs         = []string{"list", "review", "create", "get", "update", "delete"}
	// kubeReasons are the API's reasons that our calls may get. An admission webhook may return any text as a reason.
	kubeReasons = []metav1.StatusReason{
		metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonNotFound,
		metav1.StatusReasonAlreadyExists,
		metav1.StatusReasonConflict, metav1.StatusReasonGone, metav1.StatusReasonInvalid, metav1.StatusReasonServerTimeout,
		metav1.StatusReasonTimeout, metav1.StatusReasonTooManyRequests, metav1.StatusReasonBadRequest,
		metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonInternalError,
		metav1.StatusReasonExpired, metav1.StatusReasonServiceUnavailable,
	}
	okOrError     = meter.Of("result", "ok", "error")
	passedResults = meter.Of("result", "written", "standing", "skipped", "error")
)

func newMetrics() *metrics {
	s := meter.New("stormfold")
	m := &metrics{set: s}
	m.events = s.Counter(
		"events_total",
		"CloudEvents received, by type (other: not supported) and result: ok, or the reason of the "+
			"refusal. A retry does not help for invalid and too_large.",
		eventTypes,
		eventResults,
	)
	m.eventSeconds = s.Histogram("event_duration_seconds", "Time from an event's arrival to its answer.").WithLabelValues()
	m.badRequests = s.Counter(
		"requests_refused_total",
		"Requests refused permanently: not a CloudEvent (invalid), or too large.",
		meter.Of("reason", handlers.ReasonInvalid, handlers.ReasonTooLarge),
	)
	m.skew = s.LongHistogram("notification_age_seconds",
		"Age of events by Redis' clock; events in the future are not counted.").
		WithLabelValues()

	alerts := s.Counter("alerts_total", "Alerts folded, including repetitions.", alertStatus)
	m.alerts = map[aggregator.Status]prometheus.Counter{}
	for _, status := range alertStatus.Values {
		m.alerts[aggregator.Status(status)] = alerts.WithLabelValues(status)
	}
	m.leftOut = s.Counter("alerts_left_out_total", "Unusable alerts of accepted events, by problem: type (not an "+
		"object), encoding (not UTF-8), status, labels, time (startsAt), too_many. The log names the event.",
		meter.Of("reason", handlers.LeftOutReasons()...))
	m.dropped = s.Counter("alerts_dropped_total", "Alerts accepted but ignored, because their policy has drop: true.").
		WithLabelValues()
	m.overflow = s.Counter("overflow_alerts_total",
		"Alerts folded into an overflow group, because their policy has maxGroups groups in the shard.").
		WithLabelValues()
	m.passedAlerts = s.Counter(
		"passthrough_alerts_total",
		"Alerts of events that Redis could not accept, by result of the passthrough: written, standing (already in an "+
			"open incident), skipped (too many at once), error.",
		passedResults,
	)

	folds := s.Counter(
		"folds_total",
		"Folds, one for each event and group. Events that were folded together have the same result.",
		foldResults,
	)
	m.folds = map[string]prometheus.Counter{}
	for _, result := range foldResults.Values {
		m.folds[result] = folds.WithLabelValues(result)
	}
	m.foldSeconds = s.Histogram("fold_duration_seconds",
		"Time to fold an event in Redis, all groups together, including the wait for the previous fold.").
		WithLabelValues()

	m.transitions = s.Counter(
		"transitions_total",
		"Transitions of incidents, by the type afterwards. storm: a group crossed its threshold; resolved with type Storm: "+
			"a storm is over. Outages are not counted.",
		meter.Of("transition", append(transitionTypes, other)...),
		incidentTypes,
	)
	m.promotions = s.Counter("promotions_total", "Storms that started as a written incident of one alert.").
		WithLabelValues()

	m.projections = s.Counter(
		"projections_total",
		"Writes of one group: ok, error (of the API server, or of Redis afterwards), busy (too early, or another "+
			"pod writes it), redis (the group could not be read).",
		projectionResults,
	)
	m.projectionSec = s.Histogram("projection_duration_seconds", "Time to write a group: snapshot, Kubernetes, settle.").
		WithLabelValues()
	m.flushLag = s.LongHistogram("flush_lag_seconds", "Time from an incident's last change until Kubernetes shows it.").
		WithLabelValues()
	m.writes = s.Counter(
		"incident_writes_total",
		"Incidents written to Kubernetes, by type and by whether their counts are lower bounds.",
		writtenTypes,
		meter.Of("truncated", "false", "true"),
	)
	m.deletions = s.Counter("incident_deletions_total", "Incidents deleted from Kubernetes after their retention.").
		WithLabelValues()
	m.takeovers = s.Counter("lease_takeovers_total",
		"Expired leases that were taken over: a pod stopped or took too long while it wrote a group.").
		WithLabelValues()
	m.kubeRequests = s.Counter(
		"kubernetes_requests_total",
		"Calls to the API server, by result: ok, the API's reason, Other, or Unreachable.",
		meter.Of(
			"verb",
			append(kubeVerbs, other)...),
		meter.Of("result", append(append([]string{"ok"}, meter.Of("", kubeReasons...).Values...), other, "Unreachable")...),
	)
	m.kubeSeconds = s.Histogram(
		"kubernetes_request_duration_seconds",
		"Time of calls to the API server.",
		meter.Of("verb", append(kubeVerbs, other)...),
	)

	m.sweeps = s.Counter("sweeps_total", "Sweeps of all shards.", okOrError)
	m.sweepSeconds = s.Histogram("sweep_duration_seconds", "Time to sweep all shards, without the writes that follow.").
		WithLabelValues()
	m.sweptGroups = s.Counter("swept_groups_total", "Groups that a sweep found due.").WithLabelValues()
	m.open = s.Gauge(
		"open_incidents",
		"Open incidents, without outages, in all shards at this pod's last sweep. Every pod reports the same number: use "+
			"max(), not sum(). It can be wrong only after Redis lost some of its keys.",
		incidentTypes,
	)
	m.groups = s.Gauge(
		"groups",
		"Groups in all shards at this pod's last sweep: use max(), not sum(). An overflow group replaces those above maxGroups.",
		groupKinds,
	)
	m.importedCount = s.Counter("imported_incidents_total", "Incidents read back from Kubernetes.").WithLabelValues()
	m.importErrors = s.Counter("import_errors_total", "Imports of a shard or a group that failed.").WithLabelValues()

	m.restored = s.Counter("restored_incidents_total",
		"Incidents written again after someone deleted them or made them unreadable.").
		WithLabelValues()

	m.redisErrors = s.Counter(
		"redis_errors_total",
		"Folds, snapshots, settles and sweeps that failed in Redis.",
		meter.Of("reason", aggregator.Failures()...),
	)
	m.redisMemory = s.Gauge("redis_memory_used_bytes",
		"Memory used by Redis at this pod's last sweep; on a Cluster, by the master nearest to its limit. 0: unknown.").
		WithLabelValues()
	m.redisLimit = s.Gauge("redis_memory_limit_bytes", "maxmemory of that Redis. 0: no limit.").WithLabelValues()

	m.periods = s.Counter(
		"policy_periods_too_short_total",
		"Events whose sender repeats too rarely for their policy, by the policy's field that "+
			"is too short. The log names the policy and the value to set.",
		meter.Of("field", periodFields...),
	)
	m.panics = s.Counter(
		"panics_total",
		"Caught panics, by place: an event (answered 503), a fold, the writing of a group, an import, a sweep. Each is a "+
			"bug; its stack is in the log.",
		meter.Of("in", panicPlaces...),
	)
	m.policyLoads = s.Counter("policy_loads_total", "Reloads of the policy file.", okOrError)
	m.policyBroken = s.Gauge("policies_broken", "1 while the policy file is invalid and the last valid one is in use.").
		WithLabelValues()
	return m
}

// watch exports the scheduled groups, the events in progress, and the state of the breaker.
func (m *metrics) watch(p *pod) {
	m.set.Read("groups_remembered", "Groups that this pod will write when their flush interval is over.", meter.Label{},
		func(string) float64 { return float64(p.scheduler.size()) })
	m.set.Read("events_in_progress", "Events in progress, at most STORMFOLD_CONCURRENCY.", meter.Label{},
		func(string) float64 { return float64(p.limiter.inUse()) })
	m.set.Read(
		"redis_breaker_state",
		"State of the circuit breaker: 0 closed, 1 half-open (one event at a time), 2 open. On a Cluster, by shard.",
		meter.Of("shard", p.breaker.names()...),
		p.breaker.state,
	)
}
