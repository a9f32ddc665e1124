package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/plumbnet/plumb/plan"
	"github.com/plumbnet/plumb/text"
)

// useWords say what a range is for.
var useWords = map[string]text.Text{"pods": text.F("Pods"), "services": text.F("Services"), "nodes": text.F("nodes")}

// Plan prints ranges for a cluster, and the flags of kubeadm and the controller manager that set them.
func Plan(w io.Writer, p *plan.Plan, o Options) error {
	pr, say := newPrinter(o), tongue(o.Lang).say
	pr.heading(bold, say(text.F("ranges for a cluster")))
	byUse := map[string][]string{}
	mask := ""
	for _, r := range p.Ranges {
		byUse[r.Use] = append(byUse[r.Use], r.Prefix.String())
		what := text.F("%s: %s, room for %d", useWords[r.Use], r.Prefix.String(), r.Room)
		switch {
		case r.Given && r.Prefix.Addr().Is6():
			what = text.F("%s: %s, as given", useWords[r.Use], r.Prefix.String())
		case r.Given:
			what = text.F("%s: %s, as given, room for %d", useWords[r.Use], r.Prefix.String(), r.Room)
		case r.Mask > 0:
			what = text.F("%s: %s, a /%d for each node, room for %d nodes", useWords[r.Use], r.Prefix.String(), r.Mask, r.Room)
			name := "--node-cidr-mask-size"
			if r.Prefix.Addr().Is6() {
				mask = strings.Replace(mask, name, name+"-ipv4", 1)
				name += "-ipv6"
			}
			mask += fmt.Sprintf(" %s=%d", name, r.Mask)
		}
		pr.para("  ", "    ", plain, say(what))
	}
	pr.para("", "  ", dim, say(text.F("room for %d times the nodes that were asked for; two addresses for each Pod, so that one that ends does not give its own to the next at once", p.Growth)))
	if p.Growth == 1 {
		pr.para("! ", "  ", yellow, say(text.F("there is no room to grow: no larger ranges are free")))
	}
	if p.Shared {
		pr.para("! ", "  ", yellow, say(text.F("100.64.0.0/10 is shared by providers and their customers (RFC 6598): make sure that yours does not use it")))
	}
	pr.put()
	pr.put(clean("kubeadm init --pod-network-cidr=" + strings.Join(byUse["pods"], ",") + " --service-cidr=" + strings.Join(byUse["services"], ",")))
	pr.put(clean("kube-controller-manager" + mask))
	return pr.flush(w)
}

// Today prints how much of a cluster's ranges is used, and how long they last.
func Today(w io.Writer, uses []plan.Use, unknown []text.Text, o Options) error {
	pr, say := newPrinter(o), tongue(o.Lang).say
	pr.heading(bold, say(text.F("how long today's ranges last")))
	for i := range uses {
		u := &uses[i]
		mark, st := "✓ ", plain
		if u.Full() {
			mark, st = "✗ ", red
		}
		t := text.F("%s: %d of %d of %s are used; at what pace is not known", u.What, u.Used, u.Room, u.Prefix.String())
		if years, ok := u.Years(); ok {
			t = text.F("%s: %d of %d of %s are used; at %s more a year the rest lasts %s years", u.What, u.Used, u.Room, u.Prefix.String(), trimFloat(u.PerYear), trimFloat(years))
		}
		pr.para(mark, "  ", st, say(t))
	}
	for _, t := range unknown {
		pr.para("? ", "  ", yellow, say(t))
	}
	return pr.flush(w)
}

// The stable form of a plan. Fields are added, never changed.
type (
	planJSON struct {
		Ranges  []planRangeJSON `json:"ranges,omitempty"`
		Growth  int             `json:"growth,omitempty"` // times the nodes that were asked for
		Today   []planUseJSON   `json:"today,omitempty"`
		Unknown []jsonText      `json:"unknown,omitempty"`
	}
	planRangeJSON struct {
		Use      string `json:"use"` // "pods", "services", "nodes"
		Range    string `json:"range"`
		NodeMask int    `json:"nodeMask,omitempty"`
		Room     int    `json:"room,omitempty"`
		Given    bool   `json:"given,omitempty"`
	}
	planUseJSON struct {
		What    jsonText `json:"what"`
		Range   string   `json:"range"`
		Used    int      `json:"used"`
		Room    int      `json:"room"`
		PerYear float64  `json:"perYear,omitempty"`
		Years   float64  `json:"years,omitempty"`
		Full    bool     `json:"full"`
	}
)

// PlanJSON prints a plan, or how much of a cluster's ranges is used, as JSON.
func PlanJSON(w io.Writer, p *plan.Plan, uses []plan.Use, unknown []text.Text, o Options) error {
	j := jsoner{lang: o.Lang}
	var out planJSON
	if p != nil {
		out.Growth = p.Growth
		for _, r := range p.Ranges {
			out.Ranges = append(out.Ranges, planRangeJSON{r.Use, r.Prefix.String(), r.Mask, r.Room, r.Given})
		}
	}
	for i := range uses {
		u := &uses[i]
		years, _ := u.Years()
		out.Today = append(out.Today, planUseJSON{j.text(u.What), u.Prefix.String(), u.Used, u.Room, u.PerYear, years, u.Full()})
	}
	for _, t := range unknown {
		out.Unknown = append(out.Unknown, j.text(t))
	}
	return writeJSON(w, out)
}
