package faults

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/test/testbed"
)

// policies have times that fit a test: much is written, nothing ends by itself.
const policies = `
policies:
- name: faults
  groupBy: [namespace, alertname]
  threshold: 5
  window: 1m
  quiet: 1h
  maxDuration: 2h
  cooldown: 10m
  retention: 1h
  flush: {min: 100ms, max: 1s}
outages:
- name: racks
  groupBy: [rack]
  threshold: 2
  window: 1h
  cooldown: 10m
  retention: 1h
  flush: {min: 100ms, max: 1s}
`

// bed is what one fault is tested on: a namespace, a Redis, functions, and a sender with its journal.
type bed struct {
	t         testing.TB
	cluster   *testbed.Cluster
	namespace string                 // Of the incidents.
	home      string                 // Of the functions' ServiceAccount.
	incidents projector.Incidents    // As the administrator.
	redis     *testbed.RedisServer   // The only server; nil with Sentinel or Cluster.
	sentinel  *testbed.RedisSentinel // Nil when the fault wants none.
	ring      *testbed.RedisCluster  // Nil when the fault wants none.
	tls       *testbed.RedisTLS      // Nil when the fault wants none.
	clock     *testbed.WallClock     // Of the only server; nil when it is this machine's.
	data      redis.UniversalClient  // Whatever it is, for a look at it.
	options   string                 // Of the functions' URL of Redis.
	proxy     *Proxy                 // Between the functions and Redis; nil when the fault wants none.
	api       *APIProxy              // Between the functions and the API server; nil when the fault wants none.
	other     *rest.Config           // Whoever shares the functions' level at the API server; nil when nobody does.
	program   string                 // The functions' program when it is not that of all tests.
	policies  string                 // The functions' policies file.
	pods      []*pod
	journal   *Journal
	sender    *sender
}

// newBed sets all of it up, but for the functions.
func newBed(t testing.TB, c *testbed.Cluster, f fault) *bed {
	b := &bed{t: t, cluster: c, namespace: c.CreateNamespace(t, "faults-"), journal: NewJournal()}
	b.home = b.namespace
	if f.apart {
		b.home = c.CreateNamespace(t, "functions-")
	}
	b.authorize()
	b.policies = filepath.Join(t.TempDir(), "policies.yaml")
	b.setPolicies(cmp.Or(f.policies, policies))
	var err error
	b.incidents, err = projector.NewClient(c.Config, 10*time.Second, 1000, 1000)
	require.NoError(t, err)
	b.startRedis(f)
	if f.proxy {
		target := b.redis.Addr
		if b.tls != nil {
			target = b.tls.Addr
		}
		b.proxy, err = NewProxy(target)
		require.NoError(t, err)
		t.Cleanup(b.proxy.Close)
	}
	if f.api {
		b.api, err = NewAPIProxy(c.Config)
		require.NoError(t, err)
		t.Cleanup(b.api.Close)
	}
	return b
}

// authorize gives the functions' ServiceAccount what deploy/rbac gives that of the namespace stormfold.
func (b *bed) authorize() {
	b.t.Helper()
	var role rbacv1.Role
	raw, err := os.ReadFile(filepath.Join(root, "deploy/rbac/role.yaml"))
	require.NoError(b.t, err)
	require.NoError(b.t, yaml.UnmarshalStrict(raw, &role))
	_, err = b.cluster.Client.RbacV1().Roles(b.namespace).Create(b.t.Context(), &role, metav1.CreateOptions{})
	require.NoError(b.t, err)
	b.bind()
}

const bindingName = "stormfold"

func (b *bed) bind() {
	b.t.Helper()
	_, err := b.cluster.Client.RbacV1().RoleBindings(b.namespace).Create(b.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: bindingName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "stormfold"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "stormfold", Namespace: b.home}},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
}

// pod is a function, on the same address however often it is started.
type pod struct {
	*testbed.Process
	url     string
	command testbed.Command
	mu      sync.Mutex
}

// addPods starts that many functions; env comes on top.
func (b *bed) addPods(n int, env ...string) {
	b.t.Helper()
	kubeconfig := b.kubeconfig()
	if b.tls != nil {
		env = append([]string{"SSL_CERT_FILE=" + b.tls.CA}, env...)
	}
	for range n {
		listen := fmt.Sprintf("127.0.0.1:%d", testbed.Port(b.t))
		p := &pod{url: "http://" + listen, command: testbed.Command{
			Name: "stormfold", Path: cmp.Or(b.program, program), Dir: b.t.TempDir(), Env: append([]string{
				"LISTEN_ADDRESS=" + listen, "STORMFOLD_METRICS_ADDRESS=off", "STORMFOLD_REDIS_URL=" + b.redisURL(),
				"STORMFOLD_NAMESPACE=" + b.namespace, "STORMFOLD_POLICIES=" + b.policies, "KUBECONFIG=" + kubeconfig,
				"STORMFOLD_SWEEP_INTERVAL=1s", "STORMFOLD_LEASE=5s", "STORMFOLD_REQUEST_TIMEOUT=5s",
			}, env...),
		}}
		require.NoError(b.t, p.start())
		b.pods = append(b.pods, p)
		b.t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				b.t.Errorf("stopping a function: %v", err)
			}
			p.LogOnFailure(b.t)
			log, err := p.Log()
			if err != nil || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
				b.t.Errorf("a data race or a panic in the function, or no log of it (%v):\n%s", err, log)
			}
		})
	}
}

