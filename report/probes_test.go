package report

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// sampleDisagree is a report that real packets contradict.
func sampleDisagree() *diagnose.Report {
	r := sampleWorks()
	lost := text.F("%d probes by %s to %s were not answered", 3, packet.TCP, "10.96.0.20:80")
	r.Verdict, r.Disagree = diagnose.Broken, true
	r.Summary = text.F("prediction and probe disagree: %s, but by the snapshot %s", lost, text.F("they arrive"))
	r.Observed = []diagnose.Observation{
		{Probe: snapshot.Probe{Node: "node-a", Pod: "shop/web-0", Proto: packet.TCP, Src: ap("10.244.1.4:40000"), Dst: ap("10.96.0.20:80"), Sent: 3}, Predicted: diagnose.Works, Agreement: diagnose.Differs, What: lost},
		{
			Probe:     snapshot.Probe{Node: "node-a", Pod: "shop/web-0", Proto: packet.ICMP, Dst: ap("10.244.2.9:0"), Size: 1450, DF: true, Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered, RTT: []time.Duration{900_000, 312_400, 400_000}},
			Predicted: diagnose.Works, Agreement: diagnose.Agrees, What: text.F("%d of %d probes of %d bytes by %s to %s were answered", 3, 3, 1450, packet.ICMP, "10.244.2.9"),
		},
		{Probe: snapshot.Probe{Node: "node-a", Pod: "shop/web-0", Proto: packet.UDP, Dst: ap("10.96.0.10:53"), Sent: 3}, Predicted: diagnose.Works, What: text.F("%d probes by %s to %s were not answered", 3, packet.UDP, "10.96.0.10:53")},
		{Probe: snapshot.Probe{Node: "node-c", Proto: packet.TCP, Dst: ap("10.96.0.20:80")}, NotSent: "no plumbd runs on this node\x1b[2J"},
	}
	return r
}

func TestProbes(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		got := render(t, func(w io.Writer) error { return Text(w, sampleDisagree(), Options{Lang: lang}) })
		golden(t, "disagree."+lang+".txt", got)
	}
	golden(t, "disagree.json", render(t, func(w io.Writer) error { return JSON(w, sampleDisagree(), Options{}) }))
	page := string(render(t, func(w io.Writer) error { return HTML(w, sampleDisagree(), Options{}) }))
	for _, want := range []string{"Real packets that were sent", `<li class="bad"><span class="mark" aria-hidden="true">✗</span> not as predicted: 3 probes`, "the fastest in 312µs"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if strings.Contains(page, "\x1b") {
		t.Error("the page holds a control character")
	}
}
