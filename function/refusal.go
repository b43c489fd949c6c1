package function

import (
	"context"
	"errors"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/tracing"
)

// refusal gives an error a reason of the closed set: the one of Redis, or otherwise the given one.
func refusal(err error, reason handlers.Reason) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, aggregator.ErrOutOfMemory):
		reason = handlers.ReasonRedisOOM
	case errors.Is(err, aggregator.ErrReplicas):
		reason = handlers.ReasonRedisReplicas
	case errors.Is(err, aggregator.ErrTimeout),
		errors.Is(err, aggregator.ErrGivenUp): // The sender's timeout is shorter than ours.
		reason = handlers.ReasonRedisTimeout
	case errors.Is(err, aggregator.ErrUnavailable),
		errors.Is(err, aggregator.ErrRefused),
		errors.Is(err, aggregator.ErrUntrusted):
		reason = handlers.ReasonRedisUnavailable
	case errors.Is(err, aggregator.ErrScript), errors.Is(err, aggregator.ErrReply), errors.Is(err, errPanic):
		reason = handlers.ReasonInternal
	}
	return &handlers.Refusal{Reason: reason, Err: err}
}

// maxLogged is the maximum length of an event's attribute in the log, in bytes.
const maxLogged = 256

// logRefusal logs refused events. An event that no retry can help is a dead letter and always has a warning. Events
// that were not even tried are logged at debug only, since they may be many.
func (p *pod) logRefusal(ctx context.Context, ev event.Event, err error) {
	reason := handlers.ReasonOf(err)
	fields := aboutEvent(ctx, ev, zap.String("reason", string(reason)), zap.Error(err))
	var invalid *handlers.Invalid
	switch {
	case errors.As(err, &invalid):
		p.log.Warnw("event refused permanently", fields...)
	case reason == handlers.ReasonOverload, errors.Is(err, errOpen):
		p.log.Debugw("event refused for now", fields...)
	default:
		p.log.Warnw("event refused for now", fields...)
	}
}

// noteLeftOut logs the alerts that were left out of an event, one line per reason.
func (p *pod) noteLeftOut(ctx context.Context, ev event.Event, left []handlers.LeftOut) {
	p.metrics.left(left)
	for _, l := range left {
		p.log.Warnw("alerts left out of an event", aboutEvent(ctx, ev, zap.String("reason", string(l.Reason)),
			zap.Int("alerts", l.Alerts), zap.NamedError("first", l.First))...)
	}
}

// aboutEvent are the fields of a line about an event.
func aboutEvent(ctx context.Context, ev event.Event, more ...any) []any {
	fields := append([]any{logged("event", ev.ID()), logged("type", ev.Type()), logged("source", ev.Source())}, more...)
	if id := tracing.ID(traced(ctx, ev)); id != "" {
		fields = append(fields, zap.String(fieldTrace, id))
	}
	return fields
}

// Refused logs and counts a request that was refused permanently before it became an event, so that every dead letter
// has a line. The server of the function calls it. The id is the event's, if the request has one.
func (f *Function) Refused(id string, reason handlers.Reason, err error) {
	fields := []any{logged("event", id), zap.String("reason", string(reason)), zap.Error(err)}
	p := f.pod.Load()
	if p == nil {
		newLogger("info").Warnw("request refused permanently", fields...)
		return
	}
	if reason != handlers.ReasonTooLarge {
		reason = handlers.ReasonInvalid
	}
	p.metrics.badRequests.WithLabelValues(string(reason)).Inc()
	p.log.Warnw("request refused permanently", fields...)
}

// logged is an attribute of an event as the log shows it.
func logged(name, value string) zap.Field {
	if len(value) > maxLogged {
		value = value[:maxLogged] + "…"
	}
	return zap.String(name, value)
}
