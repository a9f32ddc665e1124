package intent

import "testing"

const (
	isolateA  = `np a/none {"podSelector":{}}` + "\n"
	isolateDB = `np a/db {"podSelector":{"matchLabels":{"app":"db"}},"ingress":[` // and the rules, and "]}"
)

// fromPeers is a policy of a/db with one rule of peers.
func fromPeers(peers string) string { return isolateDB + `{"from":[` + peers + `]}]}` }

// TestNetworkPolicy: what https://kubernetes.io/docs/concepts/services-networking/network-policies/ says.
func TestNetworkPolicy(t *testing.T) {
	runFlows(t, []flowRow{
		{"no policy", "", "a/web > a/db tcp/80", Allowed},
		{"selected, and no rule", isolateA, "b/web > a/db tcp/80", Denied},
		{"of another namespace", `np b/none {"podSelector":{}}`, "b/web > a/db tcp/80", Allowed},
		{"no policyTypes and no egress rules: egress is free", isolateA, "a/web > b/web tcp/80", Allowed},
		{"no policyTypes and an egress rule: egress is not", `np a/x {"podSelector":{},"egress":[{"ports":[{"port":53}]}]}`, "a/web > b/web tcp/80", Denied},
		{"policyTypes Egress alone: ingress is free", `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "b/web > a/db tcp/80", Allowed},
		{"policyTypes Ingress alone: its egress rules do nothing", `np a/x {"podSelector":{},"policyTypes":["Ingress"],"egress":[]}`, "a/web > b/web tcp/80", Allowed},
		{"an empty rule matches all", isolateDB + `{}]}`, "b/web > a/db tcp/80", Allowed},
		{"and all protocols", isolateDB + `{}]}`, "b/web > a/db icmp", Allowed},
		{"an empty from matches all", isolateDB + `{"from":[]}]}`, "8.8.8.8 > a/db tcp/80", Allowed},
		{"an empty podSelector: its own namespace", fromPeers(`{"podSelector":{}}`), "a/web > a/db tcp/80", Allowed},
		{"and no other", fromPeers(`{"podSelector":{}}`), "b/web > a/db tcp/80", Denied},
		{"nor anybody outside", fromPeers(`{"podSelector":{}}`), "8.8.8.8 > a/db tcp/80", Denied},
		{"an empty namespaceSelector: all Pods", fromPeers(`{"namespaceSelector":{}}`), "b/web > a/db tcp/80", Allowed},
		{"but not those outside", fromPeers(`{"namespaceSelector":{}}`), "8.8.8.8 > a/db tcp/80", Denied},
		{"both together: both must match", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}},"podSelector":{"matchLabels":{"app":"web"}}}`), "a/web > a/db tcp/80", Denied},
		{"both together, both matching", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}},"podSelector":{"matchLabels":{"app":"web"}}}`), "b/web > a/db tcp/80", Allowed},
		{"apart: either may match", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}}},{"podSelector":{"matchLabels":{"app":"web"}}}`), "a/web > a/db tcp/80", Allowed},
		{"a namespace by the name that the API server gives it", fromPeers(`{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"b"}}}`), "b/web > a/db tcp/80", Allowed},
		{"policies add up", isolateA + fromPeers(`{"podSelector":{}}`), "a/web > a/db tcp/80", Allowed},
		{"both sides must allow", `np b/out {"podSelector":{},"policyTypes":["Egress"]}` + "\n" + isolateDB + `{}]}`, "b/web > a/db tcp/80", Denied},
		{"a Pod that ends is still selected", fromPeers(`{"podSelector":{}}`), "b/web > a/ending tcp/80", Denied},
		{"a Pod to itself", isolateA, "a/db > a/db tcp/80", Allowed},
	})
}

