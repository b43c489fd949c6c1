package function

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/meter"
)

// metrics are what an operator sees. What counts them is in counted.go, what tells of Redis in metrics_redis.go.
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

// other is the value of a label for what is not in its set.
const other = "Other"

// The sets of values of labels that nobody else defines.
var (
	eventTypes   = meter.Of("type", append(handlers.Types(), "other")...)
	eventResults = meter.Of("result", handlers.Reasons()...)
	alertStatus  = meter.Of("status", aggregator.Firing, aggregator.Resolved)
	foldResults  = meter.Of("result", "changed", "unchanged", "error")
	// transitionTypes are all that a fold or a snapshot tells of.
	transitionTypes = []aggregator.TransitionType{
		aggregator.Opened, aggregator.Stormed, aggregator.Reopened, aggregator.Closed, aggregator.Absorbed,
	}
	incidentTypes     = meter.Of("type", v1alpha1.TypeAlert, v1alpha1.TypeStorm)
	projectionResults = meter.Of("result", "ok", "error", "busy", "redis")
	groupKinds        = meter.Of("kind", "plain", "overflow")
	kubeVerbs         = []string{"list", "review", "create", "get", "update", "delete"}
	// kubeReasons are those of the API that a call of ours may meet. An admission webhook may give any text for a reason.
	kubeReasons = []metav1.StatusReason{
		metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonNotFound, metav1.StatusReasonAlreadyExists,
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
	m.events = s.Counter("events_total", "CloudEvents received, by type (other: one that is not taken) and result: ok, or the reason of the "+
		"refusal. invalid and too_large were refused for good, all others for now.", eventTypes, eventResults)
	m.eventSeconds = s.Histogram("event_duration_seconds", "Time from an event's arrival to its answer.").WithLabelValues()
	m.badRequests = s.Counter("requests_refused_total", "Requests refused for good that are no CloudEvents, or larger than one may be.",
		meter.Of("reason", handlers.ReasonInvalid, handlers.ReasonTooLarge))
	m.skew = s.LongHistogram("notification_age_seconds", "Redis' clock less the time of an event, as far as the event is in the past.").WithLabelValues()

	alerts := s.Counter("alerts_total", "Alerts folded, repetitions included.", alertStatus)
	m.alerts = map[aggregator.Status]prometheus.Counter{}
	for _, status := range alertStatus.Values {
		m.alerts[aggregator.Status(status)] = alerts.WithLabelValues(status)
	}
	m.leftOut = s.Counter("alerts_left_out_total", "Alerts that were left out of events whose other alerts were taken, by what cannot be used: type (it is no "+
		"object), encoding (no UTF-8), status, labels, time (startsAt), too_many. The log names the event.", meter.Of("reason", handlers.LeftOutReasons()...))
	m.dropped = s.Counter("alerts_dropped_total", "Alerts accepted that make nothing, as their policy says with drop.").WithLabelValues()
	m.overflow = s.Counter("overflow_alerts_total", "Alerts folded into the overflow group of their policy, which has maxGroups groups in the shard.").WithLabelValues()
	m.passedAlerts = s.Counter("passthrough_alerts_total", "Alerts of which Redis could not take the event, by what was done past it: written, standing (in an open "+
		"incident already), skipped (too many at once), error.", passedResults)

	folds := s.Counter("folds_total", "Folds of one group for one event; of events that were folded together, each has the result of all.", foldResults)
	m.folds = map[string]prometheus.Counter{}
	for _, result := range foldResults.Values {
		m.folds[result] = folds.WithLabelValues(result)
	}
	m.foldSeconds = s.Histogram("fold_duration_seconds", "Time of an event's folds in Redis, all groups together, and of the wait for the fold before it.").WithLabelValues()

	m.transitions = s.Counter("transitions_total", "What happened to incidents, by what they show by then: storm is a group that crossed its threshold, "+
		"resolved with type Storm one that is over.", meter.Of("transition", append(transitionTypes, other)...), incidentTypes)
	m.promotions = s.Counter("promotions_total", "Storms that grew out of an incident that had been written for one alert.").WithLabelValues()

	m.projections = s.Counter("projections_total", "Projections of one group: ok, error (of the API server, or of Redis afterwards), busy (not its time, or another "+
		"pod is at it), redis (it could not be read).", projectionResults)
	m.projectionSec = s.Histogram("projection_duration_seconds", "Time of a projection: snapshot, Kubernetes, settle.").WithLabelValues()
	m.flushLag = s.LongHistogram("flush_lag_seconds", "Time from an incident's last change to its standing in Kubernetes.").WithLabelValues()
	m.writes = s.Counter("incident_writes_total", "Incidents written to Kubernetes, by whether their counts are lower bounds.", incidentTypes, meter.Of("truncated", "false", "true"))
	m.deletions = s.Counter("incident_deletions_total", "Incidents deleted from Kubernetes after their retention.").WithLabelValues()
	m.takeovers = s.Counter("lease_takeovers_total", "Leases that ran out and were taken over: a pod ended, or took too long, while it wrote a group.").WithLabelValues()
	m.kubeRequests = s.Counter("kubernetes_requests_total", "Calls to the API server: ok, the API's reason if it is a usual one, else Other, or Unreachable.",
		meter.Of("verb", append(kubeVerbs, other)...), meter.Of("result", append(append([]string{"ok"}, meter.Of("", kubeReasons...).Values...), other, "Unreachable")...))
	m.kubeSeconds = s.Histogram("kubernetes_request_duration_seconds", "Time of calls to the API server.", meter.Of("verb", append(kubeVerbs, other)...))

	m.sweeps = s.Counter("sweeps_total", "Sweeps of all shards.", okOrError)
	m.sweepSeconds = s.Histogram("sweep_duration_seconds", "Time of looking at all shards, without the writing that follows.").WithLabelValues()
	m.sweptGroups = s.Counter("swept_groups_total", "Groups that a sweep found due.").WithLabelValues()
	m.open = s.Gauge("open_incidents", "Open incidents in all shards, as of this pod's last sweep: every pod tells the same, so max() and not sum(). It is "+
		"a number in Redis, wrong only after Redis lost keys and not all of them.", incidentTypes)
	m.groups = s.Gauge("groups", "Groups in all shards, as of this pod's last sweep: max(), not sum(). An overflow group stands for those beyond a policy's maxGroups.", groupKinds)
	m.importedCount = s.Counter("imported_incidents_total", "Incidents read back from Kubernetes.").WithLabelValues()
	m.importErrors = s.Counter("import_errors_total", "Imports of a shard or a group that failed.").WithLabelValues()

	m.restored = s.Counter("restored_incidents_total", "Incidents that someone deleted, or changed so that they cannot be read, and that are written again.").WithLabelValues()

	m.redisErrors = s.Counter("redis_errors_total", "Folds, snapshots, settles and sweeps that failed in Redis.", meter.Of("reason", aggregator.Failures()...))
	m.redisMemory = s.Gauge("redis_memory_used_bytes", "Memory that Redis uses, as of this pod's last sweep; on a Cluster of the master that is nearest to its limit. 0: Redis does not tell.").WithLabelValues()
	m.redisLimit = s.Gauge("redis_memory_limit_bytes", "Its maxmemory. 0: it has none.").WithLabelValues()

	m.periods = s.Counter("policy_periods_too_short_total", "Events whose sender notifies too rarely for a policy that took their alerts, by the policy's field that "+
		"is too short. The log names the policy and the number to set.", meter.Of("field", periodFields...))
	m.panics = s.Counter("panics_total", "Panics that were caught, each a fault of this program whose stack is in the log: in an event (answered 503), a fold, the "+
		"writing of a group, an import, a sweep.", meter.Of("in", panicPlaces...))
	m.policyLoads = s.Counter("policy_loads_total", "Policy files read anew.", okOrError)
	m.policyBroken = s.Gauge("policies_broken", "1 while the policy file is not usable and the last good one is in force.").WithLabelValues()
	return m
}

// watch exports what the pod remembers, works on, and thinks of Redis.
func (m *metrics) watch(p *pod) {
	m.set.Read("groups_remembered", "Groups that this pod will project when their interval is over.", meter.Label{},
		func(string) float64 { return float64(p.scheduler.size()) })
	m.set.Read("events_in_progress", "Events that are worked on; further ones than STORMFOLD_CONCURRENCY are refused.", meter.Label{},
		func(string) float64 { return float64(p.limiter.inUse()) })
	m.set.Read("redis_breaker_state", "Whether folds are tried: 0 yes, 1 one at a time, 2 none, for Redis did not answer. On a Cluster by shard.",
		meter.Of("shard", p.breaker.names()...), p.breaker.state)
}
