package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// PrometheusServer is a Prometheus on a loopback port.
type PrometheusServer struct {
	URL string // The root of its pages and API, without a slash at the end.

	*Process // The running or last process.
}

// StartPrometheus starts a Prometheus with a configuration, given as YAML, that keeps its data in a directory, which
// has to exist, and returns when it is ready.
func StartPrometheus(dir, config string, args ...string) (*PrometheusServer, error) {
	path, err := Program("prometheus")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("write Prometheus' configuration: %w", err)
	}
	process, err := StartProcess(
		Command{Name: fmt.Sprintf("prometheus-%d", port), Path: path, Dir: dir, Args: append([]string{
			"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" +
				loopback(port),
		}, args...)},
	)
	if err != nil {
		return nil, err
	}
	p := &PrometheusServer{URL: "http://" + loopback(port), Process: process}
	if err := awaitReady(process, func(ctx context.Context) error { return httpOK(ctx, p.URL+"/-/ready") }); err != nil {
		return nil, errors.Join(err, process.Kill())
	}
	return p, nil
}

// Prometheus is StartPrometheus for tests: the server ends with the test.
func Prometheus(t testing.TB, config string, args ...string) *PrometheusServer {
	t.Helper()
	p, err := StartPrometheus(t.TempDir(), config, args...)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Errorf("testbed: %v", err)
		}
		p.LogOnFailure(t)
	})
	return p
}

// Sample is one series of an answer, at one time.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query evaluates an expression now. What it gives has to be a vector.
func (p *PrometheusServer) Query(ctx context.Context, expression string) ([]Sample, error) {
	var answer struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := p.Get(ctx, "/api/v1/query?"+url.Values{"query": {expression}}.Encode(), &answer); err != nil {
		return nil, fmt.Errorf("query %s: %w", expression, err)
	}
	if answer.ResultType != "vector" {
		return nil, fmt.Errorf("query %s: a %s where a vector was expected", expression, answer.ResultType)
	}
	var out []Sample
	for _, r := range answer.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", expression, err)
		}
		out = append(out, Sample{Labels: r.Metric, Value: value})
	}
	return out, nil
}

// Get asks Prometheus' API and decodes the data of its answer.
func (p *PrometheusServer) Get(ctx context.Context, path string, data any) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}
