// Package podcidr checks the Pod ranges of nodes: that each has one, its own, and with room.
package podcidr

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Missing reports nodes without a Pod range where other nodes have one.
var Missing = &check.Check{
	Name: "podcidr-missing",
	Doc: `a node has no Pod range

Symptom: Pods on the node stay in ContainerCreating; the CNI agent says "node has no podCIDR assigned".
Cause: the cluster's Pod range is used up, or the controller manager does not allocate ranges
(--allocate-node-cidrs), or the node was made with another Pod range in mind.
Cure: remove nodes that are gone for good, whose ranges are then free; widen the controller manager's --cluster-cidr;
or raise --node-cidr-mask-size, so that each new node takes a smaller range.
Commands:
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR
    kubectl -n kube-system logs -l component=kube-controller-manager | grep -i cidr`,
	DocZH: `节点没有分配 Pod 网段

症状：该节点上的 Pod 一直处于 ContainerCreating；CNI 代理提示 "node has no podCIDR assigned"。
原因：集群 Pod 网段已用尽，或 controller-manager 没有开启分配（--allocate-node-cidrs），或该节点是按另一网段加入的。
处理：删除已不存在的节点以释放其网段；扩大 controller-manager 的 --cluster-cidr；或增大 --node-cidr-mask-size，使新节点占用更小的网段。
命令：
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR
    kubectl -n kube-system logs -l component=kube-controller-manager | grep -i cidr`,
	Needs: []string{"objects/Node"},
	Run:   missing,
}

// Overlap reports nodes whose Pod ranges overlap.
var Overlap = &check.Check{
	Name: "podcidr-overlap",
	Doc: `two nodes have Pod ranges that overlap

Symptom: Pods on one of the nodes cannot be reached from elsewhere, or another Pod answers for them.
Cause: a range was set by hand, or the node objects were restored from two sources.
Cure: drain one of the nodes, delete its object, and let it join again: it gets a range of its own.
Commands:
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR`,
	DocZH: `两个节点的 Pod 网段重叠

症状：其中一个节点上的 Pod 从别处访问不到，或由另一个 Pod 应答。
原因：网段是手工设置的，或节点对象从两处恢复而来。
处理：排空其中一个节点，删除其节点对象并重新加入，让它获得自己的网段。
命令：
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR`,
	Needs: []string{"objects/Node"},
	Run:   overlap,
}

// Exhausted reports nodes whose Pod range has no address left, or nearly none.
var Exhausted = &check.Check{
	Name: "podcidr-exhausted",
	Doc: `a node's Pod range has no address left

Symptom: new Pods on the node stay in ContainerCreating: "no IP addresses available in range set".
Cause: more Pods than the range has addresses, or addresses that the CNI plugin did not give back.
Cure: lower --max-pods below the size of the range, give nodes larger ranges, or free leaked
addresses under /var/lib/cni/networks.
Commands:
    kubectl get pods -A -o wide --field-selector spec.nodeName=NODE
    ls /var/lib/cni/networks/*/ | wc -l`,
	DocZH: `节点的 Pod 网段没有空余地址

症状：该节点上的新 Pod 一直处于 ContainerCreating："no IP addresses available in range set"。
原因：Pod 数量超过网段的地址数，或 CNI 插件没有归还地址。
处理：让 --max-pods 小于网段大小，给节点更大的网段，或清理 /var/lib/cni/networks 下泄漏的地址。
命令：
    kubectl get pods -A -o wide --field-selector spec.nodeName=节点
    ls /var/lib/cni/networks/*/ | wc -l`,
	Needs: []string{"objects/Node", "objects/Pod"},
	Run:   exhausted,
}

func missing(p *check.Pass) {
	with := 0
	for i := range p.Snapshot.Objects.Nodes {
		if len(check.PodCIDRs(&p.Snapshot.Objects.Nodes[i])) > 0 {
			with++
		}
	}
	for i := range p.Snapshot.Objects.Nodes {
		o := &p.Snapshot.Objects.Nodes[i]
		if with == 0 || len(check.PodCIDRs(o)) > 0 {
			continue // where no node has one, the CNI gives addresses by other means
		}
		f := check.Finding{
			Severity: check.Error, Where: "node/" + o.Name,
			What:     text.F("the node has no Pod range; %d other nodes have one", with),
			Fix:      check.Fix{What: text.F("let the controller manager give %s a Pod range", o.Name)},
			Evidence: []snapshot.Evidence{p.Object("Node", "", o.Name, "spec.podCIDR: (none)")},
			Explains: []check.Symptom{{Check: "cni-missing", Where: "node/" + o.Name}, {Check: "route-missing", Where: o.Name}},
		}
		blameNode(p, &f, o.Name)
		p.Report(f)
	}
}

