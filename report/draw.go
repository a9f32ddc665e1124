package report

import (
	"slices"
	"strings"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A way is drawn from top to bottom, a block for each namespace:
//
//	┌ Pod shop/web-0 on node-a
//	│ route        default route by eth0
//	│              default via 10.244.1.1 dev eth0
//	│ ↓ eth0
//	├ node node-a  veth1a2b → cni0 → flannel.1 → eth0
//	│ PREROUTING   ⇒ DNAT 10.96.0.20:80 → 10.244.2.5:8080
//	│              -A KUBE-SEP-X -p tcp -j DNAT --to-destination 10.244.2.5:8080
//	│ encap        ⇒ enters vxlan 1: 192.168.0.1 → 192.168.0.2
//	│ ║ ↓ eth0
//	✗ TOO BIG at node-a/host/eth0

// labelWidth is the column for the stage: POSTROUTING is the longest.
const labelWidth = 12

// draw prints a way in full, then what became of the answer and of error messages.
func (t textReport) draw(w way) {
	if w.path.Weight < whole {
		t.put("  ", verdictMarks[w.verdict], " ", t.paint(bold, t.say(text.F("%s of connections", percent(w.path.Weight)))))
	}
	if w.reply && w.verdict != diagnose.Works && *t.drew && !t.verbose {
		t.para("  "+verdictMarks[t.judge.end(w.path)]+" ", "    ", plain, t.say(text.F("the request: %s", fateWords[w.path.End]))+"  "+clean(strings.Join(chain(w.path), " → ")))
	} else {
		t.path(w.path, false)
		*t.drew = true
	}
	t.reply(w)
	t.icmp(w.path)
	if w.reply {
		t.icmp(w.fail)
	}
}

// path prints the drawing of one path.
func (t textReport) path(p trace.Path, reply bool) {
	stops := sketch(p, reply)
	var last mark
	for i, s := range stops {
		corner := "├ "
		if i == 0 {
			corner = "┌ "
		}
		head := "  " + corner + t.say(s.title()) + "  "
		if devs := clean(strings.Join(s.devices(), " → ")); len(s.devices()) > 1 {
			t.headed(bold, head, "  │   ", plain, devs)
		} else {
			t.para("  "+corner, "  │   ", bold, t.say(s.title()))
		}
		if what := t.say(describe(s.came)); i == 0 && what != "" {
			t.para("  │ ", "  │   ", cyan, what)
		}
		for _, m := range s.marks {
			if t.verbose || m.telling() {
				t.mark(m)
			}
			last = m
		}
		if s.Out != "" && (i < len(stops)-1 || p.End == trace.LeftCluster) {
			t.put("  │ ", bars(depthOut(s)), "↓ ", clean(s.Out))
		}
	}
	t.end(p, last)
}

// depthOut is the number of tunnels that the packet is in as it leaves s.
func depthOut(s stop) int {
	for _, m := range slices.Backward(s.Steps) {
		if m.Out != nil {
			return depth(*m.Out)
		}
	}
	return s.depth
}

// bars stand for the tunnels around a packet.
func bars(n int) string { return strings.Repeat("║ ", n) }

// mark prints one step: its stage, what happened, and the route or rule that decided.
func (t textReport) mark(m mark) {
	gutter := "  │ " + bars(m.depth)
	first := gutter + pad(clip(t.stage(m.Stage), labelWidth), labelWidth) + " "
	rest := gutter + strings.Repeat(" ", labelWidth+1)
	what := t.say(m.What)
	if what != "" {
		t.para(first+m.arrow(), rest, plain, what)
		first = rest
	}
	if c := t.say(m.change); c != "" && !m.told() {
		t.para(first+"⇒ ", rest+"  ", cyan, c)
		first = rest
	}
	for _, e := range m.Evidence() {
		if e.Text != "" && strings.Contains(what, clean(e.Text)) {
			continue
		}
		t.quote(rest, e, m.last || t.verbose)
	}
	if t.verbose && m.Out != nil {
		t.para(rest, rest, dim, t.packet(*m.Out))
	}
}

// quote prints a route or rule, on one line where it need not be complete.
func (t textReport) quote(prefix string, e snapshot.Evidence, complete bool) {
	s := clean(e.Text)
	if s == "" {
		return
	}
	if !complete {
		t.put(prefix, t.paint(dim, shorten(s, t.width-width(prefix))))
		return
	}
	t.para(prefix, prefix+"  ", dim, s)
}

// packet describes a packet and what it carries.
func (t textReport) packet(p packet.Packet) string {
	s := t.say(describe(p))
	if depth(p) > 0 {
		s += " [" + t.packet(*p.Inner) + "]"
	}
	return s
}

// end prints how a path ended, and why.
func (t textReport) end(p trace.Path, last mark) {
	v := t.judge.end(p)
	word := strings.ToUpper(t.say(fateWords[p.End]))
	t.para("  "+verdictMarks[v]+" ", "    ", verdictStyle(v), t.say(t.judge.ending(p, word)))
	if why := t.say(p.Why); why != "" && why != t.say(last.What) {
		t.para("    ", "    ", plain, why)
	}
	for _, a := range p.Assumed {
		t.para("    ? ", "      ", plain, t.say(text.F("supposed: %s", a.What)))
	}
}

// reply prints what became of the answer: in a line where it comes back, drawn where it does not.
func (t textReport) reply(w way) {
	if len(w.path.Reply) == 0 {
		return
	}
	for _, p := range w.path.Reply {
		head := "  " + verdictMarks[t.judge.end(p)] + " "
		share := text.F("the answer: %s", fateWords[p.End])
		if p.Weight < whole {
			share = text.F("the answer (%s of it): %s", percent(p.Weight), fateWords[p.End])
		}
		if t.judge.end(p) == diagnose.Works && !t.verbose {
			t.para(head, "    ", plain, t.say(share)+"  "+clean(strings.Join(chain(p), " → ")))
			continue
		}
		t.put()
		t.para(head, "    ", bold, t.say(share))
		t.path(p, true)
	}
}

// icmp prints what became of the error messages that tell the sender.
func (t textReport) icmp(p trace.Path) {
	for _, e := range p.ICMP {
		t.para("  "+fateMark(e.End)+" ", "    ", plain, t.say(notice(e)))
		if why := t.say(e.Why); why != "" && e.End != trace.Delivered {
			t.para("    ", "    ", plain, why)
		}
	}
}
