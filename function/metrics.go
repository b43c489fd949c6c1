package function

import (
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

// metrics are what an operator sees. Every label has a bounded set of values.
type metrics struct {
	registry      *prometheus.Registry
	events        *prometheus.CounterVec
	eventSeconds  prometheus.Histogram
	alerts        *prometheus.CounterVec
	folds         *prometheus.CounterVec
	foldSeconds   prometheus.Histogram
	transitions   *prometheus.CounterVec
	projections   *prometheus.CounterVec
	projectionSec prometheus.Histogram
	flushLag      prometheus.Histogram
	kubeRequests  *prometheus.CounterVec
	kubeSeconds   *prometheus.HistogramVec
	sweeps        *prometheus.CounterVec
	importedCount prometheus.Counter
	importErrors  prometheus.Counter
	policyLoads   *prometheus.CounterVec
	policyBroken  prometheus.Gauge
	skew          prometheus.Histogram
	passedAlerts  *prometheus.CounterVec
	badRequests   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "stormfold", Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "stormfold", Name: name, Help: help, Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
		m.registry.MustRegister(h)
		return h
	}
	one := func(h *prometheus.HistogramVec) prometheus.Histogram {
		return h.WithLabelValues().(prometheus.Histogram)
	}
	m.events = counter("events_total", "CloudEvents received, by type (other: unknown) and result (ok, or the reason of the refusal).", "type", "result")
	m.eventSeconds = one(histogram("event_duration_seconds", "Time from an event's arrival to its answer."))
	m.alerts = counter("alerts_total", "Alerts folded, by status.", "status")
	m.folds = counter("folds_total", "Folds of one group, by result (changed, unchanged, error).", "result")
	m.foldSeconds = one(histogram("fold_duration_seconds", "Time of an event's folds in Redis, all groups together."))
	m.transitions = counter("transitions_total", "What happened to incidents: opened, storm, resolved, reopened, absorbed.", "type")
	m.projections = counter("projections_total", "Projections of one group, by result (ok, error, busy, redis).", "result")
	m.projectionSec = one(histogram("projection_duration_seconds", "Time of a projection: snapshot, Kubernetes, settle."))
	m.flushLag = one(histogram("flush_lag_seconds", "Time from an incident's last change to its standing in Kubernetes."))
	m.kubeRequests = counter("kubernetes_requests_total", "Calls to the API server, by verb and result (ok, the API's reason if it is a usual one, else Other, or Unreachable).", "verb", "result")
	m.kubeSeconds = histogram("kubernetes_request_duration_seconds", "Time of calls to the API server.", "verb")
	m.sweeps = counter("sweeps_total", "Sweeps, by result (ok, error).", "result")
	m.importedCount = counter("imported_incidents_total", "Incidents read back from Kubernetes.").WithLabelValues()
	m.importErrors = counter("import_errors_total", "Imports of a shard that failed.").WithLabelValues()
	m.policyLoads = counter("policy_loads_total", "Policy files read, by result (ok, error).", "result")
	m.policyBroken = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "stormfold", Name: "policies_broken", Help: "1 while the policy file is not usable and the last good one is in force.",
	})
	m.registry.MustRegister(m.policyBroken)
	m.skew = one(histogram("notification_age_seconds", "Redis' clock less the time of an event, as far as the event is in the past."))
	m.passedAlerts = counter("passthrough_alerts_total", "Alerts of which Redis could not take the event, by what was done past it: written, standing (in an open "+
		"incident already), skipped (too many at once), error.", "result")
	m.badRequests = counter("requests_refused_total", "Requests that are no CloudEvents, or larger than one may be, by reason (invalid, too_large).", "reason")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "stormfold", Name: "build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build)
	return m
}

// Version is the version that this program was built as.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// watch exports what the pod remembers, works on, and thinks of Redis.
func (m *metrics) watch(p *pod) {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "stormfold", Name: name, Help: help, ConstLabels: labels,
		}, value))
	}
	gauge("groups_remembered", "Groups that this pod will project when their interval is over.", nil,
		func() float64 { return float64(p.agenda.size()) })
	gauge("events_in_progress", "Events that are worked on; further ones than STORMFOLD_CONCURRENCY are refused.", nil,
		func() float64 { return float64(p.gate.inside()) })
	for _, b := range p.breaker.each {
		gauge("redis_breaker_state", "Whether folds are tried: 0 yes, 1 one at a time, 2 none, for Redis did not answer. By shard, or all.",
			prometheus.Labels{"shard": b.Name()}, func() float64 { return float64(b.State()) })
	}
}

// watchRedis exports the connection pool.
func (m *metrics) watchRedis(rdb redis.UniversalClient) {
	gauge := func(name, help string, value func(*redis.PoolStats) uint32) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "stormfold", Name: name, Help: help},
			func() float64 { return float64(value(rdb.PoolStats())) }))
	}
	gauge("redis_connections", "Connections to Redis in the pool.", func(s *redis.PoolStats) uint32 { return s.TotalConns })
	gauge("redis_connections_idle", "Idle connections to Redis in the pool.", func(s *redis.PoolStats) uint32 { return s.IdleConns })
}

