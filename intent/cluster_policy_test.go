package intent

import "testing"

// cnp is a ClusterNetworkPolicy for all Pods of the namespace a, with rules for what comes in.
func cnp(name, tier, priority, rules string) string {
	return "cnp " + name + ` {"tier":"` + tier + `","priority":` + priority + `,"subject":{"namespaces":{"matchLabels":{"team":"red"}}},"ingress":[` + rules + `]}` + "\n"
}

// cnpOut is one with rules for what goes out.
func cnpOut(tier, rules string) string {
	return `cnp out {"tier":"` + tier + `","priority":5,"subject":{"namespaces":{"matchLabels":{"team":"red"}}},"egress":[` + rules + `]}` + "\n"
}

const (
	fromBlue  = `"from":[{"namespaces":{"matchLabels":{"team":"blue"}}}]`
	fromAll   = `"from":[{"namespaces":{}}]`
	acceptB   = `{"action":"Accept",` + fromBlue + `}`
	denyB     = `{"action":"Deny",` + fromBlue + `}`
	passB     = `{"action":"Pass",` + fromBlue + `}`
	denyAll   = `{"action":"Deny",` + fromAll + `}`
	noClue    = `{"action":"Log",` + fromBlue + `}`
	onePod    = `{"action":"Deny","from":[{"pods":{"namespaceSelector":{"matchLabels":{"team":"blue"}},"podSelector":{"matchLabels":{"app":"web"}}}}]}`
	unknown   = `{"action":"Deny","from":[{"planets":{}}]}`
	unknownOK = `{"action":"Accept","from":[{"planets":{}}]}`
)

// TestTiers: what the API of v1alpha2 says of tiers, priorities and actions.
func TestTiers(t *testing.T) {
	const flow = "b/web > a/db tcp/80"
	allowA := `np a/all {"podSelector":{},"ingress":[{}]}` + "\n"
	runFlows(t, []flowRow{
		{"Admin denies", cnp("x", "Admin", "5", denyB), flow, Denied},
		{"who is not its subject", cnp("x", "Admin", "5", denyB), "b/web > lost/x tcp/80", Unknown},
		{"who is no peer", cnp("x", "Admin", "5", denyB), "a/web > a/db tcp/80", Allowed},
		{"Admin accepts what a NetworkPolicy denies", cnp("x", "Admin", "5", acceptB) + isolateA, flow, Allowed},
		{"Admin denies what a NetworkPolicy allows", cnp("x", "Admin", "5", denyB) + allowA, flow, Denied},
		{"the first rule that matches", cnp("x", "Admin", "5", acceptB+","+denyB), flow, Allowed},
		{"the lower priority value", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "4", acceptB), flow, Allowed},
		{"a policy that does not match is passed over", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "4", `{"action":"Accept","from":[{"namespaces":{"matchLabels":{"team":"red"}}}]}`), flow, Denied},
		{"Pass leaves the tier", cnp("x", "Admin", "5", passB+","+denyB) + cnp("y", "Admin", "6", denyB), flow, Allowed},
		{"Pass goes to the NetworkPolicies", cnp("x", "Admin", "5", passB) + isolateA, flow, Denied},
		{"Pass goes to Baseline where none selects the Pod", cnp("x", "Admin", "5", passB) + cnp("y", "Baseline", "5", denyB), flow, Denied},
		{"Baseline denies", cnp("x", "Baseline", "5", denyB), flow, Denied},
		{"a NetworkPolicy is final: it allows", cnp("x", "Baseline", "5", denyB) + allowA, flow, Allowed},
		{"a NetworkPolicy is final: it denies", cnp("x", "Baseline", "5", acceptB) + isolateA, flow, Denied},
		{"Pass in Baseline", cnp("x", "Baseline", "5", passB+","+denyB), flow, Allowed},
		{"two of one priority that agree", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "5", denyAll), flow, Denied},
		{"two of one priority that do not", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "5", acceptB), flow, Unknown},
		{"of which a higher one decides first", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "5", acceptB) + cnp("z", "Admin", "1", acceptB), flow, Allowed},
		{"of which the ends are equal", cnp("x", "Admin", "5", passB) + cnp("y", "Admin", "5", acceptB), flow, Allowed},
		{"no rules: it does nothing", cnp("x", "Admin", "5", ""), flow, Allowed},
		{"an action of later", cnp("x", "Admin", "5", noClue), flow, Unknown},
		{"a tier of later", cnp("x", "Developer", "5", denyB), flow, Unknown},
		{"a Pod to itself", cnp("x", "Admin", "5", denyAll), "a/db > a/db tcp/80", Allowed},
		{"answers are not judged, egress is free", cnp("x", "Admin", "5", denyAll), "a/db > b/web tcp/80", Allowed},
	})
}