// setPolicies changes the functions' policies file, which they look at in their own time.
func (b *bed) setPolicies(text string) {
	b.t.Helper()
	next := b.policies + ".next"
	require.NoError(b.t, os.WriteFile(next, []byte(text), 0o644))
	require.NoError(b.t, os.Rename(next, b.policies))
}

// kubeconfig is the functions' way to the API server.
func (b *bed) kubeconfig() string {
	b.t.Helper()
	path := b.cluster.ServiceAccountKubeconfig(b.t, b.home, "stormfold")
	if b.api == nil {
		return path
	}
	config, err := clientcmd.LoadFromFile(path)
	require.NoError(b.t, err)
	for _, c := range config.Clusters {
		c.Server, c.CertificateAuthorityData = b.api.URL(), b.api.CA()
	}
	require.NoError(b.t, clientcmd.WriteToFile(*config, path))
	return path
}

// start starts the function's process, again when it has ended.
func (p *pod) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	process, err := testbed.StartProcess(p.command)
	if err != nil {
		return err
	}
	p.Process = process
	return nil
}

func (p *pod) ready(ctx context.Context) error { return p.health(ctx, "readiness") }

// health asks func-go: readiness or liveness.
func (p *pod) health(ctx context.Context, which string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/health/"+which, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", which, response.Status)
	}
	return nil
}

func (b *bed) awaitReady() {
	b.t.Helper()
	for _, p := range b.pods {
		b.await(30*time.Second, func() error { return p.ready(b.t.Context()) })
	}
}

// load sets up the sender of a test.
func (b *bed) load(every time.Duration) {
	var urls []string
	for _, p := range b.pods {
		urls = append(urls, p.url)
	}
	seed := rand.Uint64()
	b.t.Logf("seed of the load: %d", seed)
	b.sender = newSender(Load{
		Namespace: b.namespace, URLs: urls, Storms: 8, StormAlerts: 24, Singles: 6, Every: every, Tries: 300, Seed: seed,
	}, b.journal)
	b.t.Cleanup(b.sender.client.CloseIdleConnections)
}

// list are the bed's incidents.
func (b *bed) list(ctx context.Context) ([]v1alpha1.Incident, error) {
	list, err := b.incidents.List(ctx, b.namespace, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// settled waits until nothing is lost, doubled or wrong any more and nothing is due in Redis, and returns when the
// former was first so. What still changes then is judged at the end: the verdict is that of a last look.
func (b *bed) settled(within time.Duration) (Verdict, time.Time) {
	b.t.Helper()
	var v Verdict
	var clean time.Time
	deadline := time.Now().Add(within)
	look := func() error {
		items, err := b.list(b.t.Context())
		if err != nil {
			return err
		}
		v = Check(b.journal, items)
		return v.Err()
	}
	for {
		err := look()
		if err == nil && clean.IsZero() {
			clean = time.Now()
		}
		if err == nil {
			err = b.nothingDue()
		}
		if err == nil {
			_ = look() // The verdict holds what it says.
			return v, clean
		}
		if time.Now().After(deadline) {
			b.t.Logf("not settled after %s: %v", within, err)
			return v, clean
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// nothingDue looks into the due indexes of all shards.
func (b *bed) nothingDue() error {
	now, err := b.data.Time(b.t.Context()).Result()
	if err != nil {
		return err
	}
	for shard := range aggregator.Shards {
		n, err := b.data.ZCount(b.t.Context(), fmt.Sprintf("{sf:%02d}:due", shard), "-inf", fmt.Sprint(now.UnixMilli())).
			Result()
		if err != nil && err != redis.Nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%d groups of shard %d are due", n, shard)
		}
	}
	return nil
}

// await polls until check succeeds, and fails with its last error when time is up.
func (b *bed) await(within time.Duration, check func() error) {
	b.t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Errorf("after %s: %v", within, err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// taken begins every answer that means that an event was taken.
const taken = "2"

// answers counts the answers that begin like that.
func (b *bed) answers(prefix string) int {
	sum := 0
	for answer, n := range b.journal.Answers() {
		if strings.HasPrefix(answer, prefix) {
			sum += n
		}
	}
	return sum
}

// awaitAnswers waits for so many more answers that begin like that.
func (b *bed) awaitAnswers(prefix string, more int) {
	b.t.Helper()
	from := b.answers(prefix)
	b.await(20*time.Second, func() error {
		if n := b.answers(prefix) - from; n < more {
			return fmt.Errorf("%d of %d answers %q came", n, more, prefix)
		}
		return nil
	})
}
