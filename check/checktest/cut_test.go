package checktest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
)

// A Cut says what stays of a recorded snapshot tree in a case: what a check reads, and no more.
type Cut struct {
	NetNS   []string // "node-a/host", "node-b/pod-shop-web-1"
	Files   []string // of each of them: "addr.json"
	Objects string   // a regular expression over kind/namespace/name: "pods/shop/.*|nodes//.*"
	Rules   string   // a regular expression over the rules of iptables; "" keeps all
	Sysctl  string   // a regular expression over sysctls
	Drop    []string // files that are left out again: the gap
}

// Of returns the files of a recorded tree that stay.
func (c Cut) Of(dir fs.FS) ([]txtar.File, error) {
	var out []txtar.File
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(c.Drop, name) {
			return err
		}
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		if data, err = c.keep(name, data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if data != nil {
			out = append(out, txtar.File{Name: name, Data: data})
		}
		return nil
	})
	return out, err
}

// keep returns what stays of a file, nil where nothing does.
func (c Cut) keep(name string, data []byte) ([]byte, error) {
	part := strings.Split(name, "/")
	if part[0] == "objects" {
		return c.objects(strings.TrimSuffix(part[1], ".json"), data)
	}
	if len(part) < 4 || !slices.Contains(c.NetNS, part[1]+"/"+part[2]) || !slices.Contains(c.Files, part[3]) && !c.noRules(part[3], data) {
		return nil, nil
	}
	switch {
	case part[3] == "addr.json":
		return links(data)
	case part[3] == "sysctl":
		return grep(data, c.Sysctl)
	case part[3] == "nft.json":
		return nftables(data)
	case strings.HasPrefix(part[3], "iptables"):
		return c.rules(data)
	case strings.HasPrefix(string(data), "["):
		return elements(data)
	}
	return append([]byte{}, data...), nil
}

// noRules reports whether a file tells that rules which packets would pass are not there: without it, they would not be known.
func (c Cut) noRules(file string, data []byte) bool {
	return len(data) == 0 && slices.Contains(c.Files, "iptables") &&
		(slices.Contains([]string{"iptables-legacy", "nft.json", "ipvs"}, file) || file == "ip6tables-legacy" && slices.Contains(c.Files, "ip6tables"))
}

// grep keeps the lines that match.
func grep(data []byte, match string) ([]byte, error) {
	re, err := regexp.Compile(match)
	if err != nil {
		return nil, err
	}
	out := []byte{}
	for line := range strings.Lines(string(data)) {
		if re.MatchString(line) {
			out = append(out, line...)
		}
	}
	return out, nil
}

// rules keeps the rules that match, and the chains that they name.
func (c Cut) rules(data []byte) ([]byte, error) {
	re, err := regexp.Compile(c.Rules)
	if err != nil {
		return nil, err
	}
	var stay []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "-A ") || re.MatchString(line) {
			stay = append(stay, line)
		}
	}
	all := strings.Join(stay, "")
	out := []byte{}
	for _, line := range stay {
		chain, rest, _ := strings.Cut(strings.TrimPrefix(line, ":"), " ")
		named := strings.Contains(all, "-A "+chain+" ") || strings.Contains(all, "-j "+chain+"\n")
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ":") && strings.HasPrefix(rest, "-") && !named {
			continue
		}
		out = append(out, line...)
	}
	return out, nil
}

// nftables writes nft.json an element a line. Of the tables of iptables only what is at hooks
// stays, for iptables-save has the rest.
func nftables(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return []byte{}, nil
	}
	var list struct {
		Elements []json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	type element struct{ Table, Hook string }
	var stay []string
	for _, raw := range list.Elements {
		var e map[string]element
		if err := json.Unmarshal(raw, &e); err == nil && slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, e["chain"].Table+e["rule"].Table+e["set"].Table) && e["chain"].Hook == "" {
			continue
		}
		stay = append(stay, string(raw))
	}
	return []byte("{\"nftables\": [" + strings.Join(stay, ",\n ") + "]}\n"), nil
}

// links keeps of addr.json what package snapshot reads, a device a line.
func links(data []byte) ([]byte, error) {
	var ls []snapshot.Link
	if err := json.Unmarshal(data, &ls); err != nil {
		return nil, err
	}
	return format(ls)
}

// elements writes a JSON array an element a line, without what is empty.
func elements(data []byte) ([]byte, error) {
	var es []map[string]any
	if err := json.Unmarshal(data, &es); err != nil {
		return nil, err
	}
	es = slices.DeleteFunc(es, beside)
	pruneAll(es)
	return format(es)
}

func format[T any](es []T) ([]byte, error) {
	if len(es) == 0 {
		return []byte("[]\n"), nil
	}
	out := []byte("[")
	for i, e := range es {
		b, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ",\n "...)
		}
		out = append(out, b...)
	}
	return append(out, "]\n"...), nil
}

// beside reports whether a route or a forwarding entry is beside the point: of broadcast or multicast.
func beside(e map[string]any) bool {
	mac, _ := e["mac"].(string)
	return e["type"] == "broadcast" || strings.HasPrefix(mac, "33:33:") || strings.HasPrefix(mac, "01:00:5e:")
}

// idle are the fields of objects that no check reads and that tell of the machine and the moment.
var idle = []string{"nodeInfo", "uid", "resourceVersion", "creationTimestamp", "generation", "capacity", "allocatable", "allocatedResources", "containerID", "imageID", "startedAt", "startTime",
	"lastHeartbeatTime", "lastTransitionTime", "lastProbeTime", "lastUpdateTime", "daemonEndpoints", "features", "runtimeHandlers", "kubeconfig.conf", "volumes", "volumeMounts", "images"}

// unread takes the idle fields out.
func unread(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range idle {
			delete(v, k)
		}
		for _, inner := range v {
			unread(inner)
		}
	case []any:
		for _, inner := range v {
			unread(inner)
		}
	}
}

// objects keeps the objects that c names, one a line. A kind of which none is named is left out.
func (c Cut) objects(kind string, data []byte) ([]byte, error) {
	re, err := regexp.Compile("^(" + c.Objects + ")$")
	if err != nil {
		return nil, err
	}
	var list struct {
		APIVersion, Kind string
		Items            []map[string]any `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var stay []map[string]any
	for _, o := range list.Items {
		if one, ok := strings.CutSuffix(list.Kind, "List"); ok && one != "" { // the API's own lists say it once
			o["apiVersion"], o["kind"] = list.APIVersion, one
		}
		m, _ := o["metadata"].(map[string]any)
		ns, _ := m["namespace"].(string)
		if re.MatchString(fmt.Sprintf("%s/%s/%s", kind, ns, m["name"])) {
			unread(o)
			prune(o)
			stay = append(stay, o)
		}
	}
	if len(stay) == 0 {
		return nil, nil
	}
	b, err := format(stay)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":\n%s}\n", b), nil
}
