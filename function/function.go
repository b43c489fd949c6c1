package function

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/config"
	"github.com/stormfold/stormfold/internal/projector"
	"github.com/stormfold/stormfold/internal/tracing"
)

// Function is what func-go serves: one instance per process.
type Function struct {
	// Parts replaces real servers with embedded ones; empty in production.
	Parts Parts

	// log and traces replace the configured ones in tests.
	log    *zap.SugaredLogger
	traces *tracing.Tracing

	pod     atomic.Pointer[pod]
	stopped atomic.Bool
}

// Parts replace Redis and Kubernetes for a trial without servers.
type Parts struct {
	// Redis is a client of an in-process Redis that knows no script flags.
	Redis redis.UniversalClient
	// Incidents is a Kubernetes API of incidents only.
	Incidents projector.Incidents
}

// New returns a function that has not started.
func New() *Function { return &Function{} }

// pod is a started function.
type pod struct {
	settings   *config.Settings
	policies   *config.Source
	aggregator *aggregator.Aggregator
	projector  *projector.Projector
	scheduler  *scheduler
	limiter    limiter
	breaker    *breaker
	passed     passed
	kinds      openKinds
	fold       foldFunc
	periods    periodWarnings
	metrics    *metrics
	traces     *tracing.Tracing
	log        *zap.SugaredLogger
	source     string

	stop    context.CancelFunc
	loops   sync.WaitGroup
	closers []func() error
}

// Start parses the settings, connects, and returns when the function can take events. An error stops the process: it is
// one sentence that names the wrong setting or what is missing. Start waits for a Redis that cannot be reached.
func (f *Function) Start(ctx context.Context, data map[string]string) error {
	settings, err := config.Parse(data)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &pod{
		settings: settings, log: newLogger(settings.LogLevel), metrics: newMetrics(), stop: stop,
		source: "/stormfold/" + settings.Namespace,
	}
	if f.log != nil {
		p.log = f.log
	}
	redis.SetLogger(redisLog{p.log})
	if err := p.startTraces(f.traces); err != nil {
		return errors.Join(err, p.close())
	}
	p.policies, err = config.NewSource(settings.Policies, settings.PoliciesReload,
		p.metrics.policiesBroken(p.log), p.metrics.policiesLoaded(p.log))
	if err != nil {
		return errors.Join(fmt.Errorf("STORMFOLD_POLICIES: %w", err), p.close())
	}
	if err := p.connect(ctx, f.Parts); err != nil {
		return errors.Join(err, p.close())
	}
	p.scheduler = newScheduler(settings.Projections, p.project)
	p.limiter = newLimiter(settings.Concurrency)
	p.passed.slots = newLimiter(settings.Projections)
	p.oweAll()
	p.fold = p.foldStages()
	p.metrics.watch(p)
	if err := p.serveMetrics(); err != nil {
		return errors.Join(err, p.close())
	}
	p.firstImport(ctx)
	p.loops.Go(func() { p.sweepLoop(ctx) })
	p.loops.Go(func() { p.policies.Run(ctx) })
	f.pod.Store(p)
	p.log.Infow("ready", "namespace", settings.Namespace, "policies", len(p.policies.Current().List))
	return nil
}

