package projector

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/stormfold/stormfold/api/v1alpha1"
)

// Incidents is the part of the Kubernetes API that the projector uses. Errors are those of k8s.io/apimachinery's
// api/errors.
type Incidents interface {
	Create(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error)
	Get(ctx context.Context, namespace, name string) (*v1alpha1.Incident, error)
	// UpdateStatus writes the status if the resourceVersion is still the object's.
	UpdateStatus(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error)
	// Delete removes the object if the preconditions hold, and answers with a conflict otherwise; empty ones always hold.
	Delete(ctx context.Context, namespace, name string, only metav1.Preconditions) error
	// List returns a page; an empty namespace means all.
	List(ctx context.Context, namespace string, options metav1.ListOptions) (*v1alpha1.IncidentList, error)
	// Allowed reports whether a verb is allowed on incidents, or on a subresource of them.
	Allowed(ctx context.Context, namespace, verb, subresource string) (bool, error)
}

// restIncidents are the incidents of an API server, by plain REST: no discovery, no cache, no watch.
type restIncidents struct{ client rest.Interface }

// NewClient returns the incidents of the API server that the configuration names. Every call ends after the
// timeout at the latest; qps and burst limit the calls from here, before the server's own priority and fairness, whose
// Retry-After the client honours within the time-out.
func NewClient(config *rest.Config, timeout time.Duration, qps float32, burst int) (Incidents, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering the incident types: %w", err)
	}
	c := rest.CopyConfig(config)
	c.GroupVersion = &v1alpha1.SchemeGroupVersion
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeJSON
	c.Timeout, c.QPS, c.Burst = timeout, qps, burst
	if c.UserAgent == "" {
		c.UserAgent = "stormfold"
	}
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("making a client for the API server %s: %w", c.Host, err)
	}
	return &restIncidents{client: client}, nil
}

const resource = "incidents"

func (r *restIncidents) Create(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	out := &v1alpha1.Incident{}
	return out, r.client.Post().Namespace(incident.Namespace).Resource(resource).Body(incident).Do(ctx).Into(out)
}

func (r *restIncidents) Get(ctx context.Context, namespace, name string) (*v1alpha1.Incident, error) {
	out := &v1alpha1.Incident{}
	return out, r.client.Get().Namespace(namespace).Resource(resource).Name(name).Do(ctx).Into(out)
}

// metadataOnly requests an answer without spec and status, which would only repeat a large storm.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// UpdateStatus returns the given incident with its new metadata.
func (r *restIncidents) UpdateStatus(ctx context.Context, incident *v1alpha1.Incident) (*v1alpha1.Incident, error) {
	result := r.client.Put().Namespace(incident.Namespace).Resource(resource).Name(incident.Name).SubResource("status").
		SetHeader("Accept", metadataOnly).Body(incident).Do(ctx)
	if err := result.Error(); err != nil { // With the server's message, which Raw would omit.
		return nil, err
	}
	answer, err := result.Raw()
	if err != nil {
		return nil, err
	}
	var written metav1.PartialObjectMetadata
	if err := json.Unmarshal(answer, &written); err != nil {
		return nil, fmt.Errorf("reading the answer to a status update: %w", err)
	}
	out := *incident
	out.ObjectMeta = written.ObjectMeta
	return &out, nil
}

func (r *restIncidents) Delete(ctx context.Context, namespace, name string, only metav1.Preconditions) error {
	return r.client.Delete().Namespace(namespace).Resource(resource).Name(name).
		Body(&metav1.DeleteOptions{Preconditions: &only}).Do(ctx).Error()
}

func (r *restIncidents) List(
	ctx context.Context,
	namespace string,
	options metav1.ListOptions,
) (*v1alpha1.IncidentList, error) {
	out := &v1alpha1.IncidentList{}
	return out, r.client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).
		VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(out)
}

// Allowed asks by a SelfSubjectAccessReview, which every ServiceAccount may create. It is sent as plain JSON, so that
// no further API group has to be registered.
func (r *restIncidents) Allowed(ctx context.Context, namespace, verb, subresource string) (bool, error) {
	review := authorizationv1.SelfSubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authorizationv1.SchemeGroupVersion.String(), Kind: "SelfSubjectAccessReview"},
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: v1alpha1.SchemeGroupVersion.Group, Resource: resource,
			Subresource: subresource,
		}},
	}
	body, err := json.Marshal(review)
	if err != nil {
		return false, err
	}
	answer, err := r.client.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).DoRaw(ctx)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(answer, &review); err != nil {
		return false, fmt.Errorf("reading the answer to an access review: %w", err)
	}
	return review.Status.Allowed, nil
}
