package manifest

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	gojson "encoding/json"

	"sigs.k8s.io/json"
)

// check reads the JSON into v, and returns what is wrong with it.
func (c *converter) check(v any, kind string) (out []problem) {
	strict, err := json.UnmarshalStrict(c.out, v)
	if err != nil {
		return []problem{c.mistyped(err)}
	}
	for _, e := range strict {
		p := problem{c.marks[0].line, "", e.Error()}
		if f, ok := e.(json.FieldError); ok {
			p.path = f.FieldPath()
			p.why = strings.TrimSpace(strings.ReplaceAll(e.Error(), fmt.Sprintf("%q", p.path), ""))
			p.line = c.line(p.path)
		}
		out = append(out, p)
	}
	if !slices.Contains(judged, kind) {
		return out
	}
	for _, m := range c.marks {
		if why := refused(m); why != "" {
			out = append(out, problem{m.line, m.path, why})
		}
	}
	return out
}

// line returns the line of a field.
func (c *converter) line(path string) int {
	i := slices.IndexFunc(c.marks, func(m mark) bool { return m.path == path })
	return c.marks[max(0, i)].line
}

var index = regexp.MustCompile(`\[\d+\]`)

// mistyped says which value is of the wrong type.
func (c *converter) mistyped(err error) problem {
	var t *gojson.UnmarshalTypeError
	if !errors.As(err, &t) {
		return problem{c.marks[0].line, "", err.Error()}
	}
	m := c.at(int(t.Offset))
	if !along(m.path, t.Field) {
		// The offset is within a value that a type of its own read.
		i := slices.IndexFunc(c.marks, func(m mark) bool {
			return along(m.path, t.Field) && strings.IndexByte(begins[t.Value], c.out[m.offset]) >= 0
		})
		m = c.marks[max(0, i)]
	}
	return problem{m.line, m.path, fmt.Sprintf("a %s, want %s", t.Value, t.Type)}
}

// along reports whether a path goes by the fields of Go's structs that an error names, which leaves out
// the places in lists, and the keys of maps.
func along(path, fields string) bool {
	left := strings.Split(fields, ".")
	for part := range strings.SplitSeq(index.ReplaceAllString(path, ""), ".") {
		if len(left) > 0 && part == left[0] {
			left = left[1:]
		}
	}
	return fields == "" || len(left) == 0
}

// begins are the first bytes of the values that JSON calls so.
var begins = map[string]string{"array": "[", "object": "{", "string": `"`, "bool": "tf", "number": "-0123456789"}

// words are what the API server takes in a policy, by the last part of a field.
var words = map[string][]string{
	"operator":    {"In", "NotIn", "Exists", "DoesNotExist"},
	"protocol":    {"TCP", "UDP", "SCTP"},
	"policyTypes": {"Ingress", "Egress"},
	"tier":        {"Admin", "Baseline"},
}

// judged are the kinds whose values are looked at.
var judged = []string{"NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}

// refused says why the API server would refuse a value of a policy; "" where it would not, as far as is known here.
func refused(m mark) string {
	last := index.ReplaceAllString(m.path[strings.LastIndexByte(m.path, '.')+1:], "")
	item := strings.HasSuffix(m.path, "]")
	if m.value == "" || !strings.HasPrefix(m.path, "spec.") || strings.Contains(m.path, "matchLabels.") {
		return ""
	}
	if list, ok := words[last]; ok && (last != "policyTypes" || item) && !slices.Contains(list, m.value) {
		return fmt.Sprintf("%q, want %s", m.value, strings.Join(list, ", "))
	}
	if last == "cidr" || (last == "except" || last == "networks") && item {
		if _, err := netip.ParsePrefix(m.value); err != nil {
			return fmt.Sprintf("%q is no range, such as 10.0.0.0/8", m.value)
		}
	}
	return ""
}
