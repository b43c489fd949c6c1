// Package source receives Alertmanager's webhook and sends it as CloudEvents. It is stateless: a notification is
// answered 200 if the sink has accepted all of it; Alertmanager repeats what is answered 503.
//
//	webhook ─► token, a free place           401, 503
//	        ─► decode, as a stream           413: it is too large; 400: not a webhook, or no usable alert
//	        ─► split into chunks             at most MaxChunk bytes of data each, alerts in their order
//	        ─► an event for each ─► sink     one after the other, all with the time at which the webhook arrived
//	        ─► 200 when the sink has accepted every event, 503 when it has not
package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/stormfold/stormfold/internal/tracing"
)

// Source is the handler of the webhook.
type Source struct {
	settings *Settings
	sink     *sink
	token    *token
	places   chan struct{}
	periods  *periods
	cluster  cluster // Nil: alerts are not looked up.
	metrics  *metrics
	traces   *tracing.Tracing
	log      *zap.SugaredLogger
	now      func() time.Time
}

// New returns a source with these settings. Its error names the setting that is wrong.
func New(settings *Settings, log *zap.SugaredLogger) (*Source, error) {
	t, err := newToken(settings.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenKey, err)
	}
	m := newMetrics()
	return &Source{
		settings: settings, sink: newSink(settings, m), token: t, places: make(chan struct{}, settings.Concurrency),
		periods: newPeriods(),
		metrics: m, log: log, now: time.Now,
	}, nil
}

// ServeHTTP answers one webhook. Its answers have one sentence of plain text, which Alertmanager writes to its log.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := s.now()
	r, span := s.webhookSpan(r)
	alerts, refused := s.serve(w, r, arrived)
	if refused != nil && r.Context().Err() != nil {
		// The client has gone, whatever the error is.
		refused = refuse(gone, "the sender has closed the connection: %s", refused.text)
	}
	s.metrics.answered(refused.why(), alerts, s.now().Sub(arrived))
	endSpan(span, refused.why(), alerts)
	if refused == nil {
		s.log.Debugw("notification accepted", "alerts", alerts)
		return
	}
	s.log.Warnw(
		"notification refused",
		s.withTrace(r.Context(), "reason", refused.reason, "status", refused.status, "error", refused.text)...)
	switch refused.reason {
	case badMethod:
		w.Header().Set("Allow", http.MethodPost)
	case unauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(w, refused.text, refused.status)
}

// serve does what the package comment says and returns how many alerts the sink accepted.
func (s *Source) serve(w http.ResponseWriter, r *http.Request, arrived time.Time) (int, *refusal) {
	if r.Method != http.MethodPost {
		return 0, refuse(badMethod, "send Alertmanager's webhook with POST, not %s", r.Method)
	}
	if refused := s.token.check(r); refused != nil {
		return 0, refused
	}
	select {
	case s.places <- struct{}{}:
		s.metrics.inFlight.Inc()
		defer func() {
			<-s.places
			s.metrics.inFlight.Dec()
		}()
	default:
		return 0, refuse(overloaded, "%d notifications are being sent already, send this one again later", cap(s.places))
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.settings.RequestTimeout)
	defer cancel()

	body := &spool{}
	defer body.close()
	n, refused := s.read(w, r, body)
	if refused != nil {
		return 0, refused
	}
	head, err := n.head()
	if err != nil {
		return 0, refuse(invalid, notWebhook, err)
	}
	s.noteLeftOut(ctx, n)
	return s.send(ctx, body, n, head, arrived)
}

const notWebhook = "this is not a webhook of Alertmanager, version 4: %s"

// read reads the body as a stream and keeps it, because the alerts are sent when all of it is known.
func (s *Source) read(w http.ResponseWriter, r *http.Request, body *spool) (*notification, *refusal) {
	bounded := &remember{from: http.MaxBytesReader(w, r.Body, s.settings.MaxBody)}
	if r.ContentLength > s.settings.MaxBody {
		bounded.err = &http.MaxBytesError{Limit: s.settings.MaxBody}
	}
	n, err := decode(io.TeeReader(bounded, body))
	var large *http.MaxBytesError
	switch {
	case errors.As(bounded.err, &large):
		return nil, refuse(
			tooLarge,
			"the body is larger than %d bytes (STORMFOLD_SOURCE_MAX_BODY); max_alerts of Alertmanager's webhook_configs can bound it",
			large.Limit,
		)
	case errors.Is(err, errSpool):
		return nil, refuse(noSpool, "%s", err)
	case bounded.err != nil:
		return nil, refuse(unreadable, "the body cannot be read: %s", bounded.err)
	case errors.Is(err, errValue):
		return nil, refuse(tooLarge, "%s", errValue)
	case err != nil:
		return nil, refuse(invalid, notWebhook, err)
	}
	return n, nil
}

// remember keeps the error of a reader, to distinguish it from errors in the content.
type remember struct {
	from io.Reader
	err  error
}

func (r *remember) Read(p []byte) (n int, err error) {
	if r.err == nil {
		n, err = r.from.Read(p)
		if err != nil && !errors.Is(err, io.EOF) {
			r.err = err
		}
		return n, err
	}
	return 0, r.err
}

// noteLeftOut logs and counts alerts that are not sent.
func (s *Source) noteLeftOut(ctx context.Context, n *notification) {
	if len(n.left) == 0 {
		return
	}
	for flaw, alerts := range n.left {
		s.metrics.leftOut.WithLabelValues(string(flaw)).Add(float64(alerts))
	}
	s.log.Warnw(
		"alerts left out of a notification",
		s.withTrace(ctx, "alerts", n.leftOut(), "groupKey", n.groupKey, "first", n.first)...)
}

// send sends the chunks one after the other. One that the sink refuses permanently does not block the rest, since it
// would do so at each repetition; any other failure ends the attempt.
func (s *Source) send(
	ctx context.Context,
	body *spool,
	n *notification,
	head []byte,
	arrived time.Time,
) (accepted int, refused *refusal) {
	of := newOrigin(s.settings, n, arrived, s.periods.with(n, arrived))
	events := 0
	deal := &chunks{head: head, send: func(document []byte, alerts int) error {
		ev := of.event(events, document)
		events++
		err := s.sendTraced(ctx, ev, alerts)
		if err == nil {
			accepted += alerts
			return nil
		}
		var failed *sinkError
		if !errors.As(err, &failed) {
			failed = &sinkError{result: sinkUnavailable, text: err.Error()}
		}
		refused = refuse(
			reason(failed.result),
			"event %d, with %d of %d alerts, was not accepted by the sink: %s",
			events,
			alerts,
			n.alerts,
			failed.text,
		)
		if failed.result != sinkRefused {
			return err
		}
		s.log.Errorw(
			"the sink refuses an event permanently",
			s.withTrace(ctx, "event", ev.ID(), "alerts", alerts, "groupKey", n.groupKey, "error", failed.text)...)
		return nil
	}}
	err := walk(body.reader(), func(string, json.RawMessage) error { return nil }, func(alert json.RawMessage) error {
		if _, flaw := checkAlert(alert); flaw != none {
			return nil
		}
		return deal.add(s.withLookups(alert))
	})
	if err == nil {
		err = deal.flush()
	}
	if err != nil && refused == nil { // It was read once already: only the file can be the reason.
		refused = refuse(noSpool, "the body cannot be read again: %s", err)
	}
	if refused == nil {
		s.periods.accepted(n, arrived)
	}
	return accepted, refused
}
