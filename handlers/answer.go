package handlers

import (
	"errors"
	"net/http"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Reason is why an event was refused, from a closed set: it labels metrics and begins the answer's sentence.
type Reason string

// The reasons of refusals, and ReasonOK for none. The first two are permanent (400), the others temporary (503).
const (
	ReasonOK               Reason = "ok"
	ReasonInvalid          Reason = "invalid"
	ReasonTooLarge         Reason = "too_large"
	ReasonNotReady         Reason = "not_ready"
	ReasonDraining         Reason = "draining"
	ReasonOverload         Reason = "overload"
	ReasonRedisOOM         Reason = "redis_oom"
	ReasonRedisTimeout     Reason = "redis_timeout"
	ReasonRedisUnavailable Reason = "redis_unavailable"
	ReasonRedisReplicas    Reason = "redis_replicas"
	ReasonKubernetes       Reason = "kubernetes_unavailable"
	ReasonInternal         Reason = "internal"
)

// Reasons are all that ReasonOf may return.
func Reasons() []Reason {
	return []Reason{
		ReasonOK, ReasonInvalid, ReasonTooLarge, ReasonNotReady, ReasonDraining, ReasonOverload, ReasonRedisOOM,
		ReasonRedisTimeout,
		ReasonRedisUnavailable, ReasonRedisReplicas, ReasonKubernetes, ReasonInternal,
	}
}

// sentences are the answers of temporary refusals. The details may contain hosts, users or passwords: they are only in
// the log.
var sentences = map[Reason]string{
	ReasonNotReady:         "the function has not started yet",
	ReasonDraining:         "the function is about to stop",
	ReasonOverload:         "too many events are being handled",
	ReasonRedisOOM:         "Redis is out of memory",
	ReasonRedisTimeout:     "Redis did not answer in time",
	ReasonRedisUnavailable: "Redis is not available",
	ReasonRedisReplicas:    "too few replicas of Redis have the alerts",
	ReasonKubernetes:       "the Kubernetes API is not available",
	ReasonInternal:         "an unexpected error, see the function's log",
}

// Refusal is a temporary error: a later delivery of the same event may succeed.
type Refusal struct {
	Reason Reason
	// Err is the cause. It is logged, but never in an answer.
	Err error
}

func (r *Refusal) Error() string {
	if r.Err == nil {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Err.Error()
}

func (r *Refusal) Unwrap() error { return r.Err }

// ReasonOf is the reason of a refusal with that error, or ReasonOK for nil.
func ReasonOf(err error) Reason {
	var invalid *Invalid
	var refusal *Refusal
	switch {
	case err == nil:
		return ReasonOK
	case errors.As(err, &invalid) && invalid.large:
		return ReasonTooLarge
	case invalid != nil:
		return ReasonInvalid
	case errors.As(err, &refusal) && sentences[refusal.Reason] != "":
		return refusal.Reason
	default:
		return ReasonInternal
	}
}

// Answer is the answer to the sender: 400 with the whole sentence for an *Invalid, so that the event ends in the dead
// letter sink with the cause; 503 with reason and sentence for every other error, so that it is delivered again; nil,
// which the SDK answers with 2xx, for nil.
func Answer(err error) error {
	if err == nil {
		return nil
	}
	var invalid *Invalid
	if errors.As(err, &invalid) {
		return cehttp.NewResult(http.StatusBadRequest, "%s", invalid)
	}
	reason := ReasonOf(err)
	return cehttp.NewResult(http.StatusServiceUnavailable, "%s: %s", reason, sentences[reason])
}
