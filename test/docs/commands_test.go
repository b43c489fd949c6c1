package docs

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// elsewhere are the commands that cannot run here, with the reason.
var elsewhere = map[string]string{
	"for name in stormfold alertmanager-source dead-letters; do kind load image-archive bin/image/$name.tar; done":                           "The nodes of kind are containers.",
	"skopeo copy --all oci:bin/image/stormfold:v0.1.0 docker://REGISTRY/stormfold:v0.1.0     # the others likewise":                          "It needs a registry.",
	"func deploy --namespace stormfold --registry REGISTRY":                                                                                  "It needs a registry.",
	"kubectl -n knative-eventing port-forward svc/broker-ingress 8081:80 &":                                                                  "Without a node there is no pod to forward to; the test listens in its place.",
	"kubectl -n stormfold logs deploy/stormfold-source":                                                                                      "Without a node there is no pod with a log.",
	"kubectl -n stormfold logs -l serving.knative.dev/service=stormfold -c user-container --tail=-1":                                         "Without a node there is no pod with a log.",
	"kubectl -n stormfold logs deploy/stormfold-dead-letters":                                                                                "Without a node there is no pod with a log.",
	"kubectl -n stormfold logs deploy/stormfold-dead-letters | kubectl stormfold redeliver --to http://127.0.0.1:8081/stormfold/stormfold -": "Without a node there is no pod with a log; the tests of stormctl redeliver.",
}

const (
	run    = "make run"
	forget = `redis-cli --scan --pattern '{sf:[0-9][0-9]}:*' | xargs -r redis-cli DEL`
	watch  = "kubectl -n stormfold get incidents --watch"
)

// endless are the commands that go on until they are stopped.
var endless = []string{run, watch, "kubectl stormfold record night.jsonl --listen 127.0.0.1:9096"}

// tour is the order of the sections with commands: installations come one after the other in one cluster. Those behind
// an installation are tried on it.
var tour = []string{
	"README.md#Try it",
	"README.md#Choose a threshold from your own alerts",
	"README.md#In a cluster",
	"docs/install.md#Images",
	"docs/install.md#A trial",
	"docs/events.md#Dead letters",
	"docs/incidents.md#Selecting and waiting",
	"docs/stormctl.md#The command line",
	"docs/stormctl.md#Record",
	"docs/stormctl.md#Replay",
	"docs/stormctl.md#Notifications from Alertmanager",
	"docs/stormctl.md#For scripts",
	"docs/stormctl.md#Checking a policies file",
	"docs/stormctl.md#Explaining an alert",
	"docs/stormctl.md#Explaining an outage",
	"docs/stormctl.md#Drawing an incident",
	"docs/stormctl.md#Redeliver",
	"docs/troubleshooting.md#1. Is it part of another incident?",
	"docs/troubleshooting.md#2. What do the policies make of it?",
	"docs/troubleshooting.md#4. Does the source accept it?",
	"docs/troubleshooting.md#5. Does the Broker deliver it?",
	"docs/troubleshooting.md#6. Does the function accept it?",
	"docs/install.md#Uninstall",
	"docs/install.md#Production",
	"docs/install.md#Another Redis",
	"docs/install.md#A highly available Redis",
	"docs/install.md#With the func CLI",
	"docs/install.md#Upgrade",
}

// before and during are further actions for a command, by its text: what a real cluster does, or someone in
// another terminal.
var (
	before = map[string]func(*bed, *testing.T){
		"kubectl -n stormfold wait --for=condition=Ready ksvc/stormfold broker/stormfold trigger/stormfold --timeout=3m": (*bed).makeReady,
		"kubectl -n stormfold wait --for=condition=Resolved inc/kube-node-not-ready-y23hcjqe7o":                          (*bed).resolveIncident,
		forget: (*bed).stopFunction,
		"broker=http://127.0.0.1:8081/stormfold/stormfold": (*bed).serveBroker,
	}
	during = map[string]func(*bed, *testing.T){watch: (*bed).storm}
	after  = map[string]func(*bed, *testing.T){
		"kubectl apply -k deploy/trial": (*bed).serveFunction,
		forget:                          (*bed).expectEmptyRedis,
	}
)

// TestCommands runs every command of the pages, and compares what it prints with what the page shows.
func TestCommands(t *testing.T) {
	sections, b := extract(t), newBed(t)
	var found []string
	for _, section := range tour {
		all := sections[section]
		require.NotEmpty(t, all, "%s has no commands", section)
		delete(sections, section)
		env := b.env
		if section == "README.md#Try it" {
			env = b.bare
		}
		t.Run(section, func(t *testing.T) {
			s := b.shell(t, env)
			for _, c := range all {
				found = append(found, c.text)
				if elsewhere[c.text] == "" {
					b.try(t, s, c)
				}
			}
		})
		if t.Failed() {
			return // The sections behind it build on it.
		}
	}
	require.Empty(t, sections, "these sections have commands, and no place in the tour")
	for text := range elsewhere {
		require.Contains(t, found, text, "no page has this command any more")
	}
}

