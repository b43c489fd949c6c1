package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/stormfold/stormfold/internal/tracing"
)

const (
	// maxSaid is how much of the sink's answer is read for the error that repeats it, in bytes.
	maxSaid = 512
	// maxDrained is how much of an answer is read so that its connection can be used again; a reply event fits.
	maxDrained = 64 << 10
)

// sink is where the events go.
type sink struct {
	url     string
	client  *http.Client
	timeout time.Duration
	metrics *metrics
}

func newSink(settings *Settings, m *metrics) *sink {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = settings.Concurrency
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: settings.SinkCAs}
	return &sink{
		url: settings.Sink, timeout: settings.SinkTimeout, metrics: m,
		client: &http.Client{
			Transport: transport,
			// A redirected POST becomes a GET, and a page in answer to it would look like acceptance.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// sinkError is why the sink did not accept an event.
type sinkError struct {
	result reason
	text   string
}

func (e *sinkError) Error() string { return e.text }

// send sends an event in binary mode, once. Alertmanager repeats it, with newer states if there are any. Its error is a
// *sinkError.
func (s *sink) send(ctx context.Context, ev event.Event) error {
	began := time.Now()
	err := s.try(ctx, ev)
	s.metrics.sent(resultOfSend(err), time.Since(began))
	return err
}

// resultOfSend is why the sink did not accept an event, or ok.
func resultOfSend(err error) reason {
	var failed *sinkError
	if errors.As(err, &failed) {
		return failed.result
	}
	return ok
}

func (s *sink) try(ctx context.Context, ev event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, s.url, ev)
	if err != nil {
		return &sinkError{result: sinkRefused, text: fmt.Sprintf("it cannot be made: %s", err)}
	}
	tracing.ToHeader(ctx, request.Header)
	response, err := s.client.Do(request)
	if err != nil {
		return unanswered(err)
	}
	defer func() { _ = response.Body.Close() }()
	// Only the status counts; the rest is read for the error, and so that the connection can be used again.
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid))
	_, _ = io.CopyN(io.Discard, response.Body, maxDrained)
	if response.StatusCode/100 == 2 {
		return nil
	}
	text := "the sink answers " + response.Status
	if words := oneLine(string(said)); words != "" {
		text += ": " + words
	}
	return &sinkError{result: resultOf(response.StatusCode), text: text}
}

// unanswered distinguishes a sink that is too slow from one that cannot be reached. It leaves out the sink's URL, which
// does not belong in the log of a caller.
func unanswered(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &sinkError{result: sinkTimeout, text: "the sink did not answer in time"}
	}
	return &sinkError{result: sinkUnreachable, text: fmt.Sprintf("the sink cannot be reached: %s", err)}
}

// again are the 4xx answers that Knative retries, and so does a sender to a sink.
var again = []int{
	http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict,
	http.StatusTooEarly, http.StatusTooManyRequests,
}

// resultOf distinguishes answers about the event from those about the sink and the network.
func resultOf(status int) reason {
	if status/100 == 4 && !slices.Contains(again, status) {
		return sinkRefused
	}
	return sinkUnavailable
}
