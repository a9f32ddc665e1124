//go:build linux

package dashboards

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// The parts of Grafana's dashboard model that are used (schema version 39, Grafana 10.2 and newer).
type (
	board struct {
		UID           string     `json:"uid"`
		Title         string     `json:"title"`
		Description   string     `json:"description"`
		Tags          []string   `json:"tags"`
		SchemaVersion int        `json:"schemaVersion"`
		Editable      bool       `json:"editable"`
		GraphTooltip  int        `json:"graphTooltip"` // 1: the cursor is shared
		Refresh       string     `json:"refresh"`
		Time          span       `json:"time"`
		Templating    templating `json:"templating"`
		Panels        []graph    `json:"panels"`
	}
	span struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	templating struct {
		List []variable `json:"list"`
	}
	variable struct {
		Name       string  `json:"name"`
		Label      string  `json:"label"`
		Type       string  `json:"type"`
		Query      string  `json:"query"`
		Datasource *source `json:"datasource,omitempty"`
		Refresh    int     `json:"refresh,omitempty"` // 2: when the time changes
		Multi      bool    `json:"multi,omitempty"`
		IncludeAll bool    `json:"includeAll,omitempty"`
		AllValue   string  `json:"allValue,omitempty"`
		Sort       int     `json:"sort,omitempty"` // 1: by name
		Current    *option `json:"current,omitempty"`
	}
	option struct {
		Text  string `json:"text"`
		Value string `json:"value"`
	}
	source struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	graph struct {
		ID          int         `json:"id"`
		Type        string      `json:"type"`
		Title       string      `json:"title"`
		Description string      `json:"description"`
		Datasource  source      `json:"datasource"`
		GridPos     grid        `json:"gridPos"`
		FieldConfig fieldConfig `json:"fieldConfig"`
		Options     options     `json:"options"`
		Targets     []target    `json:"targets"`
	}
	grid struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	fieldConfig struct {
		Defaults  defaults `json:"defaults"`
		Overrides []string `json:"overrides"`
	}
	defaults struct {
		Unit string `json:"unit"`
		Min  int    `json:"min"`
	}
	options struct {
		Legend  legend  `json:"legend"`
		Tooltip tooltip `json:"tooltip"`
	}
	legend struct {
		DisplayMode string   `json:"displayMode"`
		Placement   string   `json:"placement"`
		ShowLegend  bool     `json:"showLegend"`
		Calcs       []string `json:"calcs"`
	}
	tooltip struct {
		Mode string `json:"mode"`
		Sort string `json:"sort"`
	}
	target struct {
		RefID        string `json:"refId"`
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Datasource   source `json:"datasource"`
	}
)

var prometheus = source{"prometheus", "${datasource}"}

const (
	columns     = 24 // of Grafana's grid
	perRow      = 2
	height      = 8
	ofNode      = `node=~"$node"`
	ofNamespace = `namespace=~"$namespace"`
	ofPod       = ofNamespace + `,pod=~"$pod"`
	oneOfMany   = ".*" // also of series without the label
)

// JSON returns the dashboard as Grafana imports it.
func (d Dashboard) JSON() ([]byte, error) {
	b := board{
		UID: "plumb-" + d.Name, Title: d.Title, Description: "Made by \"make generate\" from plumb's own metrics (doc/probes.md).", Tags: []string{"plumb"},
		SchemaVersion: 39, Editable: true, GraphTooltip: 1, Refresh: "30s", Time: span{"now-1h", "now"},
	}
	b.Templating.List = []variable{{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus"}, choice("node", "agent_info", "", "")}
	if d.Pods {
		b.Templating.List = append(b.Templating.List, choice("namespace", "netdev_packets_total", ofNode, ""), choice("pod", "netdev_packets_total", ofNode, ofNamespace))
	}
	for i, p := range d.Panels {
		g := graph{ID: i + 1, Type: "timeseries", Title: p.Title, Description: p.Help, Datasource: prometheus,
			GridPos:     grid{height, columns / perRow, i % perRow * columns / perRow, i / perRow * height},
			FieldConfig: fieldConfig{defaults{Unit: p.Unit}, []string{}},
			Options:     options{legend{"table", "bottom", true, []string{"max", "lastNotNull"}}, tooltip{"multi", "desc"}}}
		for j, query := range p.Queries {
			expr, err := d.Expand(query)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", d.Name, p.Title, err)
			}
			g.Targets = append(g.Targets, target{string(rune('A' + j)), expr, query.Legend, prometheus})
		}
		b.Panels = append(b.Panels, g)
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(b)
	return []byte(out.String()), err
}

// legends are the labels that a legend shows.
var legends = regexp.MustCompile(`{{([a-z_]+)}}`)

// Expand returns a query of the dashboard as Grafana has it, with its variables.
func (d Dashboard) Expand(query Query) (string, error) {
	of := ""
	if d.Pods {
		of = ofPod
	}
	if err := named(query.Expr, query.Legend, legends); err != nil {
		return "", err
	}
	return expand(query.Expr, ofNode, of)
}

// choice is a variable: some, or all, of the values that a metric's label has.
func choice(label, metric, node, pod string) variable {
	expr, err := expand(metric, node, pod)
	if err != nil {
		panic(err) // a constant is wrong
	}
	return variable{Name: label, Label: label, Type: "query", Query: "label_values(" + expr + ", " + label + ")", Datasource: &prometheus,
		Refresh: 2, Multi: true, IncludeAll: true, AllValue: oneOfMany, Sort: 1, Current: &option{"All", "$__all"}}
}

// Plain returns a query of a dashboard with its variables set: all nodes and Pods, and the range of rates.
func Plain(expr, rates string) string {
	return strings.NewReplacer("$node", oneOfMany, "$namespace", oneOfMany, "$pod", oneOfMany, "$__rate_interval", rates).Replace(expr)
}
