package faults

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// APIProxy is a proxy between the functions and the API server that can answer for it.
type APIProxy struct {
	server *httptest.Server

	mu      sync.Mutex
	trouble Trouble
	hits    int
	watches int
	codes   map[int]int
}

// Trouble is what an API server does to the requests that it is to fail.
type Trouble struct {
	// Code is the answer; 0 is no trouble.
	Code int
	// RetryAfter is the header of that name in whole seconds; 0 sends none.
	RetryAfter time.Duration
	// Done is true when the request is carried out before the answer: the caller cannot know.
	Done bool
	// Beyond spares requests with a body of at most that many bytes; 0 spares none.
	Beyond int64
}

// NewAPIProxy passes everything to the API server of a configuration, each caller with its own credentials.
func NewAPIProxy(config *rest.Config) (*APIProxy, error) {
	anonymous := rest.AnonymousClientConfig(config)
	transport, err := rest.TransportFor(anonymous)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.Transport = transport
	pass.ErrorLog = log.New(io.Discard, "", 0) // A killed function's requests end early; that is expected.
	p := &APIProxy{codes: map[int]int{}}
	pass.ModifyResponse = func(r *http.Response) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.codes[r.StatusCode]++
		return nil
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trouble := p.meet(r)
		if trouble.Code != 0 && trouble.Done {
			pass.ServeHTTP(httptest.NewRecorder(), r)
		}
		if trouble.Code == 0 {
			pass.ServeHTTP(w, r)
			return
		}
		trouble.answer(w)
	}))
	p.server.EnableHTTP2 = true
	p.server.StartTLS() // A client sends no token without.
	return p, nil
}

// URL is where it listens.
func (p *APIProxy) URL() string { return p.server.URL }

// CA is the certificate by which it is known, in PEM.
func (p *APIProxy) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Close ends the proxy and its connections.
func (p *APIProxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Fail makes the API server do that from now on. The zero Trouble ends it.
func (p *APIProxy) Fail(t Trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble, p.hits = t, 0
}

// Hits is how many requests have met the present trouble.
func (p *APIProxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

// Watches is how many requests wanted to watch something.
func (p *APIProxy) Watches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watches
}

// Answered is how often the API server itself gave that answer.
func (p *APIProxy) Answered(code int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.codes[code]
}

// meet is the trouble for one request.
func (p *APIProxy) meet(r *http.Request) Trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Query().Has("watch") {
		p.watches++
	}
	if p.trouble.Code == 0 || r.ContentLength <= p.trouble.Beyond && p.trouble.Beyond > 0 {
		return Trouble{}
	}
	p.hits++
	return p.trouble
}

// answer is what an API server says, in its own format.
func (t Trouble) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if t.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(t.RetryAfter/time.Second)))
	}
	w.WriteHeader(t.Code)
	// The status is sent already; a caller that has gone is no error of this proxy.
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(t.Code),
		Reason: reasons[t.Code], Message: fmt.Sprintf("the API server is made to answer %d", t.Code),
	})
}

// reasons are those that an API server gives with its codes.
var reasons = map[int]metav1.StatusReason{
	http.StatusRequestEntityTooLarge: metav1.StatusReasonRequestEntityTooLarge,
	http.StatusTooManyRequests:       metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError:   metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:    metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:        metav1.StatusReasonTimeout,
}
