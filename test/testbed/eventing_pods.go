package testbed

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RunAPIServerSource runs the adapter of an ApiServerSource until the test ends: with the environment and the service
// account of the Deployment that Knative's controller makes for it. It returns when the source is ready, which says
// nothing of its watch: what comes before that has begun, a moment later, is passed over.
func (e *EventingServer) RunAPIServerSource(t testing.TB, namespace, name string) *Process {
	t.Helper()
	binary, err := Binary("apiserversource-adapter")
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	var deployment string
	Eventually(t, time.Minute, "the adapter of ApiServerSource "+namespace+"/"+name, func(ctx context.Context) error {
		list, err := e.cluster.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			if owner := metav1.GetControllerOf(&d); owner != nil && owner.Kind == "ApiServerSource" && owner.Name == name {
				deployment = d.Name
				return nil
			}
		}
		return fmt.Errorf("it has no Deployment")
	})
	process := e.RunDeployment(t, namespace, deployment, binary)
	e.waitReady(t, apiServerSources, namespace, name)
	return process
}

// RunDeployment runs the program of a Deployment's first container until the test ends, since no pods run here: with
// the container's environment, what Knative put into it included, and the token of the service account when its pods
// have one. Entries of env, "KEY=value", come on top. From then on the Deployment is available.
func (e *EventingServer) RunDeployment(t testing.TB, namespace, name, binary string, env ...string) *Process {
	t.Helper()
	deployment, err := e.cluster.Client.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	pod := deployment.Spec.Template.Spec
	kubeconfig := ""
	if mount := pod.AutomountServiceAccountToken; mount == nil || *mount {
		kubeconfig = e.cluster.ServiceAccountKubeconfig(t, namespace, cmp.Or(pod.ServiceAccountName, "default"))
	}
	all, err := e.componentEnv(name, kubeconfig)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	own, err := e.containerEnv(t.Context(), deployment)
	if err != nil {
		t.Fatalf("testbed: Deployment %s/%s: %v", namespace, name, err)
	}
	process := Start(t, name, append(append(all, own...), env...), binary, pod.Containers[0].Args...)
	if err := e.setAvailable(t.Context(), namespace, name); err != nil {
		t.Fatalf("testbed: %v", err)
	}
	return process
}

// Serve makes a Service of the cluster lead to a server of this machine, for as long as the test runs. The Service is
// created when it is absent.
func (e *EventingServer) Serve(t testing.TB, namespace, service, address string) {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	_, err = e.cluster.Client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("testbed: create Service %s/%s: %v", namespace, service, err)
	}
	host := service + "." + namespace + clusterDomain
	e.names.set(host, target.Host)
	t.Cleanup(func() { e.names.set(host, "") })
}

// containerEnv is the environment of a Deployment's first container, as a node would make it.
func (e *EventingServer) containerEnv(ctx context.Context, d *appsv1.Deployment) ([]string, error) {
	fields := map[string]string{
		"metadata.namespace": d.Namespace, "metadata.name": d.Name + "-0", "status.podIP": "127.0.0.1",
		"spec.serviceAccountName": d.Spec.Template.Spec.ServiceAccountName,
	}
	var env []string
	for _, variable := range d.Spec.Template.Spec.Containers[0].Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil {
			var err error
			if value, err = e.envValue(ctx, d.Namespace, from, fields); err != nil {
				return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
			}
		}
		env = append(env, variable.Name+"="+value)
	}
	return env, nil
}

func (e *EventingServer) envValue(
	ctx context.Context,
	namespace string,
	from *corev1.EnvVarSource,
	fields map[string]string,
) (string, error) {
	switch {
	case from.FieldRef != nil:
		value, ok := fields[from.FieldRef.FieldPath]
		if !ok {
			return "", fmt.Errorf("the field %s is not known here", from.FieldRef.FieldPath)
		}
		return value, nil
	case from.SecretKeyRef != nil:
		secret, err := e.cluster.Client.CoreV1().Secrets(namespace).Get(ctx, from.SecretKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return string(secret.Data[from.SecretKeyRef.Key]), nil
	case from.ConfigMapKeyRef != nil:
		config, err := e.cluster.Client.CoreV1().
			ConfigMaps(namespace).
			Get(ctx, from.ConfigMapKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return config.Data[from.ConfigMapKeyRef.Key], nil
	}
	return "", fmt.Errorf("%s has no counterpart here", strings.TrimSpace(from.String()))
}
