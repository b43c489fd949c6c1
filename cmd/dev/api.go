package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/stormfold/stormfold/api/v1alpha1"
	"github.com/stormfold/stormfold/internal/projector"
)

// api is a read-only Kubernetes API of the embedded incidents: get, list and watch.
type api struct {
	http.Handler
	memory *projector.Memory

	mu       sync.Mutex
	watchers map[chan watchEvent]bool
}

// watchEvent is an event of a watch.
type watchEvent struct {
	Type   string            `json:"type"`
	Object v1alpha1.Incident `json:"object"`
}

// newAPI returns an API without incidents. It calls changed at each change.
func newAPI(changed func(v1alpha1.Incident, bool)) *api {
	a := &api{watchers: map[chan watchEvent]bool{}}
	a.memory = &projector.Memory{Changed: func(i v1alpha1.Incident, deleted bool) {
		changed(i, deleted)
		a.tell(i, deleted)
	}}
	mux := http.NewServeMux()
	root := "GET /apis/" + v1alpha1.SchemeGroupVersion.String()
	mux.HandleFunc(root+"/incidents", a.list)
	mux.HandleFunc(root+"/namespaces/{namespace}/incidents", a.list)
	mux.HandleFunc(root+"/namespaces/{namespace}/incidents/{name}", a.get)
	a.Handler = mux
	return a
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	i, err := a.memory.Get(r.Context(), r.PathValue("namespace"), r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	i.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Incident"}
	answer(w, http.StatusOK, i)
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if watch, _ := strconv.ParseBool(query.Get("watch")); watch {
		a.watch(w, r)
		return
	}
	list, err := a.memory.List(r.Context(), r.PathValue("namespace"), optionsOf(r))
	if err != nil {
		refuse(w, err)
		return
	}
	list.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "IncidentList"}
	if list.Items == nil {
		list.Items = []v1alpha1.Incident{}
	}
	answer(w, http.StatusOK, list)
}

func optionsOf(r *http.Request) metav1.ListOptions {
	query := r.URL.Query()
	return metav1.ListOptions{LabelSelector: query.Get("labelSelector"), FieldSelector: query.Get("fieldSelector")}
}

// watch returns every change in the namespace after the given resource version. The caller applies the selectors.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	changes := make(chan watchEvent, 256)
	a.mu.Lock()
	a.watchers[changes] = true
	a.mu.Unlock()
	defer a.leave(changes)
	last, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	stream, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(e watchEvent) bool {
		version, namespace := versionOf(e.Object), r.PathValue("namespace")
		if version <= last && e.Type != "DELETED" || namespace != "" && namespace != e.Object.Namespace {
			return true
		}
		last = max(last, version)
		e.Object.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Incident"}
		return stream.Encode(e) == nil && flush.Flush() == nil
	}
	// Changes since the caller's list come first.
	list, err := a.memory.List(r.Context(), r.PathValue("namespace"), metav1.ListOptions{})
	if err != nil {
		refuse(w, err)
		return
	}
	missed := slices.DeleteFunc(list.Items, func(i v1alpha1.Incident) bool { return versionOf(i) <= last })
	slices.SortFunc(missed, func(a, b v1alpha1.Incident) int { return cmp.Compare(versionOf(a), versionOf(b)) })
	for _, i := range missed {
		if !send(watchEvent{"MODIFIED", i}) {
			return
		}
	}
	if flush.Flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e, open := <-changes:
			if !open || !send(e) {
				return
			}
		}
	}
}

// versionOf is the resource version of an embedded incident, a number.
func versionOf(i v1alpha1.Incident) int {
	version, _ := strconv.Atoi(i.ResourceVersion)
	return version
}

// tell sends a change to the watchers. One that does not keep up is dropped, as by an API server, and lists again.
func (a *api) tell(i v1alpha1.Incident, deleted bool) {
	kind := "MODIFIED"
	if deleted {
		kind = "DELETED"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for changes := range a.watchers {
		select {
		case changes <- watchEvent{kind, i}:
		default:
			delete(a.watchers, changes)
			close(changes)
		}
	}
}

func (a *api) leave(changes chan watchEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.watchers, changes)
}

func refuse(w http.ResponseWriter, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	answer(w, int(status.Code), status)
}

func answer(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // The client may have disconnected.
}
