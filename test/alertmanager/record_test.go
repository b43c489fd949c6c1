// Package alertmanager records the notifications of Alertmanager's own code on virtual time. The tests of the model in
// internal/alertmanager compare it with the recording. This is a module of its own, since the code needs many modules
// that nothing else here does.
//
//	go test .            compares the recording with Alertmanager's code
//	go test . -update    writes the recording
package alertmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
)

var update = flag.Bool("update", false, "write the recording")

const (
	path     = "../../internal/alertmanager/testdata/alertmanager.jsonl"
	programs = 6
	long     = 30 * time.Hour
	route    = `
receivers: [{name: all}]
route: {receiver: all, group_by: [namespace], group_wait: 30s, group_interval: 5m, repeat_interval: 12h}`
)

// program is a line of the recording. Times are milliseconds after the start.
type program struct {
	// Sent are alerts that Alertmanager receives: "AT NAMESPACE NAME STARTSAT ENDSAT".
	Sent []string `json:"sent"`
	// Notified are its notifications, in the order of these texts: AT, namespace, the names of the alerts, with + while
	// they fire and - when they are resolved, and the reason: "1000 n0 +A1 -A2: new alerts added".
	Notified []string `json:"notified"`
}

// sent is an alert that Alertmanager receives.
type sent struct {
	at               int64
	namespace, name  string
	startsAt, endsAt int64
}

func TestTheRecordingIsAlertmanager(t *testing.T) {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for seed := range uint64(programs) {
		var p program
		alerts := random(rand.New(rand.NewPCG(seed, 0)))
		for _, s := range alerts {
			p.Sent = append(p.Sent, fmt.Sprint(s.at, " ", s.namespace, " ", s.name, " ", s.startsAt, s.endsAt))
		}
		synctest.Test(t, func(t *testing.T) { p.Notified = play(t, alerts) })
		if err := lines.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(recorded, out.Bytes()) {
		t.Fatalf("%s is not what Alertmanager does; write it with -update", path)
	}
}

// random sends alerts that fire and resolve. Some are not sent again in time, and some never as resolved.
func random(r *rand.Rand) []sent {
	upTo := func(most time.Duration) int64 { return 1 + r.Int64N(most.Milliseconds()) }
	var out []sent
	for n := range 2 {
		for a := range 1 + r.IntN(4) {
			for from := upTo(2 * time.Hour); from < long.Milliseconds(); from += upTo(90 * time.Minute) {
				s := sent{at: from, namespace: fmt.Sprint("n", n), name: fmt.Sprint("A", a), startsAt: from}
				lengths := []time.Duration{time.Minute, 20 * time.Minute, 2 * time.Hour, 15 * time.Hour}
				to := from + upTo(lengths[r.IntN(len(lengths))])
				for ; s.at < to; s.at += upTo(2 * time.Hour) {
					s.endsAt = s.at + time.Hour.Milliseconds() + upTo(2*time.Hour)
					out = append(out, s)
				}
				s.endsAt = to
				for s.at = to; r.IntN(4) > 0; s.at += upTo(6 * time.Minute) {
					out = append(out, s)
				}
				from = s.at
			}
		}
	}
	slices.SortStableFunc(out, func(a, b sent) int { return int(a.at - b.at) })
	return out
}

// play has Alertmanager receive alerts, and returns its notifications.
func play(t *testing.T, alerts []sent) []string {
	start := time.Now()
	conf, err := config.Load(route)
	if err != nil {
		t.Fatal(err)
	}
	logger, recorder := promslog.NewNopLogger(), eventrecorder.NopRecorder()
	metrics := prometheus.NewRegistry()
	provider, err := mem.NewAlerts(t.Context(), 30*time.Minute, 0, nil, logger, recorder, metrics, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := nflog.New(nflog.Options{Retention: 120 * time.Hour, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	receiver := &nflogpb.Receiver{GroupName: "all", Integration: "webhook"}
	got := &receiving{start: start}
	pipeline := notify.MultiStage{
		notify.NewDedupStage(got, log, receiver), got, notify.NewSetNotifiesStage(log, receiver),
	}
	timeout := func(d time.Duration) time.Duration { return d }
	dispatcher := dispatch.NewDispatcher(provider, dispatch.NewRoute(conf.Route, nil), pipeline, marker.NewGroupMarker(),
		timeout, 30*time.Second, nil, logger, recorder, nil, nil)
	go dispatcher.Run(start)
	for _, s := range alerts {
		time.Sleep(time.Until(start.Add(ms(s.at))))
		synctest.Wait()
		labels := model.LabelSet{"alertname": model.LabelValue(s.name), "namespace": model.LabelValue(s.namespace)}
		if err := provider.Put(t.Context(), &alert.Alert{UpdatedAt: time.Now(), Alert: model.Alert{
			Labels: labels, StartsAt: start.Add(ms(s.startsAt)), EndsAt: start.Add(ms(s.endsAt)),
		}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
	time.Sleep(time.Until(start.Add(long)))
	synctest.Wait()
	dispatcher.Stop()
	provider.Close()
	slices.Sort(got.notified)
	return got.notified
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// receiving is the receiver, as a stage between Alertmanager's own.
type receiving struct {
	start time.Time

	mu       sync.Mutex
	notified []string
}

// SendResolved is send_resolved of the receiver.
func (r *receiving) SendResolved() bool { return true }

func (r *receiving) Exec(
	ctx context.Context, _ *slog.Logger, alerts ...*alert.Alert,
) (context.Context, []*alert.Alert, error) {
	if len(alerts) == 0 {
		return ctx, nil, nil
	}
	now, _ := notify.Now(ctx)
	reason, _ := notify.NotificationReason(ctx)
	labels, _ := notify.GroupLabels(ctx)
	var names []string
	for _, a := range alerts {
		if name := string(a.Labels["alertname"]); a.ResolvedAt(now) {
			names = append(names, "-"+name)
		} else {
			names = append(names, "+"+name)
		}
	}
	slices.Sort(names)
	at := now.Sub(r.start).Milliseconds()
	text := fmt.Sprintf("%d %s %s: %s", at, labels["namespace"], strings.Join(names, " "), reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notified = append(r.notified, text)
	return ctx, alerts, nil
}
