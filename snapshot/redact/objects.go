package redact

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
)

// objects redacts the files of objects, which snapshot.TrimObjects wrote.
func (r *redactor) objects(data []byte) ([]byte, error) {
	whole := bytes.HasSuffix(data, []byte("\n"))
	if !whole {
		data = append(bytes.Clone(data), "]}"...) // a List that lacks its end, and goes on to
	}
	out, err := r.rewriteJSON(data, func(n *node) { r.object(n, "", "") })
	if !whole {
		out = bytes.TrimSuffix(out, []byte("]}\n"))
	}
	return out, err
}

// objectsError returns where it is written that a file of objects was not collected or understood.
func (r *redactor) objectsError(name string) string {
	if _, ok := snapshot.KindOfFile(name); ok {
		return name + ".error"
	}
	return "objects/" + r.name(strings.TrimSuffix(path.Base(name), ".json")) + ".json.error"
}

// The keys of objects, by what their strings are. Strings under other keys that are no addresses,
// numbers or times become empty.
var (
	objectWords = set(`apiVersion kind type phase protocol status reason addressType externalTrafficPolicy internalTrafficPolicy trafficDistribution sessionAffinity ipFamilies
		ipFamilyPolicy policyTypes operator effect restartPolicy dnsPolicy qosClass preemptionPolicy pathType scheme clusterIP clusterIPs podManagementPolicy updateStrategy tier action`)
	objectNames = set(`name namespace nodeName hostname subdomain serviceAccountName serviceAccount priorityClassName runtimeClassName ingressClassName loadBalancerClass
		externalName host zone nominatedNodeName port targetPort portName appProtocol serviceName secretName address addresses ip finalizers schedulerName topologyKey
		clusterName setHostnameAsFQDN service hosts nodeNames targetRef namedPort destinationNamedPort domainNames gatewayClassName hostnames sectionName controller controllerName`)
	// objectMaps are those under which a map of names to names is one of labels.
	objectMaps = set("labels matchLabels selector nodeSelector")
	// gatewayWords say what a Gateway's listener does with TLS, and whose routes it takes.
	gatewayWords = set("Terminate Passthrough All Same Selector None")
	quantities   = set("requests limits capacity allocatable allocatedResources overhead")
)

// object redacts a value. key is that of the object or array that it is in, parent that of the one around it.
func (r *redactor) object(n *node, key, parent string) {
	switch {
	case n.str:
		n.text = r.objectString(n.text, key, parent)
		return
	case n.kind == '{' && key == "annotations":
		r.annotations(n)
		return
	case n.kind == '{' && key == "data":
		r.configData(n)
		return
	case n.kind == '{' && quantities[key]:
		n.kids = nil // vendors' resources have names
		return
	case n.kind == '{' && objectMaps[key] && allStrings(n):
		for _, k := range n.kids {
			k.key, k.text = r.labelKey(k.key), r.value(k.text)
		}
		return
	}
	for _, k := range n.kids {
		if n.kind == '[' {
			r.object(k, key, parent)
		} else {
			r.object(k, k.key, key)
		}
	}
}

func allStrings(n *node) bool {
	for _, k := range n.kids {
		if !k.str {
			return false
		}
	}
	return true
}

// expressions are the lists whose members have a label, or a field, as their key.
var expressions = set("matchExpressions matchFields tolerations taints")

func (r *redactor) objectString(text, key, parent string) string {
	switch {
	case expressions[parent] && key == "key":
		return r.labelKey(text)
	case expressions[parent] && (key == "values" || key == "value"), objectNames[key]:
		return r.value(text)
	case objectWords[key] && apiWord.MatchString(text):
		if to, ok := r.one(text); ok {
			return to
		}
		return text
	case key == "path" && parent == "paths", key == "value" && parent == "path":
		return r.urlPath(text)
	case key == "value" && (parent == "headers" || parent == "queryParams"):
		return r.value(text)
	case key == "group":
		if text == "" || strings.HasSuffix(text, ".k8s.io") {
			return text
		}
		return r.value(text)
	case key == "mode" || key == "from":
		if gatewayWords[text] {
			return text
		}
		return ""
	case key == "message":
		return r.prose(text)
	case key == "image":
		return corednsImage.FindString(text)
	}
	if to, ok := r.one(text); ok {
		return to
	}
	if plain(text) || len(text) <= 20 && isNumber(text) {
		return text
	}
	return ""
}

// urlPath redacts a path of a URL by its segments, so that one which begins as another still does.
func (r *redactor) urlPath(text string) string {
	segments := strings.Split(text, "/")
	for i, s := range segments {
		if s != "" {
			segments[i] = r.name(s)
		}
	}
	return strings.Join(segments, "/")
}

