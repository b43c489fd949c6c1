package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// What TestConcurrency sends.
const (
	crowdPods    = 8
	crowdGroups  = 5
	crowdAlerts  = 400 // For each group.
	crowdWorkers = 32
)

// TestConcurrency: eight functions on one Redis and one API server get 2,000 alerts of five groups in random order,
// each one to three times, then resolutions among late firing notifications. There is one storm a group, its counts are
// exact, its revision never goes back, and the writes stay within the flush interval's bound.
func TestConcurrency(t *testing.T) {
	random := rand.New(rand.NewPCG(seed(t), 0))
	pods := make([]*pod, crowdPods)
	for i := range pods {
		pods[i] = launchPod(t)
	}
	for _, p := range pods {
		p.awaitReady(t)
	}
	c := &crowd{scene: newScene(t, pods[0]), pods: pods, random: random, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: crowdWorkers}, Timeout: 30 * time.Second,
	}}
	defer c.client.CloseIdleConnections()
	seen := watchIncidents(t, c.scene)
	before := cluster.IncidentRequests(t)

	// Every alert fires.
	firing := c.words("firing", 0, crowdAlerts)
	began := time.Now()
	c.deliver(firing, 1, 3)
	bound := c.await(crowdAlerts, 0, began)

	// Some end, while earlier firing notifications are delivered again.
	resolved := c.words("resolved", 0, 150)
	began = time.Now()
	c.deliver(append(resolved, c.sample(firing, 500)...), 1, 3)
	bound += c.await(crowdAlerts-150, 150, began)

	// All end, and what was said before comes again.
	began = time.Now()
	c.deliver(
		append(append(c.words("resolved", 150, crowdAlerts), c.sample(firing, 300)...), c.sample(resolved, 100)...),
		1,
		2,
	)
	bound += c.await(0, crowdAlerts, began)

	storms := map[string]v1alpha1.Incident{}
	others := 0
	items := c.scene.list()
	for _, i := range items {
		if i.Status.Type == v1alpha1.TypeStorm {
			require.NotContains(t, storms, i.Spec.AlertName, "two storms of one group: %s", summary(items))
			storms[i.Spec.AlertName] = i
		}
	}
	require.Len(t, storms, crowdGroups, summary(items))
	for _, i := range items {
		storm := storms[i.Spec.AlertName]
		if i.UID == storm.UID {
			require.Equal(t, v1alpha1.StateResolved, i.Status.State)
			require.Zero(t, i.Status.Reopened)
			continue
		}
		others++
		require.Equal(t, v1alpha1.StateAbsorbed, i.Status.State, summary(items))
		require.Equal(t, storm.Name, i.Status.AbsorbedBy)
	}

	writes := 0
	for name, revisions := range seen() {
		writes += len(revisions)
		for n := 1; n < len(revisions); n++ {
			require.Less(t, revisions[n-1], revisions[n], "%s: revisions in the order of the writes: %v", name, revisions)
		}
	}
	// The server counts a request just after its answer.
	var requests int
	eventually(t, 10*time.Second, func() error {
		if requests = cluster.IncidentRequests(t).Since(before).Writes(); requests < writes {
			return fmt.Errorf("%d of %d writes are counted", requests, writes)
		}
		return nil
	})
	// The opening of each storm, and create, status and absorption of every other object, are beside the interval.
	bound += 2*crowdGroups + 3*others
	t.Logf("%d deliveries, %d write requests of %d allowed, %d that changed something, %d objects absorbed",
		c.delivered, requests, bound, writes, others)
	require.LessOrEqual(t, requests, bound)

	for _, p := range pods {
		log, err := p.Log()
		require.NoError(t, err)
		require.NotContains(t, log, "DATA RACE")
	}
}

// crowd sends the same events to many pods.
type crowd struct {
	scene     *scene
	pods      []*pod
	random    *rand.Rand
	client    *http.Client
	delivered int
}

// word is an event as it is delivered, however often.
type word struct {
	header map[string]string
	body   []byte
}

func groupName(g int) string { return fmt.Sprintf("Crowd%d", g) }

