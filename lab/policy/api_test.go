package policy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// An api is an API server that holds a world.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	version  int
	objects  map[string]map[string]json.RawMessage // by path and key
	events   []event
	more     chan struct{} // closed at each event
	requests int
	refuse   int // the status of every answer, 0 for none
}

type event struct {
	path   string
	after  int // the version that it leads to
	Type   string
	Object json.RawMessage
}

func newAPI(t *testing.T, w World) *api {
	a := &api{objects: map[string]map[string]json.RawMessage{}, more: make(chan struct{}), version: 1}
	a.put(t, w)
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	t.Cleanup(a.CloseClientConnections)
	return a
}

// encoded returns an object of a version as JSON.
func encoded(t *testing.T, o any, version int) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	m["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(version)
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return b
}

// put adds what a world holds.
func (a *api) put(t *testing.T, w World) {
	t.Helper()
	for i := range w.Pods {
		a.set(t, podsPath, w.Pods[i].Namespace+"/"+w.Pods[i].Name, &w.Pods[i])
	}
	for i := range w.Namespaces {
		a.set(t, namespacesPath, "/"+w.Namespaces[i].Name, &w.Namespaces[i])
	}
	for i := range w.Policies {
		a.set(t, policiesPath, key(&w.Policies[i]), &w.Policies[i])
	}
}

// set adds or changes an object; nil deletes it.
func (a *api) set(t *testing.T, path, key string, o any) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	if a.objects[path] == nil {
		a.objects[path] = map[string]json.RawMessage{}
	}
	e := event{path: path, after: a.version, Type: "ADDED"}
	if o == nil {
		e.Type, e.Object = "DELETED", encoded(t, a.objects[path][key], a.version)
		delete(a.objects[path], key)
	} else {
		if a.objects[path][key] != nil {
			e.Type = "MODIFIED"
		}
		e.Object = encoded(t, o, a.version)
		a.objects[path][key] = e.Object
	}
	a.tell(e)
}

func (a *api) tell(e event) {
	a.events = append(a.events, e)
	close(a.more)
	a.more = make(chan struct{})
}

// replace makes these the only policies.
func (a *api) replace(t *testing.T, policies []networkingv1.NetworkPolicy) {
	t.Helper()
	a.mu.Lock()
	var old []string
	for k := range a.objects[policiesPath] {
		old = append(old, k)
	}
	a.mu.Unlock()
	for _, k := range old {
		a.set(t, policiesPath, k, nil)
	}
	a.put(t, World{Policies: policies})
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests++
	refuse := a.refuse
	a.mu.Unlock()
	if refuse != 0 {
		http.Error(w, "refused", refuse)
		return
	}
	if r.URL.Query().Get("watch") == "" {
		a.list(w, r.URL.Path)
		return
	}
	from, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.watch(w, r, from)
}

func (a *api) list(w http.ResponseWriter, path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	items := []json.RawMessage{}
	for _, o := range a.objects[path] {
		items = append(items, o)
	}
	json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)}, "items": items})
}

func (a *api) watch(w http.ResponseWriter, r *http.Request, from int) {
	w.WriteHeader(http.StatusOK)
	for next := 0; ; {
		a.mu.Lock()
		events, more := a.events[next:], a.more
		next = len(a.events)
		a.mu.Unlock()
		for _, e := range events {
			if e.after > from && (e.path == r.URL.Path || e.path == "") {
				json.NewEncoder(w).Encode(e)
			}
			if e.after > from && e.Type == "ERROR" {
				return
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-more:
		}
	}
}

// parsed reads policies: "NAMESPACE/NAME SPEC", the specification as JSON.
func parsed(t *testing.T, texts ...string) (out []networkingv1.NetworkPolicy) {
	t.Helper()
	for _, text := range texts {
		name, spec, _ := strings.Cut(text, " ")
		var p networkingv1.NetworkPolicy
		p.APIVersion, p.Kind = "networking.k8s.io/v1", "NetworkPolicy"
		p.Namespace, p.Name, _ = strings.Cut(name, "/")
		d := json.NewDecoder(strings.NewReader(spec))
		d.DisallowUnknownFields()
		if err := d.Decode(&p.Spec); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out = append(out, p)
	}
	return out
}

// aPod returns a Pod that runs.
func aPod(namespace, name, node string, labels map[string]string, addrs ...string) corev1.Pod {
	var p corev1.Pod
	p.Namespace, p.Name, p.Labels, p.Spec.NodeName = namespace, name, labels, node
	p.Status.Phase = corev1.PodRunning
	for _, a := range addrs {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
	}
	p.Spec.Containers = []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}
	return p
}

func aNamespace(name string, labels map[string]string) corev1.Namespace {
	var n corev1.Namespace
	n.Name, n.Labels = name, map[string]string{"kubernetes.io/metadata.name": name}
	for k, v := range labels {
		n.Labels[k] = v
	}
	return n
}

// answer makes every answer have a status; 0 makes them good again.
func (a *api) answer(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = status
}

// asked returns how many requests there were.
func (a *api) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

// expire changes an object, and has those that watch told that they are too late to hear of it.
func (a *api) expire(t *testing.T, path, key string, o any) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.objects[path][key] = encoded(t, o, a.version)
	a.tell(event{after: a.version, Type: "ERROR", Object: json.RawMessage(`{"kind":"Status","code":410}`)})
}
