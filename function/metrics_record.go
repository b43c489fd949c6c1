package function

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/handlers"
)

// answered counts an event by its answer.
func (m *metrics) answered(eventType string, err error, took time.Duration) {
	if !handlers.Known(eventType) {
		eventType = "other"
	}
	m.events.WithLabelValues(eventType, string(handlers.ReasonOf(err))).Inc()
	m.eventSeconds.Observe(took.Seconds())
}

// folded counts the results of an event's groups. Those of earlier policies are not counted: their alerts may be in
// others, too.
func (m *metrics) folded(results []folded, took time.Duration) {
	if slices.ContainsFunc(results, func(r folded) bool { return !r.earlier }) {
		m.foldSeconds.Observe(took.Seconds())
	}
	for _, r := range results {
		if r.earlier {
			continue
		}
		if r.TookOver {
			m.takeovers.Inc()
		}
		if r.Err != nil {
			m.folds["error"].Inc()
			m.redisFailed(r.Err)
			continue
		}
		result := "unchanged"
		if r.Changed {
			result = "changed"
		}
		m.folds[result].Inc()
		for _, alert := range r.group.Alerts {
			if counter := m.alerts[alert.Status]; counter != nil {
				counter.Inc()
			}
		}
		if r.Group != r.group.ID {
			m.overflow.Add(float64(len(r.group.Alerts)))
		}
		m.skew.Observe(max(0, r.Now.Sub(r.group.Alerts[0].NotifiedAt).Seconds()))
	}
}

// left counts what was left out of an event.
func (m *metrics) left(out []handlers.LeftOut) {
	for _, l := range out {
		m.leftOut.WithLabelValues(string(l.Reason)).Add(float64(l.Alerts))
	}
}

func (m *metrics) transition(t aggregator.Transition) {
	m.transitions.WithLabelValues(known(t.Type, transitionTypes), string(incidentType(t.Storm))).Inc()
	if t.Type == aggregator.Stormed && t.Told {
		m.promotions.Inc()
	}
}

func incidentType(storm bool) v1alpha1.Type {
	if storm {
		return v1alpha1.TypeStorm
	}
	return v1alpha1.TypeAlert
}

// passed counts alerts that were, or should have been, passed through.
func (m *metrics) passed(result string, alerts int) {
	m.passedAlerts.WithLabelValues(result).Add(float64(alerts))
}

// known is a value of a label: itself when it is one of a set, and Other otherwise, so that the label stays bounded.
func known[T ~string](value T, set []T) string {
	if slices.Contains(set, value) {
		return string(value)
	}
	return other
}

func (m *metrics) projected(result string, took time.Duration) {
	m.projections.WithLabelValues(result).Inc()
	m.projectionSec.Observe(took.Seconds())
}

// unread counts a projection of a group that Redis did not return.
func (m *metrics) unread(err error, took time.Duration) {
	m.projected("redis", took)
	m.redisFailed(err)
}

// settled counts a projection that wrote, and how long its objects had waited.
func (m *metrics) settled(s *aggregator.Snapshot, confirmed []aggregator.Confirmed, err error, took time.Duration) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.projected(result, took)
	m.redisFailed(err)
	if s.TookOver {
		m.takeovers.Inc()
	}
	written := make(map[string]bool, len(confirmed))
	for _, c := range confirmed {
		written[c.Name] = true
	}
	for _, o := range s.Objects {
		switch {
		case !written[o.Name]:
		case o.Delete:
			m.deletions.Inc()
		default:
			kind := incidentType(o.Storm)
			if o.Outage != nil {
				kind = v1alpha1.TypeOutage
			}
			m.writes.WithLabelValues(string(kind), strconv.FormatBool(o.Truncated)).Inc()
			m.flushLag.Observe(max(0, (s.Now.Sub(o.ChangedAt) + took).Seconds()))
		}
	}
}

// kubeCall is called for every call to the API server.
func (m *metrics) kubeCall(verb string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = kubeResult(err)
	}
	verb = known(verb, kubeVerbs)
	m.kubeRequests.WithLabelValues(verb, result).Inc()
	m.kubeSeconds.WithLabelValues(verb).Observe(took.Seconds())
}

// kubeResult is the reason that the API server returned, Other for an unknown one, or Unreachable.
func kubeResult(err error) string {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return "Unreachable"
	}
	return known(apierrors.ReasonForError(err), kubeReasons)
}

func (m *metrics) imported(n int, err error) {
	m.importedCount.Add(float64(n))
	if err != nil {
		m.importErrors.Inc()
	}
}

// policiesBroken is called with the error in a changed policy file; the last valid one stays in use.
func (m *metrics) policiesBroken(log *zap.SugaredLogger) func(error) {
	return func(err error) {
		m.policyLoads.WithLabelValues("error").Inc()
		m.policyBroken.Set(1)
		log.Errorw("the policy file is invalid; the last valid one stays in use", "error", err)
	}
}

func (m *metrics) policiesLoaded(log *zap.SugaredLogger) func(config.Policies) {
	return func(p config.Policies) {
		m.policyLoads.WithLabelValues("ok").Inc()
		m.policyBroken.Set(0)
		log.Infow("policies loaded", "policies", len(p.List))
	}
}