// connect creates the clients and checks the servers.
func (p *pod) connect(ctx context.Context, parts Parts) error {
	rdb := parts.Redis
	if rdb == nil {
		var err error
		if rdb, err = p.settings.NewRedis(); err != nil {
			return err
		}
		p.closers = append(p.closers, rdb.Close)
	}
	p.metrics.watchRedis(rdb)
	p.aggregator = aggregator.New(aggregator.Options{
		Redis: rdb, Prefix: p.settings.RedisPrefix, Lease: p.settings.Lease, Resync: p.settings.ResyncInterval,
		Embedded: parts.Redis != nil, Namespace: p.settings.Namespace,
		Outages: func() []config.Outage { return p.policies.Current().Outages },
		Woken: func(group string, due time.Time) {
			if wait := due.Sub(p.aggregator.Now()); wait <= p.settings.SweepInterval { // The sweep finds later ones.
				p.scheduler.schedule(group, time.Now().Add(wait), "", cause{})
			}
		},
		// An answer after the client's own timeout would count as a broken connection.
		Replicas: p.settings.RedisWaitReplicas, ReplicaTimeout: p.settings.RedisTimeout / 2,
	})
	_, clustered := rdb.(*redis.ClusterClient)
	p.breaker = newBreaker(clustered, p.settings.RedisBreaker, func(shard string, open bool) {
		if open {
			p.log.Warnw("Redis does not answer: events are refused at once", "shard", shard)
		} else {
			p.log.Infow("Redis answers again", "shard", shard)
		}
	})
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := p.aggregator.Load(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, aggregator.ErrUnavailable) && !errors.Is(err, aggregator.ErrTimeout) {
			return err
		}
		p.log.Warnw(
			"waiting for Redis; STORMFOLD_REDIS_URL says where it is, and by its scheme, redis:// or rediss://, whether it "+
				"speaks TLS",
			"error",
			err,
		)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	warnings, err := p.aggregator.Warnings(ctx)
	if err != nil {
		p.log.Warnw("the settings of Redis cannot be read", "error", err)
	}
	for _, warning := range warnings {
		p.log.Warnw("Redis may lose data: " + warning)
	}
	incidents := parts.Incidents
	if incidents == nil {
		kube, err := p.kubeConfig()
		if err != nil {
			return err
		}
		incidents, err = projector.NewClient(kube, p.settings.KubeTimeout, float32(p.settings.KubeQPS), p.settings.KubeBurst)
		if err != nil {
			return err
		}
	}
	p.projector = projector.New(projector.Options{
		Incidents: incidents, Timeout: p.settings.KubeTimeout, Fallback: p.settings.Namespace, Observe: p.metrics.kubeCall,
		Skipped: func(incident string, err error) {
			p.log.Warnw("incident not imported: it was changed by hand", "incident", incident, "error", err)
		},
	})
	err = p.projector.Check(ctx, p.importNamespace())
	if errors.Is(err, projector.ErrNotAllowed) {
		return err
	}
	if err != nil {
		// Events are safe in Redis without Kubernetes, so they are not refused.
		p.log.Warnw("the API server does not answer; incidents are written when it does", "error", err)
	}
	return nil
}

// kubeConfig is the configuration of the Kubernetes client: the file named by KUBECONFIG, or the pod's ServiceAccount.
func (p *pod) kubeConfig() (*rest.Config, error) {
	if path := p.settings.Kubeconfig; path != "" {
		c, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			return nil, fmt.Errorf("KUBECONFIG: %q is not a usable kubeconfig file: %w", path, err)
		}
		return c, nil
	}
	c, err := rest.InClusterConfig()
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG is not set, and this is not a pod with a ServiceAccount: %w", err)
	}
	return c, nil
}

// serveMetrics listens on an address of its own: func-go's mux owns the root and the health paths.
func (p *pod) serveMetrics() error {
	if p.settings.MetricsAddress == "" {
		return nil
	}
	listener, err := net.Listen("tcp", p.settings.MetricsAddress)
	if err != nil {
		return fmt.Errorf("STORMFOLD_METRICS_ADDRESS: cannot listen on %q: %w", p.settings.MetricsAddress, err)
	}
	server := &http.Server{Handler: p.metrics.set.Handler(), ReadHeaderTimeout: 5 * time.Second}
	p.loops.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.Errorw("metrics server ended", "error", err)
		}
	})
	p.closers = append(p.closers, server.Close)
	return nil
}

// Ready reports whether events are accepted.
func (f *Function) Ready(context.Context) (bool, error) { return f.pod.Load() != nil, nil }

// Alive reports whether the process works. It does not check the servers: a restart would not fix them.
func (f *Function) Alive(context.Context) (bool, error) { return true, nil }

// Stop writes what this pod has scheduled and closes the connections. func-go has stopped accepting requests before.
// What cannot be written before the context ends stays due in Redis.
func (f *Function) Stop(ctx context.Context) error {
	f.stopped.Store(true)
	p := f.pod.Swap(nil)
	if p == nil {
		return nil
	}
	p.stop()
	drained := make(chan struct{})
	go func() {
		p.scheduler.drain()
		close(drained)
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = fmt.Errorf("stopping with %d groups not written, which another pod writes: %w", p.scheduler.size(), ctx.Err())
	}
	return errors.Join(err, p.close())
}

// close ends the loops and closes what was opened.
func (p *pod) close() error {
	p.stop()
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c())
	}
	p.loops.Wait()
	_ = p.log.Sync() // Standard error cannot always be synced.
	return errors.Join(errs...)
}
