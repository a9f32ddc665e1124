package redact

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
)

// TestObjects: what becomes of each part of an object. The form is that of want.
func TestObjects(t *testing.T) {
	r := fresh()
	tests := []struct{ name, in, want string }{
		{"names and labels", `{"metadata":{"name":"web-0","namespace":"shop","labels":{"app":"web","team/payroll":"blue","kubernetes.io/service-name":"api"}}}`,
			`{"metadata":{"name":"‹web›-0","namespace":"‹shop›","labels":{"app":"‹web›","‹team›/‹payroll›":"‹blue›","kubernetes.io/service-name":"‹api›"}}}`},
		{"what the system is known by", `{"metadata":{"name":"kube-proxy-x2x4z","namespace":"kube-system","labels":{"k8s-app":"kube-proxy"}}}`,
			`{"metadata":{"name":"kube-proxy-‹x2x4z›","namespace":"kube-system","labels":{"k8s-app":"kube-proxy"}}}`},
		{"a Service", `{"spec":{"clusterIP":"10.96.0.20","clusterIPs":["10.96.0.20","None"],"selector":{"app":"web"},"ports":[{"name":"pay","protocol":"TCP","port":80,"targetPort":"pay"}],"externalTrafficPolicy":"Local","externalName":"db.corp"}}`,
			`{"spec":{"clusterIP":"«10.96.0.20»","clusterIPs":["«10.96.0.20»","None"],"selector":{"app":"‹web›"},"ports":[{"name":"‹pay›","protocol":"TCP","port":80,"targetPort":"‹pay›"}],"externalTrafficPolicy":"Local","externalName":"‹db›.‹corp›"}}`},
		{"a selector of labels", `{"spec":{"selector":{"matchLabels":{"app":"web"},"matchExpressions":[{"key":"team","operator":"In","values":["blue"]}]}}}`,
			`{"spec":{"selector":{"matchLabels":{"app":"‹web›"},"matchExpressions":[{"key":"‹team›","operator":"In","values":["‹blue›"]}]}}}`},
		{"tolerations and affinity", `{"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"},{"key":"acme","value":"blue"}],"nodeAffinity":{"matchFields":[{"key":"metadata.name","operator":"In","values":["node-b"]}]}}`,
			`{"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"},{"key":"‹acme›","value":"‹blue›"}],"nodeAffinity":{"matchFields":[{"key":"metadata.name","operator":"In","values":["node-‹b›"]}]}}`},
		{"an image, a path, an id", `{"image":"registry.corp/pay:1.2","uid":"0a1b","httpGet":{"path":"/pay","port":"pay","scheme":"HTTP"},"containerID":"x","providerID":"aws:///i-1"}`,
			`{"image":"","uid":"","httpGet":{"path":"","port":"‹pay›","scheme":"HTTP"},"containerID":"","providerID":""}`},
		{"a status", `{"status":{"phase":"Pending","reason":"Evicted","message":"node db1.corp was low on memory","podIP":"10.244.0.2","podIPs":[{"ip":"10.244.0.2"}],"startTime":"2026-01-02T03:04:05Z","nominatedNodeName":"node-b"}}`,
			`{"status":{"phase":"Pending","reason":"Evicted","message":"node ‹db1›.‹corp› was low on memory","podIP":"«10.244.0.2»","podIPs":[{"ip":"«10.244.0.2»"}],"startTime":"2026-01-02T03:04:05Z","nominatedNodeName":"node-‹b›"}}`},
		{"a reason with a name in it", `{"reason":"pay-failed"}`, `{"reason":""}`},
		{"a node's addresses", `{"addresses":[{"type":"Hostname","address":"db1"},{"type":"InternalIP","address":"10.0.0.7"}],"nodeInfo":{"kernelVersion":"6.1.0-acme","machineID":"77ab"}}`,
			`{"addresses":[{"type":"Hostname","address":"‹db1›"},{"type":"InternalIP","address":"«10.0.0.7»"}],"nodeInfo":{"kernelVersion":"","machineID":""}}`},
		{"quantities of a Pod that runs", `{"allocatedResources":{"cpu":"100m"},"resources":{"limits":{"memory":"9007199254740988Ki"}}}`, `{"allocatedResources":{},"resources":{"limits":{}}}`},
		{"quantities", `{"resources":{"limits":{"cpu":"2","acme.corp/gpu":"1"}},"allocatable":{"pods":"110"}}`, `{"resources":{"limits":{}},"allocatable":{}}`},
		{"endpoints", `{"addressType":"IPv4","endpoints":[{"addresses":["10.244.0.2"],"nodeName":"node-b","zone":"eu-1","targetRef":{"kind":"Pod","name":"web-0","namespace":"shop"}}]}`,
			`{"addressType":"IPv4","endpoints":[{"addresses":["«10.244.0.2»"],"nodeName":"node-‹b›","zone":"‹eu›-1","targetRef":{"kind":"Pod","name":"‹web›-0","namespace":"‹shop›"}}]}`},
		{"a policy", `{"spec":{"policyTypes":["Ingress"],"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/16","except":["10.0.3.0/24"]}}]}]}}`,
			`{"spec":{"policyTypes":["Ingress"],"ingress":[{"from":[{"ipBlock":{"cidr":"«10.0.0.0/16»","except":["«10.0.3.0/24»"]}}]}]}}`},
		{"a policy of the cluster", `{"kind":"ClusterNetworkPolicy","apiVersion":"policy.networking.k8s.io/v1alpha2","spec":{"tier":"Admin","priority":7,"subject":{"namespaces":{"matchLabels":{"team":"blue"}}},"egress":[{"name":"no-pay","action":"Deny","to":[{"networks":["10.0.0.0/16"]},{"domainNames":["*.pay.corp"]}],"protocols":[{"destinationNamedPort":"pay"}]}]}}`,
			`{"kind":"ClusterNetworkPolicy","apiVersion":"policy.networking.k8s.io/v1alpha2","spec":{"tier":"Admin","priority":7,"subject":{"namespaces":{"matchLabels":{"‹team›":"‹blue›"}}},"egress":[{"name":"‹no›-‹pay›","action":"Deny","to":[{"networks":["«10.0.0.0/16»"]},{"domainNames":["*.‹pay›.‹corp›"]}],"protocols":[{"destinationNamedPort":"‹pay›"}]}]}}`},
		{"a Gateway", `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","spec":{"gatewayClassName":"pay-edge","listeners":[{"name":"web","port":80,"protocol":"HTTP","hostname":"pay.corp"}]}}`,
			`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","spec":{"gatewayClassName":"‹pay›-‹edge›","listeners":[{"name":"‹web›","port":80,"protocol":"HTTP","hostname":"‹pay›.‹corp›"}]}}`},
		{"an HTTPRoute", `{"spec":{"parentRefs":[{"namespace":"infra","name":"edge","sectionName":"web"}],"hostnames":["pay.corp"],"rules":[{"matches":[{"path":{"type":"Exact","value":"/pay"}}],"backendRefs":[{"name":"pay","port":80}]}]}}`,
			`{"spec":{"parentRefs":[{"namespace":"‹infra›","name":"‹edge›","sectionName":"‹web›"}],"hostnames":["‹pay›.‹corp›"],"rules":[{"matches":[{"path":{"type":"Exact","value":"/‹pay›"}}],"backendRefs":[{"name":"‹pay›","port":80}]}]}}`},
		{"an Ingress", `{"spec":{"rules":[{"host":"pay.corp","http":{"paths":[{"path":"/pay","pathType":"Prefix","backend":{"service":{"name":"pay","port":{"name":"web"}}}}]}}],"tls":[{"hosts":["pay.corp"],"secretName":"pay-tls"}]}}`,
			`{"spec":{"rules":[{"host":"‹pay›.‹corp›","http":{"paths":[{"path":"/‹pay›","pathType":"Prefix","backend":{"service":{"name":"‹pay›","port":{"name":"‹web›"}}}}]}}],"tls":[{"hosts":["‹pay›.‹corp›"],"secretName":"‹pay›-‹tls›"}]}}`},
		{"annotations", `{"annotations":{"flannel.alpha.coreos.com/public-ip":"10.0.0.7","flannel.alpha.coreos.com/backend-type":"vxlan","flannel.alpha.coreos.com/backend-data":"{\"VNI\":1,\"VtepMAC\":\"0a:58:0a:f4:00:02\"}","projectcalico.org/IPv4Address":"10.0.0.7/24","acme.corp/owner":"jane","networking.acme/x":"jane","cilium.io/note":"jane"}}`,
			`{"annotations":{"flannel.alpha.coreos.com/public-ip":"«10.0.0.7»","flannel.alpha.coreos.com/backend-type":"vxlan","flannel.alpha.coreos.com/backend-data":"{\"VNI\":1,\"VtepMAC\":\"«0a:58:0a:f4:00:02»\"}","projectcalico.org/IPv4Address":"«10.0.0.7»/24","cilium.io/note":"‹jane›"}}`},
		{"a network's state", `{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[{\"name\":\"corp-net\",\"interface\":\"eth0\",\"ips\":[\"10.244.0.2\"],\"mac\":\"0a:58:0a:f4:00:02\",\"gateway\":\"x\"}]"}}`,
			`{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[{\"name\":\"‹corp›-‹net›\",\"interface\":\"eth0\",\"ips\":[\"«10.244.0.2»\"],\"mac\":\"«0a:58:0a:f4:00:02»\",\"gateway\":\"\"}]"}}`},
		{"kubeadm's settings", `{"data":{"ClusterConfiguration":"apiServer:\n  certSANs: [pay.corp]\nnetworking:\n  dnsDomain: pay.corp\n  podSubnet: 10.244.0.0/16,fd00:10:244::/56\n","other":"pay"}}`,
			`{"data":{"ClusterConfiguration":"\n\n\n  dnsDomain: ‹pay›.‹corp›\n  podSubnet: «10.244.0.0/16»,«fd00:10:244::/56»\n"}}`},
		{"flannel's settings", `{"data":{"net-conf.json":"{\n  \"Network\": \"10.244.0.0/16\",\n  \"Note\": \"pay\",\n  \"Backend\": {\n    \"Type\": \"vxlan\"\n  }\n}\n","cni-conf.json":"{}"}}`,
			`{"data":{"net-conf.json":"{\n  \"Network\": \"«10.244.0.0/16»\",\n\n\n    \"Type\": \"vxlan\"\n  }\n}\n"}}`},
		{"kube-proxy's settings", `{"data":{"config.conf":"mode: \"\"\nclusterCIDR: 10.244.0.0/16\nclientConnection:\n  kubeconfig: /etc/pay\n","kubeconfig.conf":"token: hunter2"}}`,
			`{"data":{"config.conf":"mode: \"\"\nclusterCIDR: «10.244.0.0/16»\n\n\n"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := r.objects([]byte(tt.in + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want(r, tt.want), strings.ReplaceAll(strings.TrimSpace(string(out)), ",\n ", ",")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestObjectFiles: a mixed List is taken apart, Secrets do not come along, and what was cut short stays so.
func TestObjectFiles(t *testing.T) {
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"web-0"},"spec":{"containers":[{"name":"web","env":[{"name":"PASSWORD","value":"hunter2"}]}]}}`
	const secret = `{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":"shop","name":"tls"},"data":{"key":"aHVudGVyMg=="}}`
	list := `{"apiVersion":"v1","kind":"List","items":[` + pod + "," + strings.ReplaceAll(pod, "web-0", "web-1") + "," + secret + `]}`
	tests := []struct {
		name  string
		files snapshot.Files
		have  bool // Pods were collected as a whole
		pods  int
		gaps  int
	}{
		{"a List", snapshot.Files{"objects/acme.json": []byte(list)}, true, 2, 0},
		{"cut short", snapshot.Files{"objects/pods.json": []byte(list[:len(list)-3])}, false, 2, 1},
		{"one alone", snapshot.Files{"objects/acme.json": []byte(pod)}, false, 1, 0},
		{"one not understood", snapshot.Files{"objects/pods.json": []byte(strings.Replace(list, `"name":"web-1"`, `"name":7`, 1))}, true, 1, 1},
		{"not collected", snapshot.Files{"objects/pods.json.error": []byte("pods is forbidden: User jane cannot list")}, false, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			red, _, err := Files(tt.files, testKey)
			if err != nil {
				t.Fatal(err)
			}
			c, err := snapshot.Read(red)
			if err != nil {
				t.Fatal(err)
			}
			gaps := 0
			for _, g := range c.Gaps {
				if strings.HasPrefix(g.Path, "objects/pods.json") {
					gaps = 1
				}
			}
			if c.Objects.Have["Pod"] != tt.have || len(c.Objects.Pods) != tt.pods || gaps != tt.gaps {
				t.Errorf("have %v, %d Pods, gaps %v", c.Objects.Have["Pod"], len(c.Objects.Pods), c.Gaps)
			}
			for name, data := range red {
				for _, word := range []string{"hunter2", "aHVudGVy", "web-", "acme", "tls", "jane"} {
					if strings.Contains(name+string(data), word) {
						t.Errorf("%s holds %s", name, word)
					}
				}
			}
		})
	}
}