func TestClusterPeers(t *testing.T) {
	out := func(action, peer string) string {
		return cnpOut("Admin", `{"action":"`+action+`","to":[`+peer+`]}`)
	}
	runFlows(t, []flowRow{
		{"Pods by both selectors", cnp("x", "Admin", "5", onePod), "b/web > a/db tcp/80", Denied},
		{"another Pod", cnp("x", "Admin", "5", onePod), "b/six > 6:a/db tcp/80", Allowed},
		{"namespaces select no Pod in a node's network", cnp("x", "Admin", "5", denyAll), "b/host > a/db tcp/80", Allowed},
		{"nor anybody outside", cnp("x", "Admin", "5", denyAll), "8.8.8.8 > a/db tcp/80", Allowed},
		{"a Deny with a peer of later denies all", cnp("x", "Admin", "5", unknown), "8.8.8.8 > a/db tcp/80", Denied},
		{"a Pass with a peer of later too", cnp("x", "Admin", "5", `{"action":"Pass","from":[{"planets":{}}]}`), "b/web > a/db tcp/80", Denied},
		{"an Accept with a peer of later matches nothing", cnp("x", "Admin", "5", unknownOK) + isolateA, "b/web > a/db tcp/80", Denied},
		{"even where another of its peers matches", cnp("x", "Admin", "5", `{"action":"Accept","from":[{"namespaces":{}},{"planets":{}}]}`) + isolateA, "b/web > a/db tcp/80", Denied},
		{"no peers", cnp("x", "Admin", "5", `{"action":"Deny","from":[]}`), "b/web > a/db tcp/80", Unknown},
		{"two fields in a peer", cnp("x", "Admin", "5", `{"action":"Deny","from":[{"namespaces":{},"pods":{}}]}`), "b/web > a/db tcp/80", Unknown},
		{"no subject", `cnp x {"tier":"Admin","subject":{},"ingress":[` + denyB + `]}`, "b/web > a/db tcp/80", Unknown},
		{"Pods as subject", `cnp x {"tier":"Admin","subject":{"pods":{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"db"}}}},"ingress":[` + denyB + `]}`, "b/web > a/web tcp/80", Allowed},
		{"a network", out("Deny", `{"networks":["8.8.0.0/16"]}`), "a/web > 8.8.8.8 tcp/80", Denied},
		{"outside of it", out("Deny", `{"networks":["8.8.0.0/16"]}`), "a/web > 8.9.8.8 tcp/80", Allowed},
		{"a network holds Pods too", out("Deny", `{"networks":["0.0.0.0/0"]}`), "a/web > b/web tcp/80", Denied},
		{"of the other family", out("Deny", `{"networks":["0.0.0.0/0"]}`), "6:a/web > b/six tcp/80", Allowed},
		{"nodes by label", out("Deny", `{"nodes":{"matchLabels":{"zone":"two"}}}`), "a/web > node/n2 tcp/80", Denied},
		{"nodes by their address", out("Deny", `{"nodes":{"matchLabels":{"zone":"two"}}}`), "a/web > 10.0.0.2 tcp/80", Denied},
		{"other nodes", out("Deny", `{"nodes":{"matchLabels":{"zone":"one"}}}`), "a/web > node/n2 tcp/80", Allowed},
		{"all nodes are no Pods", out("Deny", `{"nodes":{}}`), "a/web > b/web tcp/80", Allowed},
		{"a Pod in a node's network", out("Deny", `{"nodes":{}}`), "a/db > b/host tcp/80", Denied},
		{"whether its own node can be denied no document says", out("Deny", `{"nodes":{}}`), "a/web > node/n1 tcp/80", Unknown},
		{"a domain name may be that of any address", out("Accept", `{"domainNames":["*.example.com"]}`) + `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "a/web > 8.8.8.8 tcp/80", Unknown},
		{"which does not matter where all is accepted", out("Accept", `{"domainNames":["*.example.com"]}`), "a/web > 8.8.8.8 tcp/80", Allowed},
		{"what is no network", out("Deny", `{"networks":["all"]}`), "a/web > 8.8.8.8 tcp/80", Unknown},
	})
}

func TestProtocols(t *testing.T) {
	on := func(p string) string {
		return cnpOut("Admin", `{"action":"Deny","to":[{"namespaces":{}}],"protocols":[`+p+`]}`)
	}
	runFlows(t, []flowRow{
		{"a number", on(`{"tcp":{"destinationPort":{"number":80}}}`), "a/web > b/web tcp/80", Denied},
		{"another", on(`{"tcp":{"destinationPort":{"number":80}}}`), "a/web > b/web tcp/81", Allowed},
		{"another protocol", on(`{"tcp":{"destinationPort":{"number":80}}}`), "a/web > b/web udp/80", Allowed},
		{"a range", on(`{"udp":{"destinationPort":{"range":{"start":80,"end":90}}}}`), "a/web > b/web udp/90", Denied},
		{"all of a protocol", on(`{"sctp":{}}`), "a/web > b/web sctp/9", Denied},
		{"a name, of any protocol", on(`{"destinationNamedPort":"dns"}`), "b/web > a/web udp/53", Allowed},
		{"a name at its destination", on(`{"destinationNamedPort":"http"}`), "a/web > a/db tcp/80", Denied},
		{"a name that it does not have", on(`{"destinationNamedPort":"http"}`), "a/web > b/web tcp/80", Allowed},
		{"ICMP is of no protocol that is named", on(`{"tcp":{}}`), "a/web > b/web icmp", Allowed},
		{"ICMP is matched where none is named", cnpOut("Admin", `{"action":"Deny","to":[{"namespaces":{}}]}`), "a/web > b/web icmp", Denied},
		{"a protocol of later", on(`{"quic":{}}`), "a/web > b/web tcp/80", Unknown},
		{"a port without number", on(`{"tcp":{"destinationPort":{}}}`), "a/web > b/web tcp/80", Unknown},
		{"a number that is none", on(`{"tcp":{"destinationPort":{"number":70000}}}`), "a/web > b/web tcp/80", Unknown},
	})
}

// TestPredecessors: AdminNetworkPolicy and BaselineAdminNetworkPolicy.
func TestPredecessors(t *testing.T) {
	const subject = `"subject":{"namespaces":{"matchLabels":{"team":"red"}}}`
	anp := func(rules string) string {
		return `anp x {"priority":5,` + subject + `,"ingress":[` + rules + `]}` + "\n"
	}
	banp := func(rules string) string { return `banp default {` + subject + `,"ingress":[` + rules + `]}` + "\n" }
	anpOut := func(rules string) string {
		return `anp x {"priority":5,` + subject + `,"egress":[` + rules + `]}` + "\n"
	}
	allow := `{"action":"Allow",` + fromBlue + `}`
	onPort := func(p string) string { return `{"action":"Deny",` + fromBlue + `,"ports":[` + p + `]}` }
	const flow = "b/web > a/db tcp/80"
	runFlows(t, []flowRow{
		{"it denies", anp(denyB), flow, Denied},
		{"it allows what a NetworkPolicy denies", anp(allow) + isolateA, flow, Allowed},
		{"it passes", anp(passB) + banp(denyB), flow, Denied},
		{"the baseline denies", banp(denyB), flow, Denied},
		{"a NetworkPolicy overrides the baseline", banp(denyB) + `np a/all {"podSelector":{},"ingress":[{}]}`, flow, Allowed},
		{"a port", anp(onPort(`{"portNumber":{"port":80}}`)), flow, Denied},
		{"another protocol", anp(onPort(`{"portNumber":{"port":80,"protocol":"UDP"}}`)), flow, Allowed},
		{"a range", anp(onPort(`{"portRange":{"start":79,"end":81}}`)), flow, Denied},
		{"a name", anp(onPort(`{"namedPort":"http"}`)), flow, Denied},
		{"a protocol of later", anp(onPort(`{"portNumber":{"port":80,"protocol":"QUIC"}}`)), flow, Unknown},
		{"two fields in a port", anp(onPort(`{"namedPort":"http","portRange":{"start":79,"end":81}}`)), flow, Unknown},
		{"a network", anpOut(`{"action":"Deny","to":[{"networks":["8.0.0.0/8"]}]}`), "a/web > 8.8.8.8 tcp/80", Denied},
		{"nodes", anpOut(`{"action":"Deny","to":[{"nodes":{}}]}`), "a/web > node/n2 tcp/80", Denied},
		{"beside a ClusterNetworkPolicy that agrees", anp(denyB) + cnp("y", "Admin", "1", denyB), flow, Denied},
		{"that does not: which comes first no document says", anp(denyB) + cnp("y", "Admin", "1", acceptB), flow, Unknown},
		{"that does not match", anp(denyB) + cnp("y", "Admin", "1", onePod), "b/six > 6:a/db tcp/80", Denied},
		{"baselines of both", banp(denyB) + cnp("y", "Baseline", "1", passB), flow, Unknown},
	})
}

func TestNotCollected(t *testing.T) {
	o := objectsOf(t, world)
	o.Have["NetworkPolicy"] = false
	e := New(o)
	if got := e.Answer(peerOf(t, e, "a/web"), peerOf(t, e, "b/web"), Port{6, 80}); got != Unknown {
		t.Errorf("without NetworkPolicies: %v", got)
	}
	if got := e.AllPairs(Port{6, 80}, false).Count(); got.Allowed != 0 || got.Denied != 0 || got.Unknown == 0 {
		t.Errorf("without NetworkPolicies: %+v", got)
	}
	o = objectsOf(t, world+policies(t, cnp("x", "Admin", "5", denyB)))
	o.Have["NetworkPolicy"] = false
	e = New(o)
	if got := e.Answer(peerOf(t, e, "b/web"), peerOf(t, e, "a/db"), Port{6, 80}); got != Denied {
		t.Errorf("an Admin policy denies, whatever NetworkPolicies say: %v", got)
	}
	o = objectsOf(t, world)
	o.Have["Pod"] = false
	e = New(o)
	if got := e.Answer(peerOf(t, e, "10.1.1.9"), peerOf(t, e, "a/db"), Port{6, 80}); got != Unknown {
		t.Errorf("an address that may be a Pod's: %v", got)
	}
}

func TestPeers(t *testing.T) {
	e := engineOf(t, "")
	for _, name := range []string{"b/done", "b/nobody", ""} {
		ns, own := name, ""
		if len(name) > 2 {
			ns, own = name[:1], name[2:]
		}
		if _, ok := e.Pod(ns, own); ok {
			t.Errorf("%q is there", name)
		}
	}
	if _, ok := e.Node("n9"); ok {
		t.Error("n9 is there")
	}
	if got := e.Answer(Peer{}, peerOf(t, e, "a/db"), Port{6, 80}); got != Unknown {
		t.Errorf("nobody: %v", got)
	}
	if got := e.Answer(peerOf(t, e, "::ffff:10.1.1.2"), peerOf(t, e, "a/db"), Port{6, 80}); got != Allowed {
		t.Errorf("an IPv4 address in IPv6: %v", got)
	}
}
