// Package function is Stormfold: a Knative function that folds alerts into incidents.
//
// The way of an event, which Handle below reads like:
//
//	gate                 not more at once than the pod can bear, or 503
//	handlers.Decode      CloudEvent to alerts, or 400 and nothing happens
//	aggregator.Split     alerts to groups, by policy
//	foldOlder            alerts that fire in an incident of earlier policies stay there
//	aggregator.Keep      what a policy drops goes no further
//	together             what comes at the same moment goes in one round trip
//	aggregator.Fold      join with Redis, past the breaker; from here on the alerts are safe
//	passthrough          alerts that must not wait for a Redis that fails get their incident; 503 all the same
//	agenda               a group whose turn it is gets written before the answer; others when their interval is over
//	handlers.Reply       opened, storm, resolved: an event for those who listen
//
// The way of a group to Kubernetes is in project.go, what happens without events in sweep.go, and the life of the process
// in function.go.
package function

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/trace"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// Handle takes one event. It answers 2xx when every alert of it is in Redis, 400 when no retry can help, 503 otherwise.
func (f *Function) Handle(ctx context.Context, ev event.Event) (*event.Event, error) {
	start := time.Now()
	p := f.pod.Load()
	if p == nil {
		reason := handlers.ReasonNotReady
		if f.stopped.Load() {
			reason = handlers.ReasonDraining
		}
		return nil, handlers.Answer(&handlers.Refusal{Reason: reason})
	}
	ctx, span := p.eventSpan(ctx, ev)
	var reply *event.Event
	err := p.guard(inEvent, func() (err error) {
		reply, err = p.handle(ctx, ev)
		return err
	})
	p.answeredSpan(ctx, span, reply, err)
	p.metrics.answered(ev.Type(), err, time.Since(start))
	if err != nil {
		p.logRefusal(ctx, ev, err)
	}
	return reply, handlers.Answer(err)
}

// maxAhead is how far an event's time may be ahead of both clocks, Redis' and this pod's. A word from the future would beat every
// later one; that one of the two clocks is behind is no reason to refuse it.
const maxAhead = 10 * time.Minute

func (p *pod) handle(ctx context.Context, ev event.Event) (*event.Event, error) {
	if !p.gate.enter() {
		return nil, &handlers.Refusal{Reason: handlers.ReasonOverload}
	}
	defer p.gate.leave()
	ctx, cancel := context.WithTimeout(ctx, p.settings.RequestTimeout)
	defer cancel()

	request, err := p.decode(ctx, ev)
	if err != nil {
		return nil, err
	}
	switch request.Kind {
	case handlers.Tick:
		return nil, refusal(p.guard(inSweep, func() error { return p.sweep(ctx) }), handlers.ReasonKubernetes)
	case handlers.Ignore:
		return nil, nil
	}
	if ahead := min(request.NotifiedAt.Sub(p.aggregator.Now()), time.Until(request.NotifiedAt)); ahead > maxAhead {
		return nil, handlers.TooFarAhead(request.NotifiedAt, ahead)
	}
	p.noteLeftOut(ctx, ev, request.LeftOut)
	policies := p.policies.Current()
	groups := aggregator.Split(policies, request.Batch)
	foldCtx, folding := p.foldBudget(ctx, groups)
	defer folding()
	older, olderErr := p.foldOlder(foldCtx, policies, groups)
	groups, dropped := aggregator.Keep(older.Rest)
	p.metrics.dropped.Add(float64(dropped))
	p.checkPeriods(ctx, ev, request.Periods, groups)
	folded, err := p.fold(foldCtx, groups, olderErr)
	p.takeOver(ctx, groups, folded)
	p.explain(ctx, ev, groups, folded)
	transitions, writing := p.follow(ctx, ev, append(older.Folded, folded...))
	if err != nil {
		p.passThrough(ctx, groups, folded)
		return nil, refusal(err, handlers.ReasonInternal)
	}
	p.await(ctx, writing)
	return handlers.Reply(p.source, ev, request.NotifiedAt, transitions), nil
}

// decode reads an event's alerts.
func (p *pod) decode(ctx context.Context, ev event.Event) (handlers.Request, error) {
	_, span := p.traces.Start(ctx, spanDecode)
	request, err := handlers.Decode(ev, p.aggregator.Now())
	decodedSpan(span, request, err)
	return request, err
}

// fold joins the groups' alerts with Redis. Where groups of earlier policies could not be asked for them, these fail likewise: the
// alerts may be in an incident of those.
func (p *pod) fold(ctx context.Context, groups []aggregator.Group, older error) (folded []aggregator.Folded, err error) {
	if len(groups) == 0 {
		return nil, older
	}
	ctx, span := p.traces.Start(ctx, spanFold)
	start := time.Now()
	if older == nil || errors.Is(older, aggregator.ErrReplicas) {
		folded, err = p.foldOpen(ctx, groups)
		err = cmp.Or(err, older)
	} else {
		folded, err = slices.Repeat([]aggregator.Folded{{Err: older}}, len(groups)), older
	}
	foldedSpan(span, groups, folded, err)
	p.metrics.folded(groups, folded, time.Since(start))
	p.sawRedis(err)
	return folded, err
}

// follow sees to it that what changed is written: now, where the fold granted the lease; later otherwise. It returns what
// happened, for the reply, and what is being written now.
func (p *pod) follow(ctx context.Context, ev event.Event, folded []aggregator.Folded) (transitions []aggregator.Transition, writing []<-chan struct{}) {
	for _, fold := range folded {
		if fold.Group == "" {
			continue // Not folded.
		}
		transitions = append(transitions, fold.Transitions...)
		switch {
		case fold.Token != "":
			if done := p.agenda.lead(fold.Group, fold.Token, cause{trace.SpanContextFromContext(ctx), true}); done != nil {
				writing = append(writing, done)
			}
		case fold.Changed:
			p.agenda.add(fold.Group, time.Now().Add(fold.Due.Sub(fold.Now)), "", cause{span: trace.SpanContextFromContext(ctx)})
		}
	}
	if len(transitions) > 0 {
		p.logTransitions(traced(ctx, ev), transitions)
	}
	return transitions, writing
}

// await waits for what is being written: at most as many events wait as groups are written at once. The alerts are safe: an API server that hangs does not hold up the answer for longer
// than one call may take, and the writing goes on without the request.
func (p *pod) await(ctx context.Context, writing []<-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, p.settings.KubeTimeout)
	defer cancel()
	for _, done := range writing {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
}

// refusal gives an error its reason from the closed set: that of Redis, or the one given for others.
func refusal(err error, reason handlers.Reason) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, aggregator.ErrOutOfMemory):
		reason = handlers.ReasonRedisOOM
	case errors.Is(err, aggregator.ErrReplicas):
		reason = handlers.ReasonRedisReplicas
	case errors.Is(err, aggregator.ErrTimeout), errors.Is(err, aggregator.ErrGivenUp): // The sender waited for less than we do.
		reason = handlers.ReasonRedisTimeout
	case errors.Is(err, aggregator.ErrUnavailable), errors.Is(err, aggregator.ErrRefused), errors.Is(err, aggregator.ErrUntrusted):
		reason = handlers.ReasonRedisUnavailable
	case errors.Is(err, aggregator.ErrScript), errors.Is(err, aggregator.ErrReply), errors.Is(err, errPanic):
		reason = handlers.ReasonInternal
	}
	return &handlers.Refusal{Reason: reason, Err: err}
}
