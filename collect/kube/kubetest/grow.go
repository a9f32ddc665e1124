package kubetest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the recorded cluster of flannel is cut from: its last node, and a Pod of that.
const (
	pattern      = "nodes/node-c/"
	patternPod   = "pod-shop-web-2"
	podRange     = "10.244.0.0/16"
	largeRange   = "10.128.0.0/9"
	envOfPod     = 20
	hostPodsHave = 5 // the ifindex of the first veth
)

// Grow gives the recorded cluster of three nodes, flannel's, more of them: each as the third was
// recorded, with addresses and Pods of its own, and every node with the tunnels to all. Pods are
// as large as real ones are.
func Grow(files snapshot.Files, nodes, podsOfNode int) (*Server, error) {
	all := snapshot.Files{}
	for name, data := range files {
		all[name] = []byte(strings.ReplaceAll(string(data), podRange, largeRange))
	}
	s, err := FromFiles(all)
	if err != nil {
		return nil, err
	}
	g := &grown{recorded: all, pods: podsOfNode}
	o := &s.Objects
	system := systemPods(o.Pods)
	for i := len(o.Nodes); i < nodes; i++ {
		p := peer(i)
		g.peers = append(g.peers, p)
		o.Nodes = append(o.Nodes, p.object(o.Nodes[2]))
		for _, pod := range system {
			o.Pods = append(o.Pods, p.moved(pod))
		}
		for j := range podsOfNode {
			o.Pods = append(o.Pods, p.pod(j))
		}
	}
	recorded := s.Node
	s.Node = func(node string, whole bool, pods []string) snapshot.Files {
		for i := range g.peers {
			if g.peers[i].name == node {
				return g.node(i, whole, pods)
			}
		}
		out := recorded(node, whole, pods)
		join("nodes/"+node+"/host/", out, g.peers)
		return out
	}
	return s, nil
}

// A node that is added: its name, and what of its addresses and MAC is its own.
type added struct {
	name, ip, mac, prefix, vtep string // prefix: "10.128.3."
}

// third is the recorded node that the others are made like.
var third = added{"node-c", "192.168.10.13", "0a:2c:d5:e2:9d:b9", "10.244.2.", "ea:b9:a4:c1:e0:40"}

func peer(i int) added {
	return added{
		name:   fmt.Sprintf("node-%d", i),
		ip:     fmt.Sprintf("192.168.%d.%d", 11+i/200, 10+i%200),
		mac:    fmt.Sprintf("0a:2c:d5:e2:%02x:%02x", i/256, i%256),
		prefix: fmt.Sprintf("10.%d.%d.", 128+i/256, i%256),
		vtep:   fmt.Sprintf("ea:b9:a4:c1:%02x:%02x", i/256, i%256),
	}
}

func (p added) object(like corev1.Node) corev1.Node {
	n := *like.DeepCopy()
	n.Name, n.Labels["kubernetes.io/hostname"] = p.name, p.name
	n.Annotations["flannel.alpha.coreos.com/backend-data"] = fmt.Sprintf(`{"VNI":1,"VtepMAC":%q}`, p.vtep)
	n.Annotations["flannel.alpha.coreos.com/public-ip"] = p.ip
	n.Spec.PodCIDR = p.prefix + "0/24"
	n.Spec.PodCIDRs = []string{n.Spec.PodCIDR}
	n.Status.Addresses[0].Address, n.Status.Addresses[1].Address = p.ip, p.name
	return n
}

// systemPods are the Pods on the third node that are on every node.
func systemPods(pods []corev1.Pod) (out []corev1.Pod) {
	for _, p := range pods {
		if p.Spec.NodeName == "node-c" && p.Spec.HostNetwork {
			out = append(out, p)
		}
	}
	return out
}

func (p added) moved(like corev1.Pod) corev1.Pod {
	pod := *like.DeepCopy()
	pod.Name, pod.Spec.NodeName = pod.Name+"-"+p.name, p.name
	pod.Status.PodIP, pod.Status.HostIP = p.ip, p.ip
	pod.Status.PodIPs = []corev1.PodIP{{IP: p.ip}}
	return pod
}

func (p added) podName(j int) string { return fmt.Sprintf("app-%s-%d", p.name, j) }

func (p added) podIP(j int) string { return fmt.Sprint(p.prefix, j+2) }

// pod is a Pod with the settings and managed fields that real ones have.
func (p added) pod(j int) corev1.Pod {
	c := corev1.Container{Name: "app", Image: "app:v1.2.3", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	for i := range envOfPod {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: strings.Repeat("x", 60)})
	}
	ip := p.podIP(j)
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "apps", Name: p.podName(j), UID: "0b6ba6b0-5a4f-4f0b-9d11-6d6f2f1f7a51", Labels: map[string]string{"app": "app", "pod-template-hash": "6c9f7d5b8"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(strings.Repeat(`{"f:x":{}}`, 150))}},
		},
		Spec: corev1.PodSpec{NodeName: p.name, Containers: []corev1.Container{c}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: p.ip, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Ready: true}},
		},
	}
}

// A grown cluster makes the state of a node when it is asked for.
type grown struct {
	recorded snapshot.Files
	peers    []added
	pods     int
}