func TestSelectors(t *testing.T) {
	expr := func(e string) string {
		return fromPeers(`{"namespaceSelector":{},"podSelector":{"matchExpressions":[` + e + `]}}`)
	}
	runFlows(t, []flowRow{
		{"In", expr(`{"key":"app","operator":"In","values":["x","web"]}`), "b/web > a/db tcp/80", Allowed},
		{"In, another value", expr(`{"key":"app","operator":"In","values":["x"]}`), "b/web > a/db tcp/80", Denied},
		{"NotIn", expr(`{"key":"app","operator":"NotIn","values":["web"]}`), "b/web > a/db tcp/80", Denied},
		{"NotIn, the label absent", expr(`{"key":"tier","operator":"NotIn","values":["back"]}`), "b/web > a/db tcp/80", Allowed},
		{"Exists", expr(`{"key":"tier","operator":"Exists"}`), "b/web > a/db tcp/80", Denied},
		{"DoesNotExist", expr(`{"key":"tier","operator":"DoesNotExist"}`), "b/web > a/db tcp/80", Allowed},
		{"two, one of which fails", expr(`{"key":"app","operator":"Exists"},{"key":"app","operator":"NotIn","values":["web"]}`), "b/web > a/db tcp/80", Denied},
		{"an operator of later", expr(`{"key":"app","operator":"Like","values":["w*"]}`), "b/web > a/db tcp/80", Unknown},
		{"In without values", expr(`{"key":"app","operator":"In"}`), "b/web > a/db tcp/80", Unknown},
		{"Exists with values", expr(`{"key":"app","operator":"Exists","values":["x"]}`), "b/web > a/db tcp/80", Unknown},
		{"a peer without fields", fromPeers(`{}`), "b/web > a/db tcp/80", Unknown},
		{"a subject that is not understood", `np a/x {"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`, "b/web > a/db tcp/80", Unknown},
		{"what is not understood beside what allows", fromPeers(`{"podSelector":{}}`) + "\n" + `np a/x {"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`, "a/web > a/db tcp/80", Allowed},
		{"and beside what does not", fromPeers(`{"podSelector":{}}`) + "\n" + `np a/x {"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`, "b/web > a/db tcp/80", Denied},
		{"and that may allow", fromPeers(`{"podSelector":{}}`) + "\n" + `np a/x {"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]},"ingress":[{}]}`, "b/web > a/db tcp/80", Unknown},
	})
}

func TestMissingNamespace(t *testing.T) {
	runFlows(t, []flowRow{
		{"its labels are not known", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}}}`), "lost/x > a/db tcp/80", Unknown},
		{"its name is", fromPeers(`{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"lost"}}}`), "lost/x > a/db tcp/80", Allowed},
		{"and is not another", fromPeers(`{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"b","team":"blue"}}}`), "lost/x > a/db tcp/80", Denied},
		{"every namespace", fromPeers(`{"namespaceSelector":{}}`), "lost/x > a/db tcp/80", Allowed},
		{"the Pod's own labels decide", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}},"podSelector":{"matchLabels":{"app":"db"}}}`), "lost/x > a/db tcp/80", Denied},
	})
}

