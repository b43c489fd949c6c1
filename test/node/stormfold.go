//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	namespace = "stormfold"
	// functionHost is how the ingress knows the function.
	functionHost = "stormfold.stormfold.svc.cluster.local"
	functionURL  = "http://" + nodeIP + "/"
	// functionPods selects the function's pods.
	functionPods = "serving.knative.dev/service=stormfold"
	redisPods    = "app.kubernetes.io/component=redis"
)

// deploy is a directory of deploy/.
func (n *node) deploy(name string) string { return filepath.Join(n.plan.Project, "deploy", name) }

// ready waits until objects of Stormfold's namespace are ready.
func (n *node) ready(ctx context.Context, objects ...string) error {
	for _, object := range objects {
		args := []string{"wait", "--for=condition=Ready", object}
		switch kind, _, _ := strings.Cut(object, "/"); kind {
		case "deployment", "deployment.apps", "statefulset", "statefulset.apps":
			args = []string{"rollout", "status", object}
		}
		if _, err := n.kubectl(ctx, append([]string{"--namespace", namespace, "--timeout=4m"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// generations are those of everything that works in the namespace.
func (n *node) generations(ctx context.Context) (string, error) {
	return n.kubectl(
		ctx,
		"--namespace",
		namespace,
		"get",
		workers+",networkpolicy",
		"--output",
		"custom-columns=KIND:.kind,NAME:.metadata.name,GENERATION:.metadata.generation",
	)
}

// patch changes an object of the namespace by a JSON merge patch.
func (n *node) patch(ctx context.Context, object, patch string) error {
	_, err := n.kubectl(ctx, "--namespace", namespace, "patch", object, "--type=merge", "--patch", patch)
	return err
}

// pods are those that a selector finds.
func (n *node) pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := n.cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// restarts is how often containers of the selected pods were started again.
func (n *node) restarts(ctx context.Context, namespace, selector string) (int, error) {
	pods, err := n.pods(ctx, namespace, selector)
	sum := 0
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			sum += int(status.RestartCount)
		}
	}
	return sum, err
}

// noPods waits until the function has none.
func (n *node) noPods(ctx context.Context) error {
	return eventually(ctx, 5*time.Minute, "no pod of the function", func(ctx context.Context) error {
		pods, err := n.pods(ctx, namespace, functionPods)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d pods", len(pods))
		}
		return err
	})
}

// kill sends SIGKILL to a container of a pod, as the kernel does when memory is short.
func (n *node) kill(ctx context.Context, namespace, selector, container string) error {
	pods, err := n.pods(ctx, namespace, selector)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			if status.Name == container && status.State.Running != nil && pod.DeletionTimestamp == nil {
				_, id, _ := strings.Cut(status.ContainerID, "://")
				_, err := n.ctr(ctx, "task", "kill", "--signal", "SIGKILL", id)
				return err
			}
		}
	}
	return fmt.Errorf("no container %s of %s runs", container, selector)
}

// startClient starts the pod from which Alertmanager's webhook is called: the network policies let its namespace reach
// the source.
func (n *node) startClient(ctx context.Context) error {
	pod := func(namespace string) map[string]any {
		return map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "client", "namespace": namespace},
			"spec": map[string]any{
				"terminationGracePeriodSeconds": 0, "enableServiceLinks": false,
				"containers": []any{map[string]any{"name": "client", "image": toolbox}},
			},
		}
	}
	var objects []map[string]any
	for _, name := range []string{"monitoring", "elsewhere"} {
		objects = append(
			objects,
			map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}},
			pod(name),
		)
	}
	if err := n.apply(ctx, objects...); err != nil {
		return err
	}
	for _, name := range []string{"monitoring", "elsewhere"} {
		if _, err := n.kubectl(ctx, "--namespace", name, "wait", "--for=condition=Ready", "pod/client",
			"--timeout=2m"); err != nil {
			return err
		}
	}
	return nil
}

// notification is the document of Alertmanager's webhook with this number of alerts about pods of one workload.
func notification(alertname string, alerts int, firing bool, began time.Time) (string, error) {
	status, ended := "firing", time.Time{}
	if !firing {
		status, ended = "resolved", time.Now().UTC()
	}
	var list []any
	for i := range alerts {
		list = append(list, map[string]any{
			"status": status, "startsAt": began, "endsAt": ended, "annotations": map[string]string{},
			"labels": map[string]string{
				"alertname": alertname,
				"namespace": "shop",
				"pod":       fmt.Sprintf("cart-%d", i),
				"severity":  "critical",
			},
		})
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:{alertname=\"" + alertname + "\"}", "status": status, "receiver": "stormfold",
		"externalURL": "http://alertmanager",
		"groupLabels": map[string]string{
			"alertname": alertname,
		}, "commonLabels": map[string]string{"alertname": alertname}, "alerts": list,
	})
	return string(body), err
}

// webhook sends a notification to the source, with a token when it is not empty.
func (n *node) webhook(ctx context.Context, body, token string) error {
	header := "--header 'Content-Type: application/json'"
	if token != "" {
		header += " --header 'Authorization: Bearer " + token + "'"
	}
	_, err := n.cluster.RunKubectl(
		ctx,
		body,
		"--namespace",
		"monitoring",
		"exec",
		"--stdin",
		"client",
		"--",
		"sh",
		"-c",
		"cat >/tmp/body && timeout 30 wget -q -O - "+header+" --post-file /tmp/body http://stormfold-source.stormfold.svc/",
	)
	return err
}

// reaches tells whether the pod client of a namespace has an answer from an address, whatever it says.
func (n *node) reaches(ctx context.Context, from, url string) (bool, error) {
	out, err := n.kubectl(ctx, "--namespace", from, "exec", "client", "--", "sh", "-c",
		"timeout 3 wget -q -O /dev/null "+url+" 2>&1; case $? in 0) echo answered;; 1) echo answered;; *) echo silent;; esac")
	if err != nil {
		return false, err
	}
	switch strings.TrimSpace(out[strings.LastIndexByte(strings.TrimSpace(out), '\n')+1:]) {
	case "answered":
		return true, nil
	case "silent":
		return false, nil
	}
	return false, errors.New("unexpected output of the client: " + out)
}
