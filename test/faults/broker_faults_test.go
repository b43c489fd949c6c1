package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/test/testbed"
)

// brokerFaults are those of Knative's broker. They bring controllers into their cluster, which no other fault expects.
var brokerFaults = []fault{
	{
		name: "Redis away longer than the Broker tries, dead letters sent again", long: true, alone: true, redis: always,
		during: func(b *bed) {
			k := b.deliverByBroker()
			r := b.report(append(k.Env(), "K_SINK="+k.BrokerURL(b.namespace, "stormfold"))...)
			r.beforeOutage()
			assert.NoError(b.t, b.redis.Kill())
			k.awaitLetters(r.inOutage(true))
			assert.NoError(b.t, b.redis.Start())
			b.awaitTakes()
			// In any order, and twice.
			k.redeliver()
			k.redeliver()
		},
	},
}

// broker is Knative's, with what deploy/eventing has of Stormfold.
type broker struct {
	*testbed.EventingServer
	bed     *bed
	letters *testbed.Process
}

// patience has the Broker give up after a second and a half in place of 17 minutes, and the function be a Service of
// Kubernetes, since there is no Knative Serving here.
const patience = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: %s
resources: [%s]
patches:
- target: {kind: Broker, name: stormfold}
  patch: |-
    - {op: replace, path: /spec/delivery/retry, value: 3}
    - {op: replace, path: /spec/delivery/backoffPolicy, value: linear}
    - {op: replace, path: /spec/delivery/backoffDelay, value: PT0.25S}
- target: {kind: Trigger, name: stormfold}
  patch: |-
    - {op: replace, path: /spec/subscriber/ref, value: {apiVersion: v1, kind: Service, name: stormfold}}
`

// deliverByBroker starts Knative Eventing, and returns when events get from the Broker to the functions.
func (b *bed) deliverByBroker() *broker {
	b.t.Helper()
	k := &broker{EventingServer: testbed.Eventing(b.t, b.cluster), bed: b}
	eventing, err := filepath.Abs(filepath.Join(root, "deploy/eventing"))
	require.NoError(b.t, err)
	overlay, err := filepath.EvalSymlinks(b.t.TempDir()) // kustomize goes by the real path, and takes no absolute one.
	require.NoError(b.t, err)
	eventing, err = filepath.Rel(overlay, eventing)
	require.NoError(b.t, err)
	require.NoError(
		b.t,
		os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), fmt.Appendf(nil, patience, b.namespace, eventing), 0o644),
	)
	b.cluster.Apply(b.t, overlay)

	binary, err := buildCommand("dead-letters", filepath.Join(b.t.TempDir(), "dead-letters"), raceFlag...)
	require.NoError(b.t, err)
	address := fmt.Sprintf("127.0.0.1:%d", testbed.Port(b.t))
	k.letters = k.RunDeployment(b.t, b.namespace, "stormfold-dead-letters", binary,
		"ADDRESS="+address, fmt.Sprintf("METRICS_ADDRESS=127.0.0.1:%d", testbed.Port(b.t)))
	k.Serve(b.t, b.namespace, "stormfold-dead-letters", "http://"+address)
	var urls []string
	for _, p := range b.pods {
		urls = append(urls, p.url)
	}
	k.Serve(b.t, b.namespace, "stormfold", testbed.Balance(b.t, urls...).URL)
	k.WaitBroker(b.t, b.namespace, "stormfold")
	return k
}

// awaitLetters waits until the dead letters contain all of that.
func (k *broker) awaitLetters(words []Word) {
	k.bed.t.Helper()
	k.bed.await(40*time.Second, func() error {
		log, err := k.letters.Log()
		if err != nil {
			return err
		}
		dead := map[told]bool{}
		for line := range strings.Lines(log) {
			var letter struct {
				Data struct{ Alerts []told }
			}
			if json.Unmarshal([]byte(line), &letter) == nil {
				for _, a := range letter.Data.Alerts {
					dead[a] = true
				}
			}
		}
		for _, w := range words {
			if !dead[told{w.Fingerprint, word(w.Firing)}] {
				return fmt.Errorf("no dead letter says that alert %s of %s is %s", w.Fingerprint, w.Group, word(w.Firing))
			}
		}
		return nil
	})
}

// awaitTakes waits until the functions reach Redis again: each takes an event about nothing.
func (b *bed) awaitTakes() {
	b.t.Helper()
	header := map[string]string{
		"Ce-Specversion": "1.0",
		"Ce-Type":        "dev.knative.sources.ping",
		"Ce-Source":      "/faults",
		"Ce-Id":          "tick",
	}
	for _, p := range b.pods {
		b.await(20*time.Second, func() error {
			if code, text := b.sender.post(b.t.Context(), p.url, header, []byte("{}")); code/100 != 2 {
				return fmt.Errorf("%d %s", code, text)
			}
			return nil
		})
	}
}

// redeliver sends the dead letters again, shuffled.
func (k *broker) redeliver() {
	b := k.bed
	b.t.Helper()
	log, err := k.letters.Log()
	require.NoError(b.t, err)
	lines := strings.Split(strings.TrimSpace(log), "\n")
	rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	stormctl, err := buildCommand("stormctl", filepath.Join(b.t.TempDir(), "stormctl"))
	require.NoError(b.t, err)
	cmd := exec.Command(stormctl, "redeliver", "--to", k.BrokerURL(b.namespace, "stormfold"), "-")
	cmd.Env = append(os.Environ(), k.Env()...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	var said bytes.Buffer
	cmd.Stderr = &said
	assert.NoError(b.t, cmd.Run(), "%s", &said)
	b.t.Logf("stormctl redeliver: %s", strings.TrimSpace(said.String()))
}
