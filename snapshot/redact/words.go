package redact

import (
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

func set(lists ...string) map[string]bool {
	out := map[string]bool{}
	for _, list := range lists {
		for _, w := range strings.Fields(list) {
			out[w] = true
		}
	}
	return out
}

// parts are the parts of names that stay: those of the names that Kubernetes and CNI plugins
// themselves use, which tell nothing of a cluster.
var parts = set(`kube system proxy flannel coredns dns node pod svc cni default kubernetes etcd apiserver scheduler controller manager
	local cluster host hostpath nginx calico cilium weave antrea kindnet canal kubelet kubeadm containerd cfg ds`)

// chainParts are those of the names of chains and sets, in the case that they have there.
var chainParts = set(`KUBE SVC SVL SEP EXT FW XLB SERVICES NODEPORTS NODEPORT EXTERNAL POSTROUTING PREROUTING FORWARD INPUT OUTPUT FIREWALL PROXY
	KUBELET CANARY IPTABLES HINT MARK MASQ DROP METRICS LOOP BACK LOCAL NODE PORT CLUSTER LOAD BALANCER SOURCE CIDR IP TCP UDP SCTP HASH IPVS FILTER
	FLANNEL FWD POSTRTG CNI DN SN HOSTPORT DNAT SNAT SETMARK ADMIN OVERRIDES ISOLATION STAGE DOCKER USER CILIUM PRE POST RAW MANGLE NAT WEAVE NPC
	DEFAULT INGRESS EGRESS CANAL CALI ROUTER POD NWPLCY KUBERNETES`)

// system are the whole names that stay: what Kubernetes, its CNI plugins and its nodes run.
// check.RoleOf knows the network's parts by them.
var system = func() map[string]bool {
	out := set(`kube-flannel-ds calico-node calico-kube-controllers calico-system calico-apiserver tigera-operator cilium-operator cilium-envoy kube-router weave-net antrea-agent
	antrea-controller aws-node azure-cni kube-ovn-cni ovnkube-node local-path-storage ip-masq-agent node-local-dns nodelocaldns kube-node-lease kube-public
	system-node-critical system-cluster-critical flanneld dockerd crio sshd systemd-resolve systemd-network chronyd rpcbind dnsmasq
	service-ips service-nodeports no-endpoint-services no-endpoint-nodeports firewall-ips cluster-ips nodeport-ips services firewall
	mark-for-masquerade masquerading reject-chain firewall-check cluster-ips-check nodeport-ips-check service-endpoints-check service-nodeports-check
	filter-prerouting filter-input filter-forward filter-output filter-output-post-dnat nat-prerouting nat-output nat-postrouting
	ingress-nginx ingress-nginx-controller traefik kubernetes-ingress ingress-controller ingress haproxy contour envoy k8s.io traefik.io haproxy.org projectcontour.io
	endpointslice-controller.k8s.io CoreDNS KubeDNS kube-network-policies kindnet-network-policies plumb-lab-policy
	true false linux amd64 arm64 None http https plumb plumbd`)
	for _, config := range snapshot.NetworkConfigs() {
		ns, name, _ := strings.Cut(config, "/")
		out[ns], out[name] = true, true
	}
	return out
}()

// words are those of sentences that stay: of the comments of kube-proxy, flannel and the CNI plugins, of the
// conditions of nodes and Pods, and of what programs say when they fail.
var words = set(`a an and any are as at be been by can cannot could did do does for from has have if in into is it its more than no not of off on only or
	over so that the there this to too was were which will with without
	access active address addresses administratively after again all allow allowed already argument at available back bad balancer before block broken bytes
	capability check checks cidr cni command completed condition config configuration connect connected connecting connection connections conntrack container containers
	could count counter cpu crash crio critical daemon dead deadline denied destination destinations device died directory disk down drop dropped
	empty endpoint endpoints enough error evicted exceeded exec executable exist exists exit exited external externally visible failed failing failure file
	files filter firewall flanneld forward forwarding found from full fwd generated get group handler has health healthy host hostport hostports house
	image incoming incomplete initialized installed insufficient internal invalid io ip ipset iptables ipv keep kernel known
	left legacy level limit line link list listening load loading local localnet lock lookup lost low mark masq masquerade match matches memory message missing module
	must namespace net netlink netns network networking nft nodeport nodes none nor not number operation option out own packet packets path peer permission
	permitted pid plugin pods policy port portals ports possible posting postrouting pressure priority process program prohibited protocol public pull
	pulling pulled read readiness reading ready reason receive received redirect refused reject rejected requests required requiring reserved reset resource
	resources rest restart restarting return returned returns route router rule rules run running runtime save schedulable scheduled secret
	service services set sets setup signal skip snat socket source space started starting state status stopped stopping storage such sufficient
	support supported syntax sysctl table tables taint taints target temporarily terminated terminating time timed timeout times tolerate toleration took
	traffic try type unable unavailable understood unexpected unhealthy unknown unreachable unschedulable unsupported until untolerated up usage
	use used user using value values version visible wait waiting wants while word write wrong yet you
	networkready networkpluginnotready kubeletready kubeletnotready nodestatusunknown containerdhasnopressure
	kubelethassufficientmemory kubelethasnodiskpressure kubelethassufficientpid crashloopbackoff imagepullbackoff errimagepull unschedulable
	enoent eperm eacces operationnotpermitted ebusy sandbox pending succeeded forbidden cluster`)