func (b *bed) try(t *testing.T, s shell, c command) {
	t.Helper()
	if f := before[c.text]; f != nil {
		f(b, t)
	}
	if slices.Contains(endless, c.text) {
		b.follow(t, s, c)
		return
	}
	if c.text == "make image" && b.imagesMade { // Once is enough: it takes long.
		return
	}
	b.imagesMade = b.imagesMade || c.text == "make image"
	began := time.Now()
	printed := s.run(t, c.text)
	t.Logf("%s: %.1f s", c.text, time.Since(began).Seconds())
	if len(c.prints) > 0 {
		require.Regexp(t, shown(c.prints, false), printed, "%s: %s", c.at, c.text)
	}
	if f := after[c.text]; f != nil {
		f(b, t)
	}
}

// follow starts a command that goes on, and awaits what it shows at once; the rest has to be there when the section
// ends, and what else is done while it runs.
func (b *bed) follow(t *testing.T, s shell, c command) {
	t.Helper()
	process := s.start(t, c.text)
	prints := func(lines []string, within time.Duration) {
		t.Helper()
		want := shown(lines, true)
		printed := func() string {
			log, err := process.Log()
			require.NoError(t, err)
			return log
		}
		for deadline := time.Now().Add(within); !want.MatchString(printed()) && process.Running() &&
			time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
		require.Regexp(t, want, printed(), "%s: %s", c.at, c.text)
	}
	switch f := during[c.text]; {
	case f != nil:
		f(b, t)
	case len(c.prints) > 0:
		prints(c.prints[:1], 2*time.Minute)
	}
	t.Cleanup(func() {
		prints(c.prints, 30*time.Second)
		if c.text == watch {
			prints(
				[]string{"...", "kube-pod-crash-looping-lnqbpcklvf Storm Firing critical 15 15 1s Deployment/shop/checkout"},
				30*time.Second,
			)
		}
		require.True(t, process.Running(), "%s has ended", c.text)
	})
}

// serveBroker replaces the port-forward to the Broker, and the Broker: events go to the function.
func (b *bed) serveBroker(t *testing.T) {
	var listener net.Listener
	require.Eventually(t, func() (ok bool) {
		var err error
		listener, err = net.Listen("tcp", "127.0.0.1:8081")
		return err == nil
	}, time.Minute, 100*time.Millisecond, "127.0.0.1:8081 is taken")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: b.function, Path: "/"}
		},
		// A Broker has the event before the function has it, and its answer says no more than that.
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusOK {
				r.StatusCode = http.StatusAccepted
			}
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("POST /stormfold/stormfold", proxy)
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }() // Its error is that it was closed.
	t.Cleanup(func() { require.NoError(t, server.Close()) })
}

// serveFunction replaces the pod of the function.
func (b *bed) serveFunction(t *testing.T) {
	cluster.WaitCRD(t, "incidents.stormfold.io")
	if b.pod != nil && b.pod.Running() {
		return
	}
	b.pod = b.shell(b.t, b.env).start(b.t, "DEV_KUBECONFIG=$KUBECONFIG go run ./cmd/dev run")
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + b.function + "/health/readiness")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 2*time.Minute, 50*time.Millisecond)
}

// storm is what someone sends in another terminal.
func (b *bed) storm(t *testing.T) { b.shell(t, b.env).run(t, "make storm") }

// makeReady replaces Knative's controllers.
func (b *bed) makeReady(t *testing.T) {
	for _, object := range []string{"ksvc/stormfold", "broker/stormfold", "trigger/stormfold"} {
		cluster.Kubectl(t, "--namespace=stormfold", "patch", object, "--subresource=status", "--type=merge", "--patch",
			`{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}`)
	}
}

// resolveIncident makes the incident that the page waits for.
func (b *bed) resolveIncident(t *testing.T) {
	const name = "kube-node-not-ready-y23hcjqe7o"
	_, err := cluster.RunKubectl(t.Context(), fmt.Sprintf(`{"apiVersion": "stormfold.io/v1alpha1", "kind": "Incident",
		"metadata": {"name": %q, "namespace": "stormfold"}, "spec": {"policy": "nodes", "alertName": "KubeNodeNotReady"}}`, name), "create", "--filename=-")
	require.NoError(t, err)
	cluster.Kubectl(
		t,
		"--namespace=stormfold",
		"patch",
		"inc/"+name,
		"--subresource=status",
		"--type=merge",
		"--patch",
		`{"status": {"conditions": [{"type": "Resolved", "status": "True", "reason": "AllResolved", "message": "over", "lastTransitionTime": "2026-03-01T10:16:00Z"}]}}`,
	)
}

func (b *bed) stopFunction(t *testing.T) {
	require.NoError(t, b.pod.Stop())
	keys, err := b.redis.Client().DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.NotZero(t, keys)
}

func (b *bed) expectEmptyRedis(t *testing.T) {
	keys, err := b.redis.Client().DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.Zero(t, keys)
}
