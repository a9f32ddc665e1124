//go:build linux

// Package dashboards makes Grafana's dashboards and Prometheus' alert rules from the probes' own metrics: a query
// that names a metric or a label that no probe has is an error, so that they cannot drift apart.
package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// promQL are the words of PromQL that queries may have.
var promQL = strings.Fields(`sum topk max by on and or rate increase avg_over_time max_over_time histogram_quantile offset`)

// foreign are metrics that Prometheus itself makes, with their labels.
var foreign = map[string][]string{"up": {"job", "instance"}}

// words are quoted strings, durations, and identifiers, with what may begin a list of matchers after them.
var words = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|\b[0-9][0-9.]*[smhd]?\b|[a-zA-Z_][a-zA-Z0-9_]*\{?`)

// expand turns a query in short form into one that Prometheus takes: metrics have no prefix in it, and get the
// matchers of their dashboard, those of a Pod only where they are of Pods.
func expand(query, node, pod string) (string, error) {
	stats, labels, err := used(query)
	if err != nil {
		return "", fmt.Errorf("%s: %w", query, err)
	}
	var bad error
	out := words.ReplaceAllStringFunc(query, func(w string) string {
		name, brace := strings.CutSuffix(w, "{")
		if s := stats[name]; s != nil {
			of := matchers(node, s.Node, pod)
			switch {
			case brace && of != "":
				return observe.Prefix + name + "{" + of + ","
			case brace:
				return observe.Prefix + name + "{"
			case of != "":
				return observe.Prefix + name + "{" + of + "}"
			}
			return observe.Prefix + name
		}
		if isName(w) && !brace && !slices.Contains(promQL, name) && !slices.Contains(labels, name) && foreign[name] == nil {
			bad = fmt.Errorf("%s: %q is neither a metric of a probe nor a label of one here", query, name)
		}
		return w
	})
	return out, bad
}

func isName(w string) bool { return w[0] == '_' || w[0]|0x20 >= 'a' && w[0]|0x20 <= 'z' }

func matchers(node string, ofNode bool, pod string) string {
	if ofNode || pod == "" {
		return node
	}
	return strings.Trim(node+","+pod, ",")
}

// used returns the metrics of a query, by the names that it has for them, and their labels.
func used(query string) (map[string]*probe.Stat, []string, error) {
	stats, labels := map[string]*probe.Stat{}, []string{"node"}
	for _, w := range words.FindAllString(query, -1) {
		name := strings.TrimSuffix(w, "{")
		s, ok := stat(name)
		if !ok {
			labels = append(labels, foreign[name]...)
			continue
		}
		stats[name] = s
		labels = append(labels, s.Labels...)
		if !s.Node {
			labels = append(labels, "namespace", "pod")
		}
		if s.Type == probe.Histogram {
			labels = append(labels, "le")
		}
	}
	if len(stats) == 0 && !strings.HasPrefix(query, "up{") {
		return nil, nil, fmt.Errorf("no metric")
	}
	return stats, labels, nil
}

// named fails where a text names a label that no metric of a query has.
func named(query, text string, names *regexp.Regexp) error {
	_, labels, err := used(query)
	if err != nil {
		return err
	}
	for _, m := range names.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(labels, m[1]) {
			return fmt.Errorf("%s: no label %q, in %q", query, m[1], text)
		}
	}
	return nil
}

// stat returns a metric by its name, that of a histogram by those of its parts.
func stat(name string) (*probe.Stat, bool) {
	for _, list := range stats() {
		for _, s := range list {
			if s.Type != probe.Histogram && s.Name == name {
				return s, true
			}
			base, ok := strings.CutPrefix(name, s.Name)
			if s.Type == probe.Histogram && ok && slices.Contains([]string{"_bucket", "_sum", "_count"}, base) {
				return s, true
			}
		}
	}
	return nil, false
}

func stats() [][]*probe.Stat {
	out := [][]*probe.Stat{observe.Own}
	for _, k := range all.Kinds {
		out = append(out, k.Stats)
	}
	return out
}

// kindOf returns what a metric is of; nil for the agent itself.
func kindOf(s *probe.Stat) *probe.Kind {
	for _, k := range all.Kinds {
		if slices.Contains(k.Stats, s) {
			return k
		}
	}
	return nil
}