// answered counts an event by its answer.
func (m *metrics) answered(eventType string, err error, took time.Duration) {
	if !handlers.Known(eventType) {
		eventType = "other"
	}
	m.events.WithLabelValues(eventType, string(handlers.ReasonOf(err))).Inc()
	m.eventSeconds.Observe(took.Seconds())
}

func (m *metrics) folded(groups []aggregator.Group, folded []aggregator.Folded, took time.Duration) {
	m.foldSeconds.Observe(took.Seconds())
	for i, f := range folded {
		if f.Err != nil {
			m.folds.WithLabelValues("error").Inc()
			continue
		}
		result := "unchanged"
		if f.Changed {
			result = "changed"
		}
		m.folds.WithLabelValues(result).Inc()
		for _, alert := range groups[i].Alerts {
			m.alerts.WithLabelValues(string(alert.Status)).Inc()
		}
		m.skew.Observe(max(0, f.Now.Sub(groups[i].Alerts[0].NotifiedAt).Seconds()))
	}
}

func (m *metrics) transition(t aggregator.Transition) {
	m.transitions.WithLabelValues(known(t.Type, transitionTypes)).Inc()
}

// passed counts alerts that were, or should have been, passed through.
func (m *metrics) passed(result string, alerts int) {
	m.passedAlerts.WithLabelValues(result).Add(float64(alerts))
}

// transitionTypes are all that a fold or a snapshot tells of.
var transitionTypes = []aggregator.TransitionType{
	aggregator.Opened, aggregator.Stormed, aggregator.Reopened, aggregator.Closed, aggregator.Absorbed,
}

// kubeReasons are those of the API that a call of ours may meet. An admission webhook may give any text for a reason.
var kubeReasons = []metav1.StatusReason{
	metav1.StatusReasonUnauthorized, metav1.StatusReasonForbidden, metav1.StatusReasonNotFound, metav1.StatusReasonAlreadyExists,
	metav1.StatusReasonConflict, metav1.StatusReasonGone, metav1.StatusReasonInvalid, metav1.StatusReasonServerTimeout,
	metav1.StatusReasonTimeout, metav1.StatusReasonTooManyRequests, metav1.StatusReasonBadRequest,
	metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonRequestEntityTooLarge, metav1.StatusReasonInternalError,
	metav1.StatusReasonExpired, metav1.StatusReasonServiceUnavailable,
}

// known is a value of a label: itself when it is one of a set, and Other otherwise, so that the label stays bounded.
func known[T ~string](value T, set []T) string {
	if slices.Contains(set, value) {
		return string(value)
	}
	return "Other"
}

func (m *metrics) projected(result string, took time.Duration) {
	m.projections.WithLabelValues(result).Inc()
	m.projectionSec.Observe(took.Seconds())
}

// settled counts a projection that wrote, and how long its objects had waited.
func (m *metrics) settled(s *aggregator.Snapshot, confirmed []aggregator.Confirmed, err error, took time.Duration) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.projected(result, took)
	written := make(map[string]bool, len(confirmed))
	for _, c := range confirmed {
		written[c.Name] = true
	}
	for _, o := range s.Objects {
		if written[o.Name] && !o.Delete {
			m.flushLag.Observe(max(0, (s.Now.Sub(o.ChangedAt) + took).Seconds()))
		}
	}
}

// kubeCall is told of every call to the API server.
func (m *metrics) kubeCall(verb string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = kubeResult(err)
	}
	m.kubeRequests.WithLabelValues(verb, result).Inc()
	m.kubeSeconds.WithLabelValues(verb).Observe(took.Seconds())
}

// kubeResult is the reason that the API server gave, if it is a known one, or that it gave none.
func kubeResult(err error) string {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return "Unreachable"
	}
	return known(apierrors.ReasonForError(err), kubeReasons)
}

func (m *metrics) swept(_ int, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.sweeps.WithLabelValues(result).Inc()
}

func (m *metrics) imported(n int, err error) {
	m.importedCount.Add(float64(n))
	if err != nil {
		m.importErrors.Inc()
	}
}

// policiesBroken is called with what is wrong with a changed policy file; the last good one stays in force.
func (m *metrics) policiesBroken(log *zap.SugaredLogger) func(error) {
	return func(err error) {
		m.policyLoads.WithLabelValues("error").Inc()
		m.policyBroken.Set(1)
		log.Errorw("the policy file is not usable; the last good one stays in force", "error", err)
	}
}

func (m *metrics) policiesLoaded(log *zap.SugaredLogger) func(config.Policies) {
	return func(p config.Policies) {
		m.policyLoads.WithLabelValues("ok").Inc()
		m.policyBroken.Set(0)
		log.Infow("policies loaded", "policies", len(p))
	}
}
