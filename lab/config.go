//go:build linux

package lab

import (
	"fmt"

	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . 203.0.113.10 {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`

// configMaps adds the configuration of kube-proxy, CoreDNS, flannel and kubeadm.
func (l *Lab) configMaps(o *snapshot.Objects) {
	pods, services := ClusterCIDR.String(), ServiceCIDR.String()
	if l.Topology.IPv6 {
		pods += "," + ClusterCIDR6.String()
		services += "," + ServiceCIDR6.String()
	}
	add := func(ns, name string, data map[string]string) {
		o.ConfigMaps = append(o.ConfigMaps, corev1.ConfigMap{
			TypeMeta: kind("v1", "ConfigMap"), ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data,
		})
	}
	if conf := l.flannelConf(); conf != "" {
		add("kube-flannel", "kube-flannel-cfg", map[string]string{"net-conf.json": conf, "cni-conf.json": cniConf})
	}
	add("kube-system", "coredns", map[string]string{"Corefile": corefile})
	add("kube-system", "kube-proxy", map[string]string{"config.conf": fmt.Sprintf(
		"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: iptables\nclusterCIDR: %s\niptables:\n  masqueradeAll: false\n  masqueradeBit: 14\n", pods)})
	add("kube-system", "kubeadm-config", map[string]string{"ClusterConfiguration": fmt.Sprintf(
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.2\nnetworking:\n  dnsDomain: cluster.local\n  podSubnet: %s\n  serviceSubnet: %s\n", pods, services)})
}

const cniConf = `{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},{"type":"portmap","capabilities":{"portMappings":true}}]}`

// flannelConf returns net-conf.json, "" where the CNI is another.
func (l *Lab) flannelConf() string {
	backend := map[string]string{
		"flannel": `{"Type": "vxlan", "VNI": 1, "Port": 8472}`,
		"hostgw":  `{"Type": "host-gw"}`,
	}[l.Topology.CNI]
	if backend == "" {
		return ""
	}
	v6 := ""
	if l.Topology.IPv6 {
		v6 = fmt.Sprintf("  \"EnableIPv6\": true,\n  \"IPv6Network\": \"%s\",\n", ClusterCIDR6)
	}
	return fmt.Sprintf("{\n  \"Network\": \"%s\",\n%s  \"EnableNFTables\": false,\n  \"Backend\": %s\n}\n", ClusterCIDR, v6, backend)
}
