package report

import (
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/trace"
)

func (j jsoner) trace(t diagnose.Trace) jsonTrace {
	return jsonTrace{Title: j.text(t.Title), Big: t.Big, Verdict: t.Verdict.String(), Paths: j.paths(t.Result.Paths)}
}

func (j jsoner) paths(ps []trace.Path) []jsonPath {
	out := []jsonPath{}
	for _, p := range ps {
		v := jsonPath{
			Weight: p.Weight, Verdict: j.report.Judge(p).String(), End: p.End.String(), At: jsonPlace(p.At), Why: j.text(p.Why),
			Final: jsonPacketOf(&p.Final, 0), Assumed: []jsonAssumption{}, Hops: []jsonHop{}, Reply: j.paths(p.Reply), ICMP: j.paths(p.ICMP),
		}
		for _, a := range p.Assumed {
			v.Assumed = append(v.Assumed, jsonAssumption{j.text(a.What), a.Evidence})
		}
		for _, h := range p.Hops {
			v.Hops = append(v.Hops, j.hop(h))
		}
		out = append(out, v)
	}
	return out
}

func (j jsoner) hop(h trace.Hop) jsonHop {
	v := jsonHop{Node: h.Node, NetNS: h.NetNS, Pod: h.Pod, In: h.In, Out: h.Out, Steps: []jsonStep{}}
	for _, s := range h.Steps {
		v.Steps = append(v.Steps, jsonStep{
			Stage: string(s.Stage), Link: s.Link, What: j.text(s.What), Evidence: list(s.Evidence()), Out: jsonPacketOf(s.Out, 0),
		})
	}
	return v
}

// flagNames are the TCP flags, by their bits.
var flagNames = []string{"fin", "syn", "rst", "psh", "ack", "urg"}

// maxNested bounds the packets within packets that are shown.
const maxNested = 8

// jsonPacketOf returns nil for no packet, and for the zero packet.
func jsonPacketOf(p *packet.Packet, nested int) *jsonPacket {
	if p == nil || !p.Dst.Addr().IsValid() || nested > maxNested {
		return nil
	}
	v := &jsonPacket{
		Proto: p.Proto.String(), Src: p.Src.Addr(), SrcPort: p.Src.Port(), Dst: p.Dst.Addr(), DstPort: p.Dst.Port(),
		Size: p.Size, MTU: p.MTU, MSS: p.MSS, DF: p.DF, TOS: p.TOS, TTL: p.TTL, Mark: p.Mark, Key: p.Key,
	}
	for i, name := range flagNames {
		if p.Flags&(1<<i) != 0 {
			v.Flags = append(v.Flags, name)
		}
	}
	if p.Proto == packet.ICMP || p.Proto == packet.ICMPv6 {
		v.ICMPType, v.ICMPCode = &p.ICMPType, &p.ICMPCode
	}
	v.Inner = jsonPacketOf(p.Inner, nested+1)
	return v
}
