// Package function is Stormfold: a Knative function that folds alerts into incidents.
//
// The steps of an event, in the order of handle and foldStages below:
//
//	limiter           limits the events in progress; answers 503 above that
//	handlers.Decode   CloudEvent to alerts; answers 400 if it is invalid
//	aggregator.Split  alerts to groups, by policy
//	passThrough       writes incidents for alerts that must not wait while Redis fails; still answers 503
//	observe           metrics and a span
//	foldEarlier       alerts that fire in an incident of earlier policies stay there
//	drop              alerts that a policy drops end here
//	tryRedis          the breaker: refuses events at once if Redis has not answered recently
//	coalesce          folds concurrent events in one round trip
//	foldInRedis       joins the alerts with the records in Redis; from here on they are safe
//	follow            writes groups with a granted lease before the answer, others when their interval is over
//	handlers.Reply    the reply event: opened, storm or resolved
//
// project.go writes groups to Kubernetes, sweep.go is what happens without events, and function.go starts and stops the
// process.
package function

import (
	"context"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/trace"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// Handle handles one event. It answers 2xx if all its alerts are in Redis, 400 if no retry can help, 503 otherwise.
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
	err := p.catchPanics(inEvent, func() (err error) {
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

// maxAhead is how far an event's time may be ahead of both clocks, Redis' and this pod's: a report from the future
// would override all later ones. Both are checked, since one of them may be slow.
const maxAhead = 10 * time.Minute

func (p *pod) handle(ctx context.Context, ev event.Event) (*event.Event, error) {
	if !p.limiter.acquire() {
		return nil, &handlers.Refusal{Reason: handlers.ReasonOverload}
	}
	defer p.limiter.release()
	ctx, cancel := context.WithTimeout(ctx, p.settings.RequestTimeout)
	defer cancel()

	request, err := p.decode(ctx, ev)
	if err != nil {
		return nil, err
	}
	switch request.Kind {
	case handlers.Tick:
		return nil, refusal(p.catchPanics(inSweep, func() error { return p.sweep(ctx) }), handlers.ReasonKubernetes)
	case handlers.Ignore:
		return nil, nil
	}
	if ahead := min(request.NotifiedAt.Sub(p.aggregator.Now()), time.Until(request.NotifiedAt)); ahead > maxAhead {
		return nil, handlers.TooFarAhead(request.NotifiedAt, ahead)
	}
	groups := aggregator.Split(p.policies.Current(), request.Batch)
	p.noteLeftOut(ctx, ev, request.LeftOut)
	p.checkPeriods(ctx, ev, request.Periods, groups)
	results := p.fold(ctx, groups)
	p.explain(ctx, ev, results)
	transitions, writing := p.follow(ctx, ev, results)
	if err := firstError(results); err != nil {
		return nil, refusal(err, handlers.ReasonInternal)
	}
	p.await(ctx, writing)
	return handlers.Reply(p.source, ev, request.NotifiedAt, transitions), nil
}

// foldStages composes the stages between an event's groups and Redis. The first stage gets the groups first and the
// results last.
func (p *pod) foldStages() foldFunc {
	fold := p.foldInRedis
	for _, stage := range slices.Backward([]func(next foldFunc) foldFunc{
		p.passThrough, p.observe, p.foldEarlier, p.drop, p.tryRedis, p.coalesce,
	}) {
		fold = stage(fold)
	}
	return fold
}

// decode reads an event's alerts.
func (p *pod) decode(ctx context.Context, ev event.Event) (handlers.Request, error) {
	_, span := p.traces.Start(ctx, spanDecode)
	request, err := handlers.Decode(ev, p.aggregator.Now())
	decodedSpan(span, request, err)
	return request, err
}

// follow writes what changed: now if the fold granted the lease, later otherwise. It returns the transitions, for the
// reply, and what is being written now.
func (p *pod) follow(ctx context.Context, ev event.Event, results []folded) (
	transitions []aggregator.Transition, writing []<-chan struct{},
) {
	span := trace.SpanContextFromContext(ctx)
	for _, fold := range results {
		if fold.Group == "" {
			continue // Not folded.
		}
		transitions = append(transitions, fold.Transitions...)
		switch {
		case fold.Token != "":
			if done := p.scheduler.start(fold.Group, fold.Token, cause{span, true}); done != nil {
				writing = append(writing, done)
			}
		case fold.Changed:
			p.scheduler.schedule(fold.Group, time.Now().Add(fold.Due.Sub(fold.Now)), "", cause{span: span})
		}
	}
	if len(transitions) > 0 {
		p.logTransitions(traced(ctx, ev), transitions)
	}
	return transitions, writing
}

// await waits for the writes that have started, so at most as many events wait as groups are written at once. The
// alerts are safe: an API server that hangs delays the answer by at most the timeout of one call, and the write
// continues without the request.
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
