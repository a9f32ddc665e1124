// Package kubetest serves a snapshot as the API server of a cluster with agents would, at the
// level of HTTP. Tests, and the measurements of big clusters, use it.
package kubetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/snapshot"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// token is what the agent of a node takes, and what the server gives for its audience.
func token(audience string) string { return "for-" + audience }

// A Server is an API server, and the agents behind its proxy.
type Server struct {
	Objects snapshot.Objects
	// Node returns what the agent of a node answers to a request for its state, by the query's
	// "pod" values; all of them where the query names none. Nil: there is no agent on that node.
	Node func(node string, whole bool, pods []string) snapshot.Files
	// Counters returns what the agent of a node says that devices and rules have counted; nil: nothing.
	Counters func(node string, pods []string) snapshot.Files
	// Probe returns what the agent of a node finds out by a probe.
	Probe func(node string, ask snapshot.ProbeAsk) snapshot.Probe
	// Events returns what the agent of a node has to tell; nil: it does not watch. The stream ends then.
	Events func(node string) []event.Event
	// Recorded returns what the agent of a node answers to "record", "episodes" or "status"; nil: it does not watch.
	Recorded func(node, what string, query url.Values) []byte
	// Forbid lists paths that are forbidden: "/apis/apps/v1/daemonsets".
	Forbid []string

	mu     sync.Mutex
	asked  []string
	pods   int // how often the agents' Pods were replaced
	server *httptest.Server
}

// FromFiles serves a recorded cluster, with an agent on every node.
func FromFiles(files snapshot.Files) (*Server, error) {
	c, err := snapshot.Read(files)
	if err != nil {
		return nil, err
	}
	s := &Server{Objects: c.Objects}
	s.Node = func(node string, whole bool, pods []string) snapshot.Files {
		out := snapshot.Files{}
		n := c.Node(node)
		if n == nil {
			return nil
		}
		for _, ns := range n.NetNS {
			if !whole && ns.Pod != "" && !slices.Contains(pods, ns.Pod) {
				continue
			}
			for name, data := range files {
				if strings.HasPrefix(name, ns.Dir+"/") {
					out[name] = data
				}
			}
		}
		return out
	}
	s.Probe = func(_ string, ask snapshot.ProbeAsk) snapshot.Probe {
		return snapshot.Probe{Proto: ask.Proto, Dst: ask.Dst, Size: ask.Size, DF: ask.DF, Sent: ask.Count, Answered: ask.Count, Fate: snapshot.ProbeAnswered}
	}
	return s, nil
}

