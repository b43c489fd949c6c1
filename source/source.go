// Package source takes the webhook of Alertmanager and sends it on as CloudEvents. It keeps nothing: a notification is
// either with the sink as a whole when it is answered 2xx, or Alertmanager sends it again.
//
//	webhook ─► token, a free place, size     401, 503, 413
//	        ─► decode                        400: it is no webhook of version 4
//	        ─► split into chunks             at most MaxChunk bytes of data each, alerts in their order
//	        ─► an event for each ─► sink     one after the other, all with the time at which the webhook arrived
//	        ─► 200 when the sink has accepted every event, 503 when it has not
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/stormfold/stormfold/tracing"
)

// MaxBody is the most that a webhook's body may have, in bytes. The function takes no larger event either.
const MaxBody = 4 << 20

// Source is the handler of the webhook.
type Source struct {
	settings *Settings
	sink     *sink
	token    *token
	places   chan struct{}
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
		metrics: m, log: log, now: time.Now,
	}, nil
}

// ServeHTTP answers one webhook. Its answers have one sentence of plain text, which Alertmanager writes to its log.
func (s *Source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := s.now()
	r, span := s.webhookSpan(r)
	alerts, refused := s.serve(w, r, arrived)
	if refused != nil && r.Context().Err() != nil {
		// Whatever went wrong, it did because nobody waits for the answer any more.
		refused = refuse(gone, "nobody waits for this answer any more: %s", refused.text)
	}
	s.metrics.answered(refused.why(), alerts, s.now().Sub(arrived))
	endSpan(span, refused.why(), alerts)
	if refused == nil {
		s.log.Debugw("notification accepted", "alerts", alerts)
		return
	}
	s.log.Warnw("notification refused", s.withTrace(r.Context(), "reason", refused.reason, "status", refused.status, "error", refused.text)...)
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
		return 0, refuse(badMethod, "Alertmanager's webhook comes by POST, not %s", r.Method)
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

	body, refused := read(w, r)
	if refused != nil {
		return 0, refused
	}
	n, err := decode(body)
	if err != nil {
		return 0, refuse(invalid, "this is no webhook of Alertmanager, version 4: %s", err)
	}
	head, err := n.head()
	if err != nil {
		return 0, refuse(invalid, "this is no webhook of Alertmanager, version 4: %s", err)
	}
	return s.send(ctx, n, head, arrived)
}

// send sends the chunks one after the other. One that the sink refuses for good does not keep back those behind it, since
// it would do so at each repetition; any other failure ends the attempt.
func (s *Source) send(ctx context.Context, n *notification, head []byte, arrived time.Time) (accepted int, refused *refusal) {
	chunks := split(n.alerts, MaxChunk-len(head)-len(tail))
	of := newOrigin(s.settings, n, arrived)
	for i, chunk := range chunks {
		err := s.sendTraced(ctx, of.event(i, document(head, chunk)), len(chunk))
		if err == nil {
			accepted += len(chunk)
			continue
		}
		var failed *sinkError
		if !errors.As(err, &failed) {
			failed = &sinkError{result: sinkUnavailable, text: err.Error()}
		}
		refused = refuse(reason(failed.result), "event %d of %d, with %d alerts, is not with the sink: %s", i+1, len(chunks), len(chunk), failed.text)
		if failed.result != sinkRefused {
			return accepted, refused
		}
		s.log.Errorw("the sink refuses an event for good", s.withTrace(ctx, "event", of.id(i), "alerts", len(chunk), "groupKey", n.groupKey, "error", failed.text)...)
	}
	return accepted, refused
}

// read reads the body, or as much as it takes to know that it is too large.
func read(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	body, err := []byte(nil), error(&http.MaxBytesError{Limit: MaxBody})
	if r.ContentLength <= MaxBody {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, refuse(tooLarge, "the body is larger than %d bytes, which max_alerts of Alertmanager's webhook_configs can bound", MaxBody)
	case err != nil:
		return nil, refuse(unreadable, "the body cannot be read: %s", err)
	}
	return body, nil
}
