package service

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/handlers"
)

// echo is a function that remembers what reached it.
type echo struct {
	handled atomic.Int32
	size    atomic.Int64
	refused atomic.Pointer[string]
}

func (e *echo) Refused(id string, reason handlers.Reason, err error) {
	line := id + " " + string(reason) + " " + err.Error()
	e.refused.Store(&line)
}

func (e *echo) Traced(ctx context.Context, _ http.Header) context.Context { return ctx }

func (e *echo) Handle(ctx context.Context, ev event.Event) (*event.Event, error) {
	e.handled.Add(1)
	e.size.Store(int64(len(ev.Data())))
	return nil, ctx.Err()
}

func serve(t *testing.T, f Function) string {
	t.Helper()
	server := httptest.NewServer(New(f).Handler)
	t.Cleanup(server.Close)
	return server.URL
}

var binaryMode = http.Header{
	"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Type": {"t"}, "Ce-Source": {"/s"}, "Content-Type": {"application/json"},
}

var structuredMode = http.Header{"Content-Type": {"application/cloudevents+json"}}

// unsized hides the length of a body, so that it is sent in chunks.
type unsized struct{ io.Reader }

func send(t *testing.T, method, url string, header http.Header, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	req.Header = header.Clone()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(text))
}

// full is a JSON string of exactly size bytes.
func full(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }

func TestAnswers(t *testing.T) {
	without := binaryMode.Clone()
	without.Del("Ce-Id")
	for _, c := range []struct {
		name   string
		method string
		header http.Header
		body   io.Reader
		status int
		says   string
	}{
		{"binary mode", "POST", binaryMode, strings.NewReader(`{}`), 200, ""},
		{"structured mode", "POST", structuredMode,
			strings.NewReader(`{"specversion":"1.0","id":"1","type":"t","source":"/s","data":{}}`), 200, ""},
		{"a body of exactly the bound", "POST", binaryMode, strings.NewReader(full(handlers.MaxBody)), 200, ""},
		{"a byte more", "POST", binaryMode, strings.NewReader(full(handlers.MaxBody + 1)), 413,
			"the body is larger than 4194304 bytes"},
		{"a byte more in chunks", "POST", binaryMode, unsized{strings.NewReader(full(handlers.MaxBody + 1))}, 413,
			"the body is larger than 4194304 bytes"},
		{"structured mode, too large", "POST", structuredMode, unsized{strings.NewReader(full(handlers.MaxBody + 1))}, 413,
			"the body is larger than 4194304 bytes"},
		{"plain JSON", "POST", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(`{}`), 400,
			"neither a ce-specversion header nor"},
		{"nothing at all", "POST", http.Header{}, http.NoBody, 400, "neither a ce-specversion header nor"},
		{"structured mode without JSON", "POST", structuredMode, strings.NewReader(`{"specver`), 400,
			"the request is not a CloudEvent: "},
		{"a batch", "POST", http.Header{"Content-Type": {"application/cloudevents-batch+json"}}, strings.NewReader(`[]`), 400,
			"the request is not a CloudEvent"},
		{"no id", "POST", without, strings.NewReader(`{}`), 400,
			"the CloudEvent is not valid: id: MUST be a non-empty string"},
		{"structured mode without attributes", "POST", structuredMode, strings.NewReader(`{"specversion":"1.0"}`), 400,
			"the CloudEvent is not valid: "},
		{"GET", "GET", binaryMode, nil, 405, "send CloudEvents with POST, not GET"},
		{"PUT", "PUT", binaryMode, strings.NewReader(`{}`), 405, "send CloudEvents with POST, not PUT"},
		{"health", "GET", nil, nil, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &echo{}
			url := serve(t, f)
			if c.name == "health" {
				url += "/health/readiness"
			}
			status, text := send(t, c.method, url, c.header, c.body)
			assert.Equal(t, c.status, status, text)
			assert.Contains(t, text, c.says)
			assert.NotContains(t, text, "\n", "one sentence")
			reached := c.status == 200 && c.name != "health"
			assert.Equal(t, reached, f.handled.Load() == 1)
			if status == 400 || status == 413 {
				if refused := f.refused.Load(); assert.NotNil(t, refused, "a dead letter is never silent") {
					id := c.header.Get("Ce-Id")
					reason := map[int]string{400: "invalid", 413: "too_large"}[status]
					assert.Equal(t, id+" "+reason+" "+text, *refused)
				}
			} else {
				assert.Nil(t, f.refused.Load())
			}
		})
	}
}

// The SDK's errors repeat what was sent, and that may be megabytes of anything.
func TestARefusalIsShort(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, body := range []string{
		`{"specversion":"1.0","id":"1","type":"t","source":"/s","time":"` + long + `"}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"/s","time":"` + strings.Repeat("語", 1<<18) + `"}`,
		`{"specversion":"` + long + `"}`,
		`{"specversion":"1.0","id":"1","type":"t","source":"/s","time":"a\u0000b\u001fc"}`,
	} {
		f := &echo{}
		status, text := send(t, "POST", serve(t, f), structuredMode, strings.NewReader(body))
		assert.Equal(t, 400, status)
		assert.Less(t, len(text), 400)
		assert.True(t, utf8.ValidString(text))
		assert.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl), "%q", text)
		assert.Less(t, len(*f.refused.Load()), 500)
	}
}

func TestBodyReachesTheFunctionWhole(t *testing.T) {
	f := &echo{}
	status, text := send(t, "POST", serve(t, f), binaryMode, strings.NewReader(full(100_000)))
	require.Equal(t, 200, status, text)
	assert.EqualValues(t, 100_000, f.size.Load())
}

// A request that its sender gave up continues: a fold in progress may have a lease that no one else can use.
func TestARequestWhoseSenderHasGoneIsStillHandled(t *testing.T) {
	f := &echo{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(gone, http.MethodPost, "/", strings.NewReader(`{}`))
	r.Header = binaryMode.Clone()
	w := httptest.NewRecorder()
	New(f).Handler.ServeHTTP(w, r)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.EqualValues(t, 1, f.handled.Load())
}