// Start starts it, and returns a kubeconfig for it. The caller closes it.
func (s *Server) Start() (kubeconfig []byte) {
	s.server = httptest.NewTLSServer(s)
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"lab",
		"clusters":[{"name":"lab","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"users":[{"name":"ann","user":{"token":"secret"}}],
		"contexts":[{"name":"lab","context":{"cluster":"lab","user":"ann","namespace":"shop"}}]}`, s.server.URL, base64.StdEncoding.EncodeToString(ca))
}

// Close ends it.
func (s *Server) Close() { s.server.Close() }

// Asked returns what the agents were asked, sorted: "node-a snapshot shop/web-0".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.asked))
}

// Replace has other Pods run the agents, as after an update of their DaemonSet.
func (s *Server) Replace() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods++
}

// agentPod begins the names of the agents' Pods.
func (s *Server) agentPod() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "plumbd-" + strings.Repeat("again-", s.pods)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		status(w, http.StatusUnauthorized, "Unauthorized")
	case slices.Contains(s.Forbid, path):
		status(w, http.StatusForbidden, "forbidden")
	case s.table(w, r):
	case path == "/api/v1/namespaces/plumb/pods":
		page(w, r, s.agents(r.URL.Query().Get("fieldSelector")), func(items []corev1.Pod, m metav1.ListMeta) marshaler {
			return &corev1.PodList{ListMeta: m, Items: items}
		})
	case path == "/api/v1/namespaces/plumb/serviceaccounts/plumb-cli/token":
		var in authenticationv1.TokenRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Spec.Audiences) != 1 {
			status(w, http.StatusBadRequest, "want one audience")
			return
		}
		in.Status.Token = token(in.Spec.Audiences[0])
		json.NewEncoder(w).Encode(in)
	case strings.HasPrefix(path, "/api/v1/namespaces/plumb/pods/https:"):
		rest, ok := strings.CutPrefix(path, "/api/v1/namespaces/plumb/pods/https:"+s.agentPod())
		if !ok {
			status(w, http.StatusNotFound, "there is no such Pod")
			return
		}
		s.agent(w, r, rest)
	default:
		s.list(w, r)
	}
}

// agents are the Pods that the agents run in: all, or with a selector ("spec.nodeName=a") that of a node.
func (s *Server) agents(selector string) []corev1.Pod {
	var out []corev1.Pod
	for i := range s.Objects.Nodes {
		node := s.Objects.Nodes[i].Name
		if selector != "" && selector != "spec.nodeName="+node {
			continue
		}
		out = append(out, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "plumb", Name: s.agentPod() + node},
			Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 10270}}}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		})
	}
	return out
}

// agent answers for the agent of a node; rest is "NODE:PORT/proxy/PATH".
func (s *Server) agent(w http.ResponseWriter, r *http.Request, rest string) {
	node, path, _ := strings.Cut(rest, ":10270/proxy/")
	if r.Header.Get("Plumb-Authorization") != "Bearer "+token("plumbd/"+node) {
		http.Error(w, "no token", http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSpace(node+" "+path+" "+strings.Join(q["pod"], ",")))
	s.mu.Unlock()
	if path == "probe" {
		var ask snapshot.ProbeAsk
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(s.Probe(node, ask))
		return
	}
	if path == "events" {
		s.events(w, node)
		return
	}
	if path == "record" || path == "episodes" || path == "status" {
		w.Header().Set("Plumb-Agent", "test")
		var data []byte
		if s.Recorded != nil {
			data = s.Recorded(node, path, q)
		}
		if data == nil {
			http.Error(w, "no such thing", http.StatusNotFound)
			return
		}
		w.Write(data)
		return
	}
	var files snapshot.Files
	switch {
	case q["counters"] == nil:
		files = s.Node(node, q["netns"] == nil, q["pod"])
	case s.Counters != nil:
		files = s.Counters(node, q["pod"])
	}
	if files == nil {
		status(w, http.StatusServiceUnavailable, "error trying to reach service: dial tcp: connection refused")
		return
	}
	snapshot.Write(w, files)
}

func (s *Server) events(w http.ResponseWriter, node string) {
	w.Header().Set("Plumb-Agent", "test")
	var list []event.Event
	if s.Events != nil {
		list = s.Events(node)
	}
	if list == nil {
		http.Error(w, "no such thing", http.StatusNotFound)
		return
	}
	fmt.Fprintln(w)
	for _, e := range list {
		json.NewEncoder(w).Encode(e)
	}
}

// marshaler is an object that can be written as protobuf.
type marshaler interface{ Marshal() ([]byte, error) }

// list answers with a page of one kind, or with one ConfigMap.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	o := &s.Objects
	switch r.URL.Path {
	case "/api/v1/pods":
		page(w, r, o.Pods, func(i []corev1.Pod, m metav1.ListMeta) marshaler { return &corev1.PodList{ListMeta: m, Items: i} })
	case "/api/v1/nodes":
		page(w, r, o.Nodes, func(i []corev1.Node, m metav1.ListMeta) marshaler { return &corev1.NodeList{ListMeta: m, Items: i} })
	case "/api/v1/services":
		page(w, r, o.Services, func(i []corev1.Service, m metav1.ListMeta) marshaler {
			return &corev1.ServiceList{ListMeta: m, Items: i}
		})
	case "/apis/discovery.k8s.io/v1/endpointslices":
		page(w, r, o.EndpointSlices, func(i []discoveryv1.EndpointSlice, m metav1.ListMeta) marshaler {
			return &discoveryv1.EndpointSliceList{ListMeta: m, Items: i}
		})
	case "/api/v1/namespaces":
		page(w, r, o.Namespaces, func(i []corev1.Namespace, m metav1.ListMeta) marshaler {
			return &corev1.NamespaceList{ListMeta: m, Items: i}
		})
	case "/apis/apps/v1/daemonsets":
		page(w, r, o.DaemonSets, func(i []appsv1.DaemonSet, m metav1.ListMeta) marshaler {
			return &appsv1.DaemonSetList{ListMeta: m, Items: i}
		})
	case "/apis/apps/v1/deployments":
		page(w, r, o.Deployments, func(i []appsv1.Deployment, m metav1.ListMeta) marshaler {
			return &appsv1.DeploymentList{ListMeta: m, Items: i}
		})
	case "/apis/apps/v1/replicasets":
		page(w, r, o.ReplicaSets, func(i []appsv1.ReplicaSet, m metav1.ListMeta) marshaler {
			return &appsv1.ReplicaSetList{ListMeta: m, Items: i}
		})
	case "/apis/apps/v1/statefulsets":
		page(w, r, o.StatefulSets, func(i []appsv1.StatefulSet, m metav1.ListMeta) marshaler {
			return &appsv1.StatefulSetList{ListMeta: m, Items: i}
		})
	case "/apis/networking.k8s.io/v1/networkpolicies":
		page(w, r, o.NetworkPolicies, func(i []networkingv1.NetworkPolicy, m metav1.ListMeta) marshaler {
			return &networkingv1.NetworkPolicyList{ListMeta: m, Items: i}
		})
	case "/apis/networking.k8s.io/v1/ingresses":
		page(w, r, o.Ingresses, func(i []networkingv1.Ingress, m metav1.ListMeta) marshaler {
			return &networkingv1.IngressList{ListMeta: m, Items: i}
		})
	case "/apis/networking.k8s.io/v1/ingressclasses":
		page(w, r, o.IngressClasses, func(i []networkingv1.IngressClass, m metav1.ListMeta) marshaler {
			return &networkingv1.IngressClassList{ListMeta: m, Items: i}
		})
	case "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies":
		custom(w, r, o.Have["ClusterNetworkPolicy"], "ClusterNetworkPolicyList", o.ClusterNetworkPolicies)
	default:
		for i := range o.ConfigMaps {
			m := &o.ConfigMaps[i]
			if r.URL.Path == "/api/v1/namespaces/"+m.Namespace+"/configmaps/"+m.Name {
				protobuf(w, m)
				return
			}
		}
		status(w, http.StatusNotFound, "not found")
	}
}

// page writes those of all that the query asks for.
func page[T any](w http.ResponseWriter, r *http.Request, all []T, list func([]T, metav1.ListMeta) marshaler) {
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	from = min(from, len(all))
	to := min(from+limit, len(all))
	var m metav1.ListMeta
	if to < len(all) {
		m.Continue = strconv.Itoa(to)
	}
	protobuf(w, list(all[from:to], m))
}

// custom writes a page of a kind that the cluster may not have.
func custom[T any](w http.ResponseWriter, r *http.Request, have bool, kind string, all []T) {
	switch accept := r.Header.Get("Accept"); {
	case !have:
		status(w, http.StatusNotFound, "the server could not find the requested resource")
	case accept != "application/json":
		status(w, http.StatusNotAcceptable, "only the following media types are accepted: application/json")
	default:
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from = min(from, len(all))
		to := min(from+limit, len(all))
		meta := map[string]string{}
		if to < len(all) {
			meta["continue"] = strconv.Itoa(to)
		}
		json.NewEncoder(w).Encode(map[string]any{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": kind, "metadata": meta, "items": all[from:to]})
	}
}

// protobuf writes an object as the API server does.
func protobuf(w http.ResponseWriter, o marshaler) {
	raw, err := o.Marshal()
	if err == nil {
		raw, err = (&runtime.Unknown{Raw: raw}).Marshal()
	}
	if err != nil {
		status(w, http.StatusInternalServerError, err.Error())
		return
	}
	io.Copy(w, io.MultiReader(strings.NewReader("k8s\x00"), bytes.NewReader(raw)))
}

func status(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{Message: message, Code: int32(code)})
}