func TestPorts(t *testing.T) {
	port := func(p string) string { return isolateDB + `{"ports":[` + p + `]}]}` }
	out := func(p string) string {
		return `np a/x {"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Egress"],"egress":[{"ports":[` + p + `]}]}`
	}
	runFlows(t, []flowRow{
		{"a number", port(`{"port":80}`), "b/web > a/db tcp/80", Allowed},
		{"another", port(`{"port":81}`), "b/web > a/db tcp/80", Denied},
		{"no protocol is TCP", port(`{"port":53}`), "b/web > a/db udp/53", Denied},
		{"UDP", port(`{"port":53,"protocol":"UDP"}`), "b/web > a/db udp/53", Allowed},
		{"SCTP", port(`{"port":53,"protocol":"SCTP"}`), "b/web > a/db sctp/53", Allowed},
		{"a protocol without port", port(`{"protocol":"UDP"}`), "b/web > a/db udp/9999", Allowed},
		{"a protocol of later", port(`{"protocol":"QUIC","port":80}`), "b/web > a/db tcp/80", Unknown},
		{"a range", port(`{"port":80,"endPort":90}`), "b/web > a/db tcp/90", Allowed},
		{"behind its end", port(`{"port":80,"endPort":90}`), "b/web > a/db tcp/91", Denied},
		{"a range that ends before it begins", port(`{"port":80,"endPort":70}`), "b/web > a/db tcp/75", Unknown},
		{"endPort with a name", port(`{"port":"http","endPort":90}`), "b/web > a/db tcp/80", Unknown},
		{"endPort without port", port(`{"endPort":90}`), "b/web > a/db tcp/80", Unknown},
		{"a name, as the Pod has it", port(`{"port":"http"}`), "b/web > a/db tcp/80", Allowed},
		{"as its sidecar has it", port(`{"port":"http"}`), "b/web > a/db tcp/15001", Allowed},
		{"as another Pod has it", port(`{"port":"http"}`), "b/web > a/db tcp/8080", Denied},
		{"a name of the other protocol", port(`{"port":"http","protocol":"UDP"}`), "b/web > a/db udp/80", Denied},
		{"a name that it does not have", port(`{"port":"dns","protocol":"UDP"}`), "b/web > a/db udp/53", Denied},
		{"egress: the destination's name", out(`{"port":"http"}`), "a/web > a/db tcp/80", Allowed},
		{"egress: not the source's", out(`{"port":"http"}`), "a/web > a/db tcp/8080", Denied},
		{"egress: who has no such name", out(`{"port":"http"}`), "a/web > b/web tcp/80", Denied},
		{"egress: outside nobody has names", out(`{"port":"http"}`), "a/web > 8.8.8.8 tcp/80", Denied},
		{"egress: a Pod in a node's network may be meant", out(`{"port":"http"}`), "b/web > node/n1 tcp/80", Allowed},
		{"egress: which of a node's Pods is meant is not known", out(`{"port":"http"}`), "a/db > node/n1 tcp/80", Allowed},
		{"ICMP, where only ports are allowed: the API does not say", port(`{"port":80}`), "b/web > a/db icmp", Unknown},
		{"ICMP to nobody's policy", port(`{"port":80}`), "b/web > a/web icmp", Allowed},
	})
}

