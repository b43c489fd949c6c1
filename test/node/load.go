//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"

	"github.com/stormfold/stormfold/test/faults"
)

// load is a storm of events with one alert each.
type load struct {
	name    string // The alertname.
	alerts  int
	first   int // The number of the first alert that is sent; those before it were sent earlier.
	groups  int // Values of the label namespace.
	senders int
	every   time.Duration // The pause between two events of all senders; 0 is as fast as the answers come.
	url     string
	host    string
}

// tries is how often an event is sent until it counts as given up; half a second lies between two tries.
const tries = 240

// send sends all alerts of a load, each until it is taken, and notes events and answers in a journal. It calls reached,
// when that is not nil, with the number of events that have been taken so far.
func (l load) send(ctx context.Context, j *faults.Journal, reached func(taken int)) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: l.senders}}
	defer client.CloseIdleConnections()
	var next, taken atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, l.senders)
	start := time.Now()
	for range l.senders {
		all.Go(func() {
			for {
				i := l.first + int(next.Add(1)) - 1
				if i >= l.alerts {
					return
				}
				time.Sleep(time.Until(start.Add(time.Duration(i-l.first) * l.every)))
				if err := l.deliver(ctx, client, j, i); err != nil {
					failed <- err
					return
				}
				if now := int(taken.Add(1)); reached != nil {
					reached(now)
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// deliver sends an event about one alert until it is taken.
func (l load) deliver(ctx context.Context, client *http.Client, j *faults.Journal, i int) error {
	at := time.Now().UTC().Truncate(time.Millisecond)
	alert, word := l.alert(i, at, "load")
	body, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	return l.untilTaken(ctx, client, "alert", at, body, j.Sending(word))
}

// alert is the one with a number, and what it says.
func (l load) alert(i int, at time.Time, summary string) (map[string]any, faults.Word) {
	namespace := fmt.Sprintf("load-%02d", i%l.groups)
	labels := model.LabelSet{
		"alertname": model.LabelValue(l.name), "namespace": model.LabelValue(namespace), "severity": "warning",
		"unit": model.LabelValue(fmt.Sprint(i)),
	}
	fingerprint := labels.Fingerprint().String()
	return map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{"summary": summary}, "startsAt": at,
		}, faults.Word{
			Fingerprint: fingerprint, Source: fingerprint, Group: namespace + "/" + l.name, Firing: true, At: at,
		}
}

// untilTaken sends an event until it is taken, as a Trigger does.
func (l load) untilTaken(ctx context.Context, client *http.Client, kind string, at time.Time, body []byte,
	answered func(code int, text string),
) error {
	header := http.Header{
		"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {uuid.NewString()},
		"Ce-Source": {"/test/node"}, "Ce-Type": {"io.prometheus.alertmanager." + kind + ".v1"},
		"Ce-Time": {at.Format(time.RFC3339Nano)},
	}
	var last string
	for range tries {
		code, text := l.post(ctx, client, header, body)
		answered(code, text)
		if code/100 == 2 {
			return nil
		}
		last = fmt.Sprintf("%d %s", code, text)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	return fmt.Errorf("an event of %s was never taken, at last: %s", l.name, last)
}

// post sends a request once. The code is 0 when there is no answer.
func (l load) post(ctx context.Context, client *http.Client, header http.Header, body []byte) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header, req.Host = header, l.host
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}
