package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// routing sends everything to the source, at short intervals. Alertmanager waits for group_wait only when a group's
// first alert has started less than that ago.
const routing = `
route:
  receiver: stormfold
  group_by: [alertname, namespace]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: stormfold
  webhook_configs:
  - url: %s
    send_resolved: true
    max_alerts: 0
`

// pair are two Alertmanagers that tell each other what they have sent, and get the same alerts, as from Prometheus.
type pair struct {
	t       *testing.T
	urls    []string
	webhook string // host:port to which they send.
}

// startPair starts two Alertmanagers. They need about 10 s to get to know each other, so this comes first in a test,
// and join after all other work.
func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, webhook: fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))}
	first, second := fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)), fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	config := fmt.Sprintf(routing, "http://"+p.webhook)
	for _, args := range [][]string{
		{"--cluster.listen-address=" + first, "--cluster.advertise-address=" + first},
		{"--cluster.listen-address=" + second, "--cluster.advertise-address=" + second, "--cluster.peer=" + first},
	} {
		p.urls = append(p.urls, testbed.Alertmanager(t, config, args...).URL)
	}
	return p
}

// join starts an installation's source and waits until the Alertmanagers know of each other.
func (p *pair) join(i *installation) {
	p.t.Helper()
	i.startSource(p.webhook)
	for _, url := range p.urls {
		testbed.Eventually(p.t, time.Minute, "the pair to meet", func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v2/status", nil)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			var status struct {
				Cluster struct {
					Status string
					Peers  []any
				}
			}
			if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
				return err
			}
			if status.Cluster.Status != "ready" || len(status.Cluster.Peers) != 2 {
				return fmt.Errorf("%s with %d peers", status.Cluster.Status, len(status.Cluster.Peers))
			}
			return nil
		})
	}
}

// alerts are alerts of one name about that many pods.
type alerts struct {
	name    string
	from, n int
	started time.Time
}

// fire posts alerts that fire to both.
func (p *pair) fire(a alerts) { p.post(a, time.Time{}) }

// resolve posts the same alerts as over, as Prometheus does when their expression holds no more.
func (p *pair) resolve(a alerts) { p.post(a, time.Now()) }

func (p *pair) post(a alerts, ends time.Time) {
	p.t.Helper()
	var all []map[string]any
	for n := range a.n {
		pod := fmt.Sprintf("web-%d", a.from+n)
		alert := map[string]any{
			"labels":      map[string]string{"alertname": a.name, "namespace": "shop", "pod": pod, "severity": "critical"},
			"annotations": map[string]string{"summary": "pod " + pod + " is in trouble"},
			"startsAt":    a.started.UTC().Format(time.RFC3339Nano),
			// Without it Alertmanager itself would resolve an alert that was not sent again for five minutes.
			"endsAt": time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano),
		}
		if !ends.IsZero() {
			alert["endsAt"] = ends.UTC().Format(time.RFC3339Nano)
		}
		all = append(all, alert)
	}
	body, err := json.Marshal(all)
	require.NoError(p.t, err)
	for _, url := range p.urls {
		response, err := http.Post(url+"/api/v2/alerts", "application/json", bytes.NewReader(body))
		require.NoError(p.t, err)
		require.NoError(p.t, response.Body.Close())
		require.Equal(p.t, http.StatusOK, response.StatusCode)
	}
}
