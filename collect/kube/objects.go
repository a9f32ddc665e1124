package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// pageSize is how many objects are asked for at once; the API server's own clients take as many.
	pageSize = 500
	// maxPage bounds one answer, in bytes. etcd keeps no object of more than 1.5 MiB; a page of real Pods has 2-10 MB.
	maxPage = 256 << 20
	// maxObjects bounds the objects of one kind. Kubernetes supports up to 150,000 Pods.
	maxObjects = 400_000
	// lists is how many kinds are listed at once.
	lists = 4
)

// A source is a kind that plumb lists.
type source struct {
	kind string
	target
	accept string // the media type to ask for
	custom bool   // a cluster need not have the kind: where it does not, it has none of its objects
	add    func(o *snapshot.Objects, page []byte) (metav1.ListMeta, error)
}

// A message is the protobuf form of a List.
type message[L any] interface {
	*L
	Unmarshal([]byte) error
}

// sources are the kinds that plumb lists. ConfigMaps, which may hold anything, are got by name.
var sources = []source{
	listed("Pod", "", "pods", func(l *corev1.PodList) ([]corev1.Pod, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]corev1.Pod { return &o.Pods }),
	listed("Node", "", "nodes", func(l *corev1.NodeList) ([]corev1.Node, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]corev1.Node { return &o.Nodes }),
	listed("Service", "", "services", func(l *corev1.ServiceList) ([]corev1.Service, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]corev1.Service { return &o.Services }),
	listed("EndpointSlice", "discovery.k8s.io", "endpointslices", func(l *discoveryv1.EndpointSliceList) ([]discoveryv1.EndpointSlice, metav1.ListMeta) {
		return l.Items, l.ListMeta
	},
		func(o *snapshot.Objects) *[]discoveryv1.EndpointSlice { return &o.EndpointSlices }),
	listed("Namespace", "", "namespaces", func(l *corev1.NamespaceList) ([]corev1.Namespace, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]corev1.Namespace { return &o.Namespaces }),
	listed("DaemonSet", "apps", "daemonsets", func(l *appsv1.DaemonSetList) ([]appsv1.DaemonSet, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]appsv1.DaemonSet { return &o.DaemonSets }),
	listed("Deployment", "apps", "deployments", func(l *appsv1.DeploymentList) ([]appsv1.Deployment, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]appsv1.Deployment { return &o.Deployments }),
	listed("ReplicaSet", "apps", "replicasets", func(l *appsv1.ReplicaSetList) ([]appsv1.ReplicaSet, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]appsv1.ReplicaSet { return &o.ReplicaSets }),
	listed("StatefulSet", "apps", "statefulsets", func(l *appsv1.StatefulSetList) ([]appsv1.StatefulSet, metav1.ListMeta) { return l.Items, l.ListMeta },
		func(o *snapshot.Objects) *[]appsv1.StatefulSet { return &o.StatefulSets }),
	listed("NetworkPolicy", "networking.k8s.io", "networkpolicies", func(l *networkingv1.NetworkPolicyList) ([]networkingv1.NetworkPolicy, metav1.ListMeta) {
		return l.Items, l.ListMeta
	},
		func(o *snapshot.Objects) *[]networkingv1.NetworkPolicy { return &o.NetworkPolicies }),
	listed("Ingress", "networking.k8s.io", "ingresses", func(l *networkingv1.IngressList) ([]networkingv1.Ingress, metav1.ListMeta) {
		return l.Items, l.ListMeta
	},
		func(o *snapshot.Objects) *[]networkingv1.Ingress { return &o.Ingresses }),
	listed("IngressClass", "networking.k8s.io", "ingressclasses", func(l *networkingv1.IngressClassList) ([]networkingv1.IngressClass, metav1.ListMeta) {
		return l.Items, l.ListMeta
	},
		func(o *snapshot.Objects) *[]networkingv1.IngressClass { return &o.IngressClasses }),
	custom("GatewayClass", "gateway.networking.k8s.io", "v1", "gatewayclasses"),
	custom("Gateway", "gateway.networking.k8s.io", "v1", "gateways"),
	custom("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes"),
	custom("TCPRoute", "gateway.networking.k8s.io", "v1alpha2", "tcproutes"),
	custom("ReferenceGrant", "gateway.networking.k8s.io", "v1beta1", "referencegrants"),
	custom("ClusterNetworkPolicy", "policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies"),
	custom("AdminNetworkPolicy", "policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies"),
	custom("BaselineAdminNetworkPolicy", "policy.networking.k8s.io", "v1alpha1", "baselineadminnetworkpolicies"),
	custom("CiliumNetworkPolicy", "cilium.io", "v2", "ciliumnetworkpolicies"),
	custom("CiliumClusterwideNetworkPolicy", "cilium.io", "v2", "ciliumclusterwidenetworkpolicies"),
	custom("CalicoNetworkPolicy", "crd.projectcalico.org", "v1", "networkpolicies"),
	custom("CalicoGlobalNetworkPolicy", "crd.projectcalico.org", "v1", "globalnetworkpolicies"),
}