// apiWord is a word of the API, or a reason.
var apiWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,63}(\.k8s\.io)?(/v[0-9][a-z0-9]*)?$|^((policy|gateway)\.networking\.k8s\.io|(crd\.)?projectcalico\.org|cilium\.io)/v[0-9][a-z0-9]*$`)

// labelKeys are the keys of labels that everybody has.
var labelKeys = set(`app k8s-app name component tier run role version controller-revision-hash pod-template-hash pod-template-generation metadata.name metadata.namespace
	app.kubernetes.io/name app.kubernetes.io/instance app.kubernetes.io/version app.kubernetes.io/component app.kubernetes.io/part-of app.kubernetes.io/managed-by
	app.kubernetes.io/created-by kubernetes.io/hostname kubernetes.io/os kubernetes.io/arch kubernetes.io/service-name kubernetes.io/metadata.name kubernetes.io/cluster-service
	kubernetes.io/name beta.kubernetes.io/os beta.kubernetes.io/arch beta.kubernetes.io/instance-type node.kubernetes.io/instance-type
	endpointslice.kubernetes.io/managed-by endpointslice.kubernetes.io/skip-mirror
	topology.kubernetes.io/zone topology.kubernetes.io/region failure-domain.beta.kubernetes.io/zone failure-domain.beta.kubernetes.io/region
	service.kubernetes.io/headless service.kubernetes.io/service-proxy-name apps.kubernetes.io/pod-index statefulset.kubernetes.io/pod-name batch.kubernetes.io/job-name
	node-role.kubernetes.io/control-plane node-role.kubernetes.io/master node-role.kubernetes.io/worker node.kubernetes.io/exclude-from-external-load-balancers
	node.kubernetes.io/not-ready node.kubernetes.io/unreachable node.kubernetes.io/memory-pressure node.kubernetes.io/disk-pressure node.kubernetes.io/pid-pressure
	node.kubernetes.io/unschedulable node.kubernetes.io/network-unavailable node.cloudprovider.kubernetes.io/uninitialized`)

func (r *redactor) labelKey(key string) string {
	if labelKeys[key] {
		return key
	}
	if source, rest, ok := strings.Cut(key, ":"); ok && (source == "k8s" || source == "any") { // Cilium's
		return source + ":" + r.labelKey(rest)
	}
	return r.name(key)
}

// annotationKeys are the annotations that are kept: those that say where a node or Pod has its addresses, and which
// Ingress takes a share of another's requests.
var annotationKeys = regexp.MustCompile(`^(flannel\.alpha\.coreos\.com/(backend-(v6-)?data|backend-type|public-ip(v6)?(-overwrite)?|kube-subnet-manager|node-public-ip)|` +
	`(cni\.)?projectcalico\.org/[A-Za-z0-9]+|kube-router\.io/[a-z.-]+|(network\.)?cilium\.io/[a-z0-9.-]+|io\.cilium\.network\.[a-z0-9-]+|k8s\.v1\.cni\.cncf\.io/(network-status|networks-status)|` +
	`alpha\.kubernetes\.io/provided-node-ip|nginx\.ingress\.kubernetes\.io/canary)$`)

// annotations keeps the annotations that are known, and of their values the addresses.
func (r *redactor) annotations(n *node) {
	var out []*node
	for _, k := range n.kids {
		if k.str && annotationKeys.MatchString(k.key) {
			k.text = r.annotation(k.text)
			out = append(out, k)
		}
	}
	n.kids = out
}

// backends are the words that such annotations have.
var backends = set("vxlan host-gw wireguard udp ipip ipsec extension true false")

func (r *redactor) annotation(text string) string {
	if backends[text] || plain(text) {
		return text
	}
	docs, err := parseJSON([]byte(text))
	if err == nil && len(docs) == 1 && docs[0].kind != 0 {
		r.walk(docs[0], "", annotationStrings)
		var b bytes.Buffer
		docs[0].write(&b, -1)
		return b.String()
	}
	return r.addresses(text)
}

// annotationStrings is the rule for annotations that are JSON.
func annotationStrings(r *redactor, key, text string) string {
	switch {
	case key == "interface":
		return r.iface(text)
	case key == "name":
		return r.name(text)
	case plain(text) || backends[text]:
		return text
	}
	return ""
}

// configKeys are the settings in ConfigMaps that tell the ranges of the cluster, its domain, and how its
// network is made. Of the files in a ConfigMap nothing else is kept.
var configKeys = map[string]map[string]bool{
	"ClusterConfiguration": set("podSubnet serviceSubnet dnsDomain"),
	"config.conf":          set("clusterCIDR mode masqueradeAll"),
	"net-conf.json":        set("Network IPv6Network EnableIPv4 EnableIPv6 EnableNFTables Type VNI Port"),
}

// modes are the words that they may have.
var modes = set("iptables ipvs nftables true false vxlan host-gw wireguard udp")

// configData keeps the settings of a ConfigMap that are known.
func (r *redactor) configData(n *node) {
	var out []*node
	for _, k := range n.kids {
		switch keys := configKeys[k.key]; {
		case !k.str:
		case keys != nil:
			k.text = r.settings(k.text, keys)
			out = append(out, k)
		case k.key == "Corefile":
			k.text = r.corefile(k.text)
			out = append(out, k)
		}
	}
	n.kids = out
}

// settings keeps the lines "key: value" of YAML, or of JSON with a member a line, under the
// keys; others become empty, but for the braces of JSON.
func (r *redactor) settings(text string, keys map[string]bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line, end := strings.CutSuffix(line, "\n")
		out.WriteString(r.setting(line, keys))
		if end {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (r *redactor) setting(line string, keys map[string]bool) string {
	if only(line, " \t{},[]") {
		return line
	}
	key, value, ok := strings.Cut(line, ":")
	if name := strings.Trim(key, " \t\"{"); !ok || !keys[name] || strings.Trim(strings.TrimSpace(key), `"{ `) != name {
		return ""
	}
	bare := strings.Trim(value, " \t\",{}")
	to := ""
	switch {
	case modes[bare] || plain(bare):
		to = bare
	case strings.Contains(line, "Domain"):
		to = r.name(bare)
	default:
		to = r.ranges(bare)
	}
	return key + ":" + strings.Replace(value, bare, to, 1)
}

// ranges redacts prefixes with commas between; what is none becomes empty.
func (r *redactor) ranges(text string) string {
	list := strings.Split(text, ",")
	for i, one := range list {
		list[i], _ = r.one(strings.Trim(one, ` "`))
	}
	return strings.Join(list, ",")
}