// words are events about the alerts from one number up to another of every group.
func (c *crowd) words(status string, from, to int) []word {
	var out []word
	for g := range crowdGroups {
		for n := from; n < to; n++ {
			body, err := json.Marshal(c.scene.alert(groupName(g), fmt.Sprintf("web-%d", n), status))
			require.NoError(c.scene.t, err)
			out = append(out, word{ceHeader(typeAlert), body})
		}
	}
	return out
}

// sample are n of the words.
func (c *crowd) sample(words []word, n int) []word {
	var out []word
	for _, i := range c.random.Perm(len(words))[:n] {
		out = append(out, words[i])
	}
	return out
}

// deliver sends each word at least and at most so many times, each time to any pod, in any order, and expects every one
// to be taken.
func (c *crowd) deliver(words []word, least, most int) {
	c.scene.t.Helper()
	type delivery struct {
		word word
		pod  *pod
	}
	var all []delivery
	for _, w := range words {
		for range least + c.random.IntN(most-least+1) {
			all = append(all, delivery{w, c.pods[c.random.IntN(len(c.pods))]})
		}
	}
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	c.delivered += len(all)
	queue := make(chan delivery, len(all))
	for _, d := range all {
		queue <- d
	}
	close(queue)
	var workers sync.WaitGroup
	for range crowdWorkers {
		workers.Go(func() {
			for d := range queue {
				if err := c.send(d.pod, d.word); err != nil {
					c.scene.t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if c.scene.t.Failed() {
		c.scene.t.FailNow()
	}
}

func (c *crowd) send(p *pod, w word) error {
	r, err := http.NewRequestWithContext(c.scene.t.Context(), http.MethodPost, p.url, bytes.NewReader(w.body))
	if err != nil {
		return err
	}
	for k, v := range w.header {
		r.Header.Set(k, v)
	}
	response, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answer %s", response.Status)
	}
	return nil
}

// await waits until every group has one incident that is no part of another, with these counts, and returns how many
// flushes all groups together may have had since then.
func (c *crowd) await(firing, resolved int32, since time.Time) int {
	c.scene.t.Helper()
	sent := time.Since(since)
	want := v1alpha1.AlertCounts{Total: firing + resolved, Firing: firing, Resolved: resolved}
	items := c.scene.await(func(items []v1alpha1.Incident) error {
		done := map[string]bool{}
		for _, i := range items {
			if i.Status.State == v1alpha1.StateAbsorbed {
				continue
			}
			if i.Status.Alerts != want || done[i.Spec.AlertName] {
				return fmt.Errorf("want one incident a group with %+v, have %s", want, summary(items))
			}
			done[i.Spec.AlertName] = true
		}
		if len(done) != crowdGroups {
			return fmt.Errorf("want %d groups, have %s", crowdGroups, summary(items))
		}
		return nil
	})
	for _, i := range items {
		if i.Status.State == v1alpha1.StateAbsorbed {
			continue
		}
		require.EqualValues(c.scene.t, want.Total, i.Status.ResourceCount)
		require.Len(c.scene.t, i.Status.Resources, int(want.Total))
		require.Equal(c.scene.t, want.Firing, i.Status.Upkeep.Firing)
		members, err := base64.StdEncoding.DecodeString(i.Status.Upkeep.Members)
		require.NoError(c.scene.t, err)
		require.Len(c.scene.t, members, 8*int(want.Total))
		require.False(c.scene.t, i.Status.Truncated)
	}
	took := time.Since(since)
	c.scene.t.Logf(
		"%d/%d: sent in %s, written after %s",
		firing,
		resolved,
		sent.Round(time.Millisecond),
		took.Round(time.Millisecond),
	)
	return crowdGroups * flushes(took)
}

// flushes is how many times the default policy lets a group be written in that time: at its begin, then after 1 s, 2 s,
// 4 s, 8 s, and every 15 s; and once more when the last alert ends, which does not wait.
func flushes(d time.Duration) int {
	n := 2
	for interval, at := time.Second, time.Second; at <= d; n++ {
		interval = min(2*interval, 15*time.Second)
		at += interval
	}
	return n
}

// watchIncidents watches the scene's incidents as the administrator from now on. The returned function ends that and
// tells the revisions of every incident in the order in which they were written, a create counting as revision 0.
func watchIncidents(t *testing.T, s *scene) func() map[string][]int64 {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.Config)
	require.NoError(t, err)
	options := metav1.ListOptions{LabelSelector: v1alpha1.LabelAlertNamespace + "=" + s.namespace}
	resource := client.Resource(v1alpha1.SchemeGroupVersion.WithResource("incidents")).Namespace("stormfold")
	list, err := resource.List(t.Context(), options)
	require.NoError(t, err)
	require.Empty(t, list.Items)
	options.ResourceVersion = list.GetResourceVersion()
	ctx, cancel := context.WithCancel(t.Context())
	watcher, err := resource.Watch(ctx, options)
	require.NoError(t, err)

	revisions := map[string][]int64{}
	versions := map[string]string{}
	var mu sync.Mutex
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for event := range watcher.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok || event.Type != watch.Added && event.Type != watch.Modified {
				failed <- fmt.Errorf("unexpected %s in the watch: %+v", event.Type, event.Object)
				return
			}
			revision, _, err := unstructured.NestedInt64(object.Object, "status", "observedRevision")
			if err != nil {
				failed <- err
				return
			}
			mu.Lock()
			revisions[object.GetName()] = append(revisions[object.GetName()], revision)
			versions[object.GetName()] = object.GetResourceVersion()
			mu.Unlock()
		}
	}()
	return func() map[string][]int64 {
		t.Helper()
		items := s.list()
		eventually(t, 10*time.Second, func() error {
			mu.Lock()
			defer mu.Unlock()
			for _, i := range items {
				if versions[i.Name] != i.ResourceVersion {
					return fmt.Errorf("the watch has not seen version %s of %s", i.ResourceVersion, i.Name)
				}
			}
			return nil
		})
		select {
		case err := <-failed:
			require.NoError(t, err)
			require.Fail(t, "the watch has ended")
		default:
		}
		// The end of the watch may be an error of it.
		cancel()
		watcher.Stop()
		<-failed
		return revisions
	}
}

// seed is that of a random test: STORMFOLD_TESTBED_SEED repeats a run, as far as concurrency allows.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("STORMFOLD_TESTBED_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	require.NoError(t, err)
	t.Logf("STORMFOLD_TESTBED_SEED=%d", n)
	return n
}