// blameNode makes f the cause of broken paths to or from the Pods of a node.
func blameNode(p *check.Pass, f *check.Finding, node string) {
	p.Blame(f, func(b check.Broken) bool {
		pod := p.PodByAddr(b.Path.Final.Dst.Addr())
		return pod != nil && pod.Spec.NodeName == node || b.Unwired(node)
	})
}

func overlap(p *check.Pass) {
	nodes := p.Snapshot.Objects.Nodes
	for i := range nodes {
		for j := range nodes[:i] {
			a, b, ok := clash(&nodes[j], &nodes[i])
			if !ok {
				continue
			}
			f := check.Finding{
				Severity: check.Error, Where: "node/" + nodes[i].Name,
				What: text.F("its Pod range %s overlaps %s of node %s", b, a, nodes[j].Name),
				Fix: check.Fix{What: text.F("give %s a Pod range of its own: drain it, delete its node object, and let it join again", nodes[i].Name), Commands: []string{
					check.Cmd("kubectl drain %s --ignore-daemonsets", nodes[i].Name), check.Cmd("kubectl delete node %s", nodes[i].Name)}},
				Evidence: []snapshot.Evidence{
					p.Object("Node", "", nodes[j].Name, "spec.podCIDR: "+a.String()),
					p.Object("Node", "", nodes[i].Name, "spec.podCIDR: "+b.String()),
				},
				Explains: []check.Symptom{{Check: "duplicate-address"}, {Check: "route-wrong"}, {Check: "masquerade-unwanted"}},
			}
			for _, n := range []string{nodes[i].Name, nodes[j].Name} {
				for _, c := range []string{"route-missing", "fdb-drift", "neigh-drift"} {
					f.Explains = append(f.Explains, check.Symptom{Check: c, Where: n})
				}
			}
			p.Blame(&f, func(x check.Broken) bool { return x.Toward(a) || x.Toward(b) })
			p.Report(f)
		}
	}
}

func clash(x, y *corev1.Node) (a, b netip.Prefix, ok bool) {
	for _, a := range check.PodCIDRs(x) {
		for _, b := range check.PodCIDRs(y) {
			if a.Overlaps(b) {
				return a, b, true
			}
		}
	}
	return a, b, false
}

// nearly is the share of a range in use from which it is worth a warning.
const nearly = 0.9

func exhausted(p *check.Pass) {
	used := map[netip.Prefix]int{}
	for i := range p.Snapshot.Objects.Pods {
		for _, a := range check.PodAddrs(&p.Snapshot.Objects.Pods[i]) {
			for _, c := range p.PodCIDRsOf(a) {
				used[c]++
			}
		}
	}
	for j := range p.Snapshot.Objects.Nodes {
		o := &p.Snapshot.Objects.Nodes[j]
		for _, c := range check.PodCIDRs(o) {
			if c.Addr().Is4() {
				judgeRoom(p, o, c, used[c])
			}
		}
	}
}

// judgeRoom reports a range that is full, or nearly so. Three addresses are
// not for Pods: the network's, the broadcast and the gateway.
func judgeRoom(p *check.Pass, o *corev1.Node, c netip.Prefix, used int) {
	room := 1<<(32-c.Bits()) - 3
	if room < 1 || float64(used) < nearly*float64(room) {
		return
	}
	f := check.Finding{
		Severity: check.Warning, Where: "node/" + o.Name,
		What:     text.F("%d of the %d Pod addresses of %s are in use", used, room, c),
		Fix:      check.Fix{What: text.F("set the kubelet's maxPods to %d or less, or give nodes larger Pod ranges", room)},
		Evidence: []snapshot.Evidence{p.Object("Node", "", o.Name, "spec.podCIDR: "+c.String())},
	}
	p.Report(f)
}