func TestAddresses(t *testing.T) {
	out := func(peers string) string {
		return `np a/x {"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[` + peers + `]}]}`
	}
	const most = `{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.9.0.0/16"]}}`
	runFlows(t, []flowRow{
		{"a node, all of whose addresses are in one of two blocks", fromPeers(`{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.1.0.0/16"]}},{"ipBlock":{"cidr":"10.1.0.0/16"}}`), "node/n1 > a/db tcp/80", Allowed},
		{"in a block", out(most), "a/web > 10.8.0.1 tcp/80", Allowed},
		{"in its exception", out(most), "a/web > 10.9.0.1 tcp/80", Denied},
		{"outside", out(most), "a/web > 11.0.0.1 tcp/80", Denied},
		{"the last address before, and the first behind", out(`{"ipBlock":{"cidr":"10.8.0.0/30"}}`), "a/web > 10.8.0.4 tcp/80", Denied},
		{"the last address", out(`{"ipBlock":{"cidr":"10.8.0.0/30"}}`), "a/web > 10.8.0.3 tcp/80", Allowed},
		{"the whole space", out(`{"ipBlock":{"cidr":"0.0.0.0/0"}}`), "a/web > 255.255.255.255 tcp/80", Allowed},
		{"a block of host bits", out(`{"ipBlock":{"cidr":"10.8.1.1/16"}}`), "a/web > 10.8.0.1 tcp/80", Allowed},
		{"a Pod's address counts", out(most), "a/web > b/web tcp/80", Allowed},
		{"a Pod in the exception", out(`{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.2.3/32"]}}`), "a/web > b/web tcp/80", Denied},
		{"an exception that another peer allows", out(`{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.2.3/32"]}},{"namespaceSelector":{"matchLabels":{"team":"blue"}}}`), "a/web > b/web tcp/80", Allowed},
		{"IPv6 in an IPv6 block", out(`{"ipBlock":{"cidr":"fd01::/16"}}`), "6:a/web > 6:a/db tcp/80", Allowed},
		{"IPv6 in an IPv4 block", out(`{"ipBlock":{"cidr":"0.0.0.0/0"}}`), "6:a/web > 6:a/db tcp/80", Denied},
		{"the destination has one family alone", out(`{"ipBlock":{"cidr":"fd01::/16"}}`), "a/web > b/six tcp/80", Allowed},
		{"no family in common", out(most), "b/web > b/six tcp/80", Unknown},
		{"what is no block", out(`{"ipBlock":{"cidr":"10.0.0.0/33"}}`), "a/web > b/web tcp/80", Unknown},
		{"an exception of the other family", out(`{"ipBlock":{"cidr":"10.0.0.0/8","except":["fd00::/8"]}}`), "a/web > b/web tcp/80", Unknown},
		{"a block with a selector", out(`{"ipBlock":{"cidr":"10.0.0.0/8"},"podSelector":{}}`), "a/web > b/web tcp/80", Unknown},
		{"a Pod without address yet", out(most), "a/new > b/web tcp/80", Allowed},
		{"to it", out(most), "a/web > a/new tcp/80", Unknown},
		{"the address of one that has ended is another's", out(`{"ipBlock":{"cidr":"10.1.2.3/32"}}`), "a/web > 10.1.2.3 tcp/80", Allowed},
	})
}

func TestNodes(t *testing.T) {
	runFlows(t, []flowRow{
		{"its own node reaches a Pod", isolateA, "node/n1 > a/web tcp/80", Allowed},
		{"another node does not", isolateA, "node/n2 > a/web tcp/80", Denied},
		{"a Pod in the node's network is the node", isolateA, "b/host > a/web tcp/80", Allowed},
		{"and no selector selects it", fromPeers(`{"namespaceSelector":{}}`), "b/host > a/db tcp/80", Denied},
		{"nor any policy", `np b/x {"podSelector":{}}`, "a/db > b/host tcp/80", Allowed},
		{"a Pod reaches its own node", `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "a/web > node/n1 tcp/10250", Allowed},
		{"and no other", `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "a/web > node/n2 tcp/10250", Denied},
		{"by the node's address", isolateA, "10.0.0.1 > a/web tcp/80", Allowed},
		{"an address of its Pod range may be its own", isolateA, "10.1.1.1 > a/web tcp/80", Unknown},
		{"but not of another's", isolateA, "10.1.2.1 > a/web tcp/80", Denied},
		{"another node by an address", fromPeers(`{"ipBlock":{"cidr":"10.0.0.1/32"}}`), "10.0.0.1 > a/db tcp/80", Allowed},
		{"from which of its addresses a node sends is not known", fromPeers(`{"ipBlock":{"cidr":"10.0.0.1/32"}}`), "node/n1 > a/db tcp/80", Unknown},
		{"where all are allowed it does not matter", fromPeers(`{"ipBlock":{"cidr":"10.0.0.0/8"}}`), "node/n1 > a/db tcp/80", Allowed},
		{"nor where none is", fromPeers(`{"ipBlock":{"cidr":"10.0.0.7/32"}}`), "node/n1 > a/db tcp/80", Denied},
		{"between nodes there are no policies", isolateA, "node/n1 > node/n2 tcp/80", Allowed},
		{"a node as destination has its own address", `np a/x {"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.2/32"}}]}]}`, "a/web > node/n2 tcp/80", Allowed},
	})
}