// listed ties the List of a kind to its place in Objects.
func listed[L, T any, P message[L]](kind, group, resource string, items func(P) ([]T, metav1.ListMeta), place func(*snapshot.Objects) *[]T) source {
	add := func(o *snapshot.Objects, page []byte) (metav1.ListMeta, error) {
		list := P(new(L))
		if err := unmarshal(page, list); err != nil {
			return metav1.ListMeta{}, err
		}
		var part snapshot.Objects
		var meta metav1.ListMeta
		*place(&part), meta = items(list)
		part.Trim()
		if len(*place(o))+len(*place(&part)) > maxObjects {
			return meta, fmt.Errorf("more than %d objects", maxObjects)
		}
		*place(o) = append(*place(o), *place(&part)...)
		return meta, nil
	}
	return source{kind: kind, target: target{verb: "list", group: group, version: "v1", resource: resource}, accept: typeProtobuf, add: add}
}

// file is where a bundle holds the kind.
func (s source) file() string {
	if s.group == "crd.projectcalico.org" {
		return "objects/calico" + s.resource + ".json"
	}
	return "objects/" + s.resource + ".json"
}

// magic is what an object in protobuf begins with.
var magic = []byte("k8s\x00")

// An unmarshaler is an object or a list of the API that its bytes can be read into.
type unmarshaler interface{ Unmarshal([]byte) error }

// unmarshal reads an object as the API server sends it in protobuf.
func unmarshal(data []byte, to unmarshaler) error {
	data, ok := bytes.CutPrefix(data, magic)
	if !ok {
		return errors.New("the API server does not answer in protobuf")
	}
	var u runtime.Unknown
	if err := u.Unmarshal(data); err != nil {
		return err
	}
	return to.Unmarshal(u.Raw)
}

// Objects lists the objects that plumb reads, trimmed as [snapshot.Objects.Trim] does. A kind
// that cannot be had, or not all of it, is a Gap that says why; with Forbidden it names the rule that is missing.
func (c *Client) Objects(ctx context.Context) (snapshot.Objects, []snapshot.Gap) {
	parts := make([]snapshot.Objects, len(sources)+1)
	gaps := make([][]snapshot.Gap, len(sources)+1)
	var g errgroup.Group
	g.SetLimit(lists)
	for i, s := range sources {
		g.Go(func() error {
			if err := c.list(ctx, s, &parts[i]); err != nil {
				gaps[i] = []snapshot.Gap{{Path: s.file(), Why: err.Error()}}
				return nil
			}
			parts[i].Have = map[string]bool{s.kind: true}
			return nil
		})
	}
	g.Go(func() error {
		last := len(sources)
		gaps[last] = c.configMaps(ctx, &parts[last])
		return nil
	})
	g.Wait() // nothing fails: what cannot be had is a Gap
	var all []snapshot.Gap
	for _, g := range gaps {
		all = append(all, g...)
	}
	return snapshot.JoinObjects(parts...), all
}

// list lists one kind, page by page.
func (c *Client) list(ctx context.Context, s source, o *snapshot.Objects) error {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		page, err := c.page(ctx, s.target, s.accept, query)
		if s.custom && notFound(err) {
			return nil
		}
		var status *StatusError
		if errors.As(err, &status) && status.Continue != "" {
			// The list grew too old while it was read. What follows is of a newer one, which does no harm.
			query.Set("continue", status.Continue)
			continue
		}
		if err != nil {
			return err
		}
		meta, err := s.add(o, page)
		if err != nil {
			return err
		}
		if meta.Continue == "" {
			return nil
		}
		query.Set("continue", meta.Continue)
	}
}

// page gets one page.
func (c *Client) page(ctx context.Context, t target, accept string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.do(ctx, t, query, accept, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPage+1))
	if err == nil && len(data) > maxPage {
		err = fmt.Errorf("an answer of more than %d MiB", maxPage>>20)
	}
	return data, err
}

// configMaps gets those ConfigMaps that configure the cluster's network. Most clusters have two or three of them.
func (c *Client) configMaps(ctx context.Context, o *snapshot.Objects) (gaps []snapshot.Gap) {
	for _, name := range snapshot.NetworkConfigs() {
		ns, name, _ := strings.Cut(name, "/")
		data, err := c.page(ctx, target{verb: "get", version: "v1", namespace: ns, resource: "configmaps", name: name}, typeProtobuf, nil)
		var m corev1.ConfigMap
		if err == nil {
			err = unmarshal(data, &m)
		}
		switch {
		case notFound(err):
		case err != nil:
			gaps = append(gaps, snapshot.Gap{Path: "objects/configmaps.json", Why: ns + "/" + name + ": " + err.Error()})
		default:
			o.ConfigMaps = append(o.ConfigMaps, m)
		}
		if ctx.Err() != nil {
			return gaps
		}
	}
	o.Trim()
	if len(gaps) == 0 {
		o.Have = map[string]bool{"ConfigMap": true}
	}
	return gaps
}
