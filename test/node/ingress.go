//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	ingressClass = "node.ingress.networking.knative.dev"
	ingressName  = "node-ingress"
)

var ingresses = schema.GroupVersionResource{
	Group:    "networking.internal.knative.dev",
	Version:  "v1alpha1",
	Resource: "ingresses",
}

// ingress is the networking layer of Serving for one node: it says of every Ingress that it is ready, and forwards
// requests by their Host. It knows no TLS and no paths.
type ingress struct {
	node   *node
	slices discoverylisters.EndpointSliceLister
	mu     sync.RWMutex
	routes map[string][]split // By host.
}

// split is a part of a route.
type split struct {
	Percent          int
	ServiceNamespace string
	ServiceName      string
	ServicePort      intstr.IntOrString
	AppendHeaders    map[string]string
}

// startIngress starts the networking layer and makes the Service by which pods find it. Serving's kinds have to be
// known.
func (n *node) startIngress(ctx context.Context) error {
	err := n.apply(ctx,
		map[string]any{
			"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": ingressName,
				"namespace": serving.namespace},
			"spec": map[string]any{"ports": []any{map[string]any{"name": "http", "port": 80}}},
		},
		map[string]any{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata": map[string]any{
				"name": ingressName, "namespace": serving.namespace,
				"labels": map[string]any{discoveryv1.LabelServiceName: ingressName},
			},
			"ports":     []any{map[string]any{"name": "http", "port": 80}},
			"endpoints": []any{map[string]any{"addresses": []any{nodeIP}, "conditions": map[string]any{"ready": true}}},
		})
	if err != nil {
		return err
	}
	i := &ingress{node: n, routes: map[string][]split{}}
	typed := informers.NewSharedInformerFactory(n.cluster.Client, 0)
	i.slices = typed.Discovery().V1().EndpointSlices().Lister()
	typed.Start(ctx.Done())
	typed.WaitForCacheSync(ctx.Done())
	dynamics := dynamicinformer.NewDynamicSharedInformerFactory(n.dynamic, 0)
	informer := dynamics.ForResource(ingresses).Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { i.update(ctx, informer.GetStore().List()) },
		UpdateFunc: func(any, any) { i.update(ctx, informer.GetStore().List()) },
		DeleteFunc: func(any) { i.update(ctx, informer.GetStore().List()) },
	})
	if err != nil {
		return err
	}
	dynamics.Start(ctx.Done())
	dynamics.WaitForCacheSync(ctx.Done())

	listener, err := net.Listen("tcp", nodeIP+":80")
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: i.proxy()}
	go func() { log.Print(server.Serve(listener)) }()
	return nil
}

// update takes over the routes of all Ingresses, and marks each as ready.
func (i *ingress) update(ctx context.Context, all []any) {
	routes := map[string][]split{}
	for _, object := range all {
		u := object.(*unstructured.Unstructured)
		var in struct {
			Spec struct {
				Rules []struct {
					Hosts []string
					HTTP  struct {
						Paths []struct {
							Headers       map[string]any
							AppendHeaders map[string]string
							Splits        []split
						}
					}
				}
			}
			Status struct{ ObservedGeneration int64 }
		}
		content, err := json.Marshal(u.Object)
		if err == nil {
			err = json.Unmarshal(content, &in)
		}
		if err != nil {
			log.Printf("ingress %s: %v", u.GetName(), err)
			continue
		}
		for _, rule := range in.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				if len(path.Headers) > 0 {
					continue
				}
				for _, host := range rule.Hosts {
					routes[host] = path.Splits
				}
			}
		}
		if in.Status.ObservedGeneration != u.GetGeneration() && u.GetDeletionTimestamp() == nil {
			if err := i.ready(ctx, u.DeepCopy()); err != nil {
				log.Printf("status of ingress %s: %v", u.GetName(), err)
			}
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.routes = routes
}

// ready writes the status of an Ingress.
func (i *ingress) ready(ctx context.Context, u *unstructured.Unstructured) error {
	var conditions []any
	for _, name := range []string{"Ready", "NetworkConfigured", "LoadBalancerReady"} {
		conditions = append(conditions, map[string]any{
			"type": name, "status": "True", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		})
	}
	balancer := map[string]any{"ingress": []any{map[string]any{
		"domainInternal": ingressName + "." + serving.namespace + ".svc.cluster.local",
	}}}
	u.Object["status"] = map[string]any{
		"observedGeneration": u.GetGeneration(), "conditions": conditions, "publicLoadBalancer": balancer,
		"privateLoadBalancer": balancer,
	}
	_, err := i.node.dynamic.Resource(ingresses).Namespace(u.GetNamespace()).UpdateStatus(ctx, u, metav1.UpdateOptions{})
	return err
}

// proxy forwards a request to one of the addresses of its route.
func (i *ingress) proxy() http.Handler {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			MaxIdleConnsPerHost: 1000,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true,
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			address, headers, err := i.route(r.In.Host)
			if err != nil { // The transport cannot dial it: the sender has 502 and the reason is in the log.
				address = "no-route.invalid"
				log.Printf("ingress: %v", err)
			}
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", address, r.In.Host
			r.SetXForwarded()
			for name, value := range headers {
				r.Out.Header.Set(name, value)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Printf("ingress: %s: %v", r.Host, err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// route picks an address for a request.
func (i *ingress) route(host string) (string, map[string]string, error) {
	host, _, _ = strings.Cut(host, ":")
	i.mu.RLock()
	splits := i.routes[host]
	i.mu.RUnlock()
	x := rand.IntN(100)
	for _, s := range splits {
		if x -= s.Percent; x >= 0 {
			continue
		}
		list, err := i.slices.EndpointSlices(s.ServiceNamespace).
			List(labels.Set{discoveryv1.LabelServiceName: s.ServiceName}.AsSelector())
		if err != nil {
			return "", nil, err
		}
		var addresses []string
		for _, slice := range list {
			for _, port := range slice.Ports {
				if port.Name == nil || port.Port == nil || *port.Name != "http" {
					continue
				}
				for _, endpoint := range slice.Endpoints {
					if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
						addresses = append(addresses, net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*port.Port))))
					}
				}
			}
		}
		if len(addresses) == 0 {
			return "", nil, fmt.Errorf("%s/%s has no addresses", s.ServiceNamespace, s.ServiceName)
		}
		return addresses[rand.IntN(len(addresses))], s.AppendHeaders, nil
	}
	return "", nil, fmt.Errorf("no route for %s", host)
}
