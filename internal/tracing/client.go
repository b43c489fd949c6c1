package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// firstPause and lastPause bound the pause before a batch is sent again.
	firstPause, lastPause = 500 * time.Millisecond, 10 * time.Second
	// maxAnswer is how much of a collector's answer is read, in bytes, so that the connection can be used again.
	maxAnswer = 64 << 10
)

// client sends batches of spans by HTTP. OpenTelemetry's own client pulls in all of gRPC, which made the program larger
// by 18 MB.
//
// A batch that the collector may accept later is retried until its timeout (OTEL_BSP_EXPORT_TIMEOUT, 30 s); meanwhile
// the processor's queue fills up and then drops spans. No event waits for that.
type client struct {
	env     *environment
	http    *http.Client
	failing func(error)

	// stopped is closed when there is no time left for a second attempt; ctx ends when there is none for the first.
	stopped chan struct{}
	once    sync.Once
	ctx     context.Context
	end     context.CancelFunc

	mu     sync.Mutex
	failed bool
}

func newClient(env *environment, failing func(error)) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = env.tls
	c := &client{
		env: env, failing: failing, stopped: make(chan struct{}),
		http: &http.Client{
			Transport: transport,
			// A redirected POST becomes a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// hurry makes each attempt the last one: the process stops.
func (c *client) hurry() { c.once.Do(func() { close(c.stopped) }) }

// Start does nothing: the first batch shows whether there is a collector.
func (c *client) Start(context.Context) error { return nil }

// Stop closes the connections.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends a batch. Its error was already reported: the SDK would only write it to standard error.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire TracesData is what an ExportTraceServiceRequest is, whose package brings gRPC with it.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err == nil && c.env.gzip {
		body, err = compressed(body)
	}
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		err = c.deliver(ctx, body)
	}
	c.tell(err)
	return nil
}

// deliver sends a batch until it is accepted or the time is up.
func (c *client) deliver(ctx context.Context, body []byte) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		wait, err := c.post(ctx, body)
		if err == nil || wait < 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-c.stopped:
			return err
		case <-time.After(max(wait, pause/2+rand.N(pause))):
		}
	}
}

// post sends a batch once. With an error it returns how long to wait before the next attempt, below zero if a retry
// cannot help.
func (c *client) post(ctx context.Context, body []byte) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.env.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.env.endpoint, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	for name, values := range c.env.headers {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	if c.env.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if of := (*url.Error)(nil); errors.As(err, &of) {
			err = of.Err // Without the URL, which may contain a password.
		}
		return 0, fmt.Errorf("the collector cannot be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	if response.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("the collector answers %s", response.Status)
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // A date counts as 0.
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second, err
	}
	return -1, err
}

// tell reports when delivery starts to fail and when it works again, but not every failure.
func (c *client) tell(err error) {
	c.mu.Lock()
	changed := c.failed != (err != nil)
	c.failed = err != nil
	c.mu.Unlock()
	if changed && c.failing != nil {
		c.failing(err)
	}
}

func compressed(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
