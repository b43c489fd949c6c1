package testbed

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// WriteVerbs are the verbs of apiserver_request_total that change objects.
var WriteVerbs = []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}

// Request is a kind of requests for one resource, as the API server counts them.
type Request struct {
	Verb        string // GET, LIST, WATCH or one of WriteVerbs.
	Subresource string // Empty, or for instance "status".
	Code        string // The HTTP status.
}

// RequestCounts says how many requests of each kind the API server has answered since it started. It counts a request
// just after its answer, so a test that expects an exact number polls for it.
type RequestCounts map[Request]int

// Metrics returns the API server's own metric families by name.
func (c *Cluster) Metrics(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := c.scrape(t.Context())
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return families
}

// RequestCounts returns the API server's counts of the requests for a resource, for instance "incidents" of
// "stormfold.io", in all versions and by all clients. Requests that were throttled before they had an answer are in it
// with code 429.
func (c *Cluster) RequestCounts(t testing.TB, group, resource string) RequestCounts {
	t.Helper()
	counts, err := c.CountRequests(t.Context(), group, resource)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return counts
}

// CountRequests is RequestCounts for programs that are not tests.
func (c *Cluster) CountRequests(ctx context.Context, group, resource string) (RequestCounts, error) {
	families, err := c.scrape(ctx)
	if err != nil {
		return nil, err
	}
	counts := RequestCounts{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if labels["group"] == group && labels["resource"] == resource {
			request := Request{Verb: labels["verb"], Subresource: labels["subresource"], Code: labels["code"]}
			counts[request] += int(metric.GetCounter().GetValue())
		}
	}
	return counts, nil
}

// IncidentRequests is RequestCounts for Stormfold's incidents.
func (c *Cluster) IncidentRequests(t testing.TB) RequestCounts {
	t.Helper()
	return c.RequestCounts(t, "stormfold.io", "incidents")
}

// Verbs sums the requests with one of the verbs, or with any when none is given, subresources included.
func (r RequestCounts) Verbs(verbs ...string) int {
	return r.sum(func(request Request) bool { return has(verbs, request.Verb) })
}

// Object sums the requests for objects themselves, without subresources.
func (r RequestCounts) Object(verbs ...string) int { return r.Subresource("", verbs...) }

// Status sums the requests for the subresource "status".
func (r RequestCounts) Status(verbs ...string) int { return r.Subresource("status", verbs...) }

// Subresource sums the requests for a subresource, the empty one being the object, with one of the verbs, or with any
// when none is given.
func (r RequestCounts) Subresource(name string, verbs ...string) int {
	return r.sum(func(request Request) bool { return request.Subresource == name && has(verbs, request.Verb) })
}

// Writes sums the requests that change objects, refused ones included.
func (r RequestCounts) Writes() int { return r.Verbs(WriteVerbs...) }

// Since returns the difference to an earlier count.
func (r RequestCounts) Since(earlier RequestCounts) RequestCounts {
	difference := RequestCounts{}
	for request, count := range r {
		if n := count - earlier[request]; n != 0 {
			difference[request] = n
		}
	}
	return difference
}

func (r RequestCounts) sum(match func(Request) bool) int {
	sum := 0
	for request, count := range r {
		if match(request) {
			sum += count
		}
	}
	return sum
}

func has(verbs []string, verb string) bool {
	return len(verbs) == 0 || slices.Contains(verbs, verb)
}

func (c *Cluster) scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	text, err := c.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse the API server's metrics: %w", err)
	}
	return families, nil
}
