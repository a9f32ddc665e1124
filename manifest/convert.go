package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A converter turns YAML into JSON, and knows of each value which line it is from.
type converter struct {
	list  head // what the List says of its items
	out   []byte
	marks []mark // by offset
}

// A mark is where a value stands.
type mark struct {
	offset int // of its first byte in the JSON
	path   string
	line   int
	value  string // of a scalar
}

// A problem is what is wrong with a value.
type problem struct {
	line      int
	path, why string
}

// object converts an object, and completes what its List and the command line say of it.
func (c *converter) object(n *yaml.Node, namespace string) *problem {
	whole := *n
	whole.Content = append([]*yaml.Node(nil), n.Content...)
	if field(n, "kind") == nil {
		whole.Content = append(whole.Content, word("apiVersion", n.Line), word(c.list.APIVersion, n.Line), word("kind", n.Line), word(c.list.Kind, n.Line))
	}
	if m := field(n, "metadata"); m != nil && namespace != "" && text(field(m, "namespace")) == "" {
		meta := *m
		meta.Content = nil
		for i := 0; i+1 < len(m.Content); i += 2 {
			if m.Content[i].Value != "namespace" {
				meta.Content = append(meta.Content, m.Content[i], m.Content[i+1])
			}
		}
		meta.Content = append(meta.Content, word("namespace", m.Line), word(namespace, m.Line))
		for i := range whole.Content {
			if whole.Content[i] == m {
				whole.Content[i] = &meta
			}
		}
	}
	return c.value(&whole, "", 0)
}

func word(s string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: line}
}

// value converts a value.
func (c *converter) value(n *yaml.Node, path string, depth int) *problem {
	if depth > maxDepth || len(c.marks) > maxValues || len(c.out) > maxFile {
		return &problem{n.Line, "", "it is too deep, or its aliases make too much of it"}
	}
	if n.Kind == yaml.AliasNode {
		at := len(c.marks)
		p := c.value(n.Alias, path, depth+1)
		if at < len(c.marks) {
			c.marks[at].line = n.Line // where it is used, and what is within where it stands
		}
		return p
	}
	c.marks = append(c.marks, mark{len(c.out), path, n.Line, text(n)})
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapping(n, path, depth)
	case yaml.SequenceNode:
		c.out = append(c.out, '[')
		for i, item := range n.Content {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			if p := c.value(item, fmt.Sprintf("%s[%d]", path, i), depth+1); p != nil {
				return p
			}
		}
		c.out = append(c.out, ']')
		return nil
	}
	return c.scalar(n, path)
}

// mapping converts a mapping. What "<<" merges in stands behind what is there.
func (c *converter) mapping(n *yaml.Node, path string, depth int) *problem {
	c.out = append(c.out, '{')
	seen, merges := map[string]bool{}, 0
	pairs := n.Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case key.Tag == "!!merge":
			pairs = append(pairs[:len(pairs):len(pairs)], merged(value)...)
			if merges++; merges > maxDepth || len(pairs) > maxValues {
				return &problem{n.Line, path, "it merges too much"}
			}
			continue
		case key.Kind != yaml.ScalarNode:
			return &problem{key.Line, path, "a key that is no word"}
		case seen[key.Value] && i < len(n.Content):
			return &problem{key.Line, at, "it is there twice"}
		case seen[key.Value]:
			continue
		}
		if len(seen) > 0 {
			c.out = append(c.out, ',')
		}
		seen[key.Value] = true
		c.quote(key.Value)
		c.out = append(c.out, ':')
		before := len(c.marks)
		if p := c.value(value, at, depth+1); p != nil {
			return p
		}
		c.marks[before].line = key.Line
	}
	c.out = append(c.out, '}')
	return nil
}

// merged returns the pairs of a mapping, or of several, that a merge key names.
func merged(n *yaml.Node) (out []*yaml.Node) {
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias.Kind == yaml.MappingNode {
			return n.Alias.Content
		}
	case yaml.MappingNode:
		return n.Content
	case yaml.SequenceNode:
		for _, m := range n.Content {
			if m.Kind != yaml.SequenceNode {
				out = append(out, merged(m)...)
			}
		}
	}
	return out
}

func (c *converter) quote(s string) {
	data, _ := json.Marshal(s) // a string cannot fail
	c.out = append(c.out, data...)
}

// booleans are words that Kubernetes, which reads YAML 1.1, takes for truth values where they stand without quotes.
var booleans = map[string]bool{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
}

func (c *converter) scalar(n *yaml.Node, path string) *problem {
	if b, ok := booleans[n.Value]; ok && n.Style == 0 && n.Tag == "!!str" && n.Column > 0 {
		c.out = strconv.AppendBool(c.out, b)
		return nil
	}
	switch n.Tag {
	case "!!null":
		c.out = append(c.out, "null"...)
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return &problem{n.Line, path, strings.TrimPrefix(err.Error(), "yaml: ")}
		}
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return &problem{n.Line, path, "no number"}
		}
		data, err := json.Marshal(v)
		if err != nil {
			return &problem{n.Line, path, err.Error()}
		}
		c.out = append(c.out, data...)
	default:
		c.quote(n.Value)
	}
	return nil
}

// at returns the innermost value that holds an offset.
func (c *converter) at(offset int) mark {
	i := sort.Search(len(c.marks), func(i int) bool { return c.marks[i].offset >= offset })
	return c.marks[max(0, i-1)]
}