// TestRollingRestart: all pods are replaced, one after the other, while alerts come in. Whoever sends them asks again
// when an answer is missing or no 2xx, as a Trigger does; what was answered 2xx is in the incident.
func TestRollingRestart(t *testing.T) {
	const kept = 3
	pods := make([]*pod, kept)
	for i := range pods {
		pods[i] = startPod(t)
	}
	s := newScene(t, pods[0])
	c := &crowd{scene: s, client: &http.Client{Timeout: 30 * time.Second}}
	var mu sync.Mutex
	anyPod := func(n int) *pod {
		mu.Lock()
		defer mu.Unlock()
		return pods[n%kept]
	}
	words := c.words("firing", 0, 200)
	replaced := make(chan struct{})
	var sent, retried, next atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(words); n = int(next.Add(1)) - 1 {
				for try := 0; ; try++ {
					err := c.send(anyPod(n+try), words[n])
					if err == nil {
						sent.Add(1)
						break
					}
					if t.Context().Err() != nil {
						return
					}
					retried.Add(1)
					time.Sleep(50 * time.Millisecond)
				}
				select {
				case <-replaced:
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	for i := range kept {
		fresh, old := startPod(t), anyPod(i)
		began := time.Now()
		// It ends while it is still sent to.
		require.NoError(t, old.Stop())
		require.NoError(t, old.Wait(), "a clean end")
		require.Less(t, time.Since(began), 8*time.Second)
		mu.Lock()
		pods[i] = fresh
		mu.Unlock()
	}
	t.Logf("%d of %d alerts sent while the pods were replaced, %d tries failed", sent.Load(), len(words), retried.Load())
	close(replaced)
	senders.Wait()
	s.await(func(items []v1alpha1.Incident) error {
		done := 0
		for _, i := range items {
			if i.Status.State == v1alpha1.StateAbsorbed {
				continue
			}
			if i.Status.Alerts != (v1alpha1.AlertCounts{Total: 200, Firing: 200}) {
				return fmt.Errorf("have %s", summary(items))
			}
			done++
		}
		if done != crowdGroups {
			return fmt.Errorf("have %s", summary(items))
		}
		return nil
	})
}