// join adds what flannel writes on a node for others.
func join(dir string, files snapshot.Files, others []added) {
	lines := map[string][]string{}
	for _, p := range others {
		lines["routes.json"] = append(lines["routes.json"], fmt.Sprintf(`{"dev":"flannel.1","dst":"%s0/24","flags":["onlink"],"gateway":"%s0"}`, p.prefix, p.prefix))
		lines["neigh.json"] = append(lines["neigh.json"], fmt.Sprintf(`{"dev":"flannel.1","dst":"%s0","lladdr":%q,"state":["PERMANENT"]}`, p.prefix, p.vtep))
		lines["fdb.json"] = append(lines["fdb.json"], fmt.Sprintf(`{"dst":%q,"flags":["self"],"ifname":"flannel.1","mac":%q,"state":"permanent"}`, p.ip, p.vtep))
	}
	for file, more := range lines {
		files[dir+file] = extend(files[dir+file], more)
	}
}

// extend appends elements to an array of JSON.
func extend(array []byte, more []string) []byte {
	old := strings.TrimSuffix(strings.TrimSpace(string(array)), "]")
	if old != "[" && len(more) > 0 {
		old += ",\n "
	}
	return []byte(old + strings.Join(more, ",\n ") + "]\n")
}

// veths are the recorded node's own devices and entries of its Pods.
var veths = regexp.MustCompile(`"(ifname|dev)":"veth|"dev":"cni0","dst":"10\.244\.2\.[23]"|"dev":"eth0","dst":"192\.168\.10\.1[12]"`)

// locals are kube-proxy's rules for what is sent to the node's own endpoints alone, of which an added node has none.
var locals = regexp.MustCompile(`(?m)^.*KUBE-SVL-.*\n`)

// node is the state of an added node.
func (g *grown) node(i int, whole bool, pods []string) snapshot.Files {
	p := g.peers[i]
	subnet := p.ip[:strings.LastIndex(p.ip, ".")+1]
	own := strings.NewReplacer(third.ip, p.ip, "192.168.10.0/24", subnet+"0/24", `"192.168.10.1"`, `"`+subnet+`1"`, third.mac, p.mac, third.vtep, p.vtep, third.prefix, p.prefix)
	out := snapshot.Files{}
	dir := "nodes/" + p.name + "/"
	for name, data := range g.recorded {
		file, ok := strings.CutPrefix(name, pattern+"host/")
		switch {
		case !ok:
			continue
		case file == "iptables": // the Services' endpoints are where they were
			data = locals.ReplaceAll(data, nil)
			data = []byte(strings.ReplaceAll(string(data), "10.244.2.0/24", p.prefix+"0/24"))
		case strings.HasSuffix(file, ".json") && file != "netns.json":
			data = []byte(own.Replace(without(string(data))))
		default:
			data = []byte(own.Replace(string(data)))
		}
		out[dir+"host/"+file] = data
	}
	join(dir+"host/", out, slices.Concat(g.peers[:i], g.peers[i+1:], []added{third}))
	asked := map[string]bool{}
	for _, name := range pods {
		asked[name] = true
	}
	nsids := map[string]int{"0": 4026536091}
	more := map[string][]string{}
	for j := range g.pods {
		mac, veth := fmt.Sprintf("a2:a2:67:68:b1:%02x", j), fmt.Sprintf("veth%08x", j)
		nsids[fmt.Sprint(j+1)] = 4026540000 + j
		more["addr.json"] = append(more["addr.json"], fmt.Sprintf(`{"ifindex":%d,"ifname":%q,"link_index":2,"link_netnsid":%d,"flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue","master":"cni0","operstate":"UP","group":"default","link_type":"ether","address":"86:46:d1:80:2e:%02x","linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"state":"forwarding","hairpin":true,"learning":true,"flood":true}}}`, hostPodsHave+j, veth, j+1, j))
		more["fdb.json"] = append(more["fdb.json"], fmt.Sprintf(`{"ifname":%q,"mac":%q,"master":"cni0","state":""}`, veth, mac))
		more["neigh.json"] = append(more["neigh.json"], fmt.Sprintf(`{"dev":"cni0","dst":%q,"lladdr":%q,"state":["REACHABLE"]}`, p.podIP(j), mac))
		if whole || asked["apps/"+p.podName(j)] {
			g.pod(p, j, mac, out)
		}
	}
	for file, lines := range more {
		out[dir+"host/"+file] = extend(out[dir+"host/"+file], lines)
	}
	data, _ := json.Marshal(map[string]any{"inode": 4026536643, "nsids": nsids})
	out[dir+"host/netns.json"] = data
	return out
}

// without leaves the recorded Pods' lines out of an array of JSON, one element a line.
func without(array string) string {
	var kept []string
	for line := range strings.Lines(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(array), "["), "]")) {
		if !veths.MatchString(line) {
			kept = append(kept, strings.TrimSuffix(strings.TrimSpace(line), ","))
		}
	}
	return "[" + strings.Join(kept, ",\n ") + "]\n"
}

// pod adds the namespace of one Pod.
func (g *grown) pod(p added, j int, mac string, out snapshot.Files) {
	own := strings.NewReplacer(`"10.244.2.2"`, `"`+p.podIP(j)+`"`, "10.244.2.", p.prefix, "a2:a2:67:68:b1:59", mac, `"link_index":5`, fmt.Sprintf(`"link_index":%d`, hostPodsHave+j), "shop/web-2", "apps/"+p.podName(j), "4026536367", fmt.Sprint(4026540000+j))
	for name, data := range g.recorded {
		if file, ok := strings.CutPrefix(name, pattern+patternPod+"/"); ok {
			out["nodes/"+p.name+"/pod-apps-"+p.podName(j)+"/"+file] = []byte(own.Replace(string(data)))
		}
	}
}
