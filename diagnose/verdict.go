package diagnose

import (
	"math"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A judge weighs paths. It knows those that fail although the trace cannot tell,
// and what they come to.
type judge map[check.Loss]Verdict

// newJudge returns the judge who has heard what the checks know of.
func newJudge(lost []check.Loss) judge {
	j := judge{}
	for _, l := range lost {
		v := Broken
		if l.Share {
			v = Partly
		}
		l.Share = false
		if j[l] != Broken {
			j[l] = v
		}
	}
	return j
}

// result weighs the paths of one result.
func (j judge) result(r trace.Result) Verdict {
	var works, broken, unknown bool
	for _, p := range r.Paths {
		switch j.path(p) {
		case Works:
			works = true
		case Broken:
			broken = true
		case Partly:
			works, broken = true, true
		default:
			unknown = true
		}
	}
	switch {
	case len(r.Paths) == 0:
		return CannotTell
	case works && !broken && !unknown:
		return Works
	case broken && !works && !unknown:
		return Broken
	case broken && j.certain(r):
		return Partly
	}
	return CannotTell
}

// certain reports whether some path fails without resting on anything that is not known, or a check says that it does.
func (j judge) certain(r trace.Result) bool {
	for _, p := range r.Paths {
		if v := j.path(p); (v == Broken || v == Partly) && (len(p.Assumed) == 0 || j[check.LossOf(&p)] != CannotTell) {
			return true
		}
	}
	return false
}

// Judge says what one path comes to, its answer included.
func (r *Report) Judge(p trace.Path) Verdict { return r.lost.path(p) }

// path says what one path comes to, its answer included. A packet that left
// the cluster has a fate that the snapshot does not hold: CannotTell, unless a
// check knows it, or it came back in by another node and its answer fails for certain.
func (j judge) path(p trace.Path) Verdict {
	v := j.traced(p)
	if l := j[check.LossOf(&p)]; l != CannotTell && v != Broken {
		return l
	}
	return v
}

// traced is path without the checks' word.
func (j judge) traced(p trace.Path) Verdict {
	switch p.End {
	case trace.Unknown:
		return CannotTell
	case trace.LeftCluster:
		if len(p.Reply) > 0 && j.result(trace.Result{Paths: p.Reply}) == Broken {
			return Broken
		}
		return CannotTell
	case trace.TooBig:
		return discovers(p.ICMP)
	case trace.Delivered:
	default:
		return Broken
	}
	if len(p.Reply) == 0 {
		return Works
	}
	return j.result(trace.Result{Paths: p.Reply})
}

// discovers judges a packet that was too big by what becomes of the ICMP error:
// a sender that hears of it sends smaller packets (RFC 1191, RFC 8201).
func discovers(icmp []trace.Path) Verdict {
	v := Works
	for _, p := range icmp {
		switch p.End {
		case trace.Delivered:
		case trace.Unknown, trace.LeftCluster:
			v = CannotTell
		default:
			return Broken
		}
	}
	if len(icmp) == 0 {
		return Broken
	}
	return v
}

// judge weighs the traces into the report's verdict and says it in one sentence.
func (r *Report) judge(q question) {
	var small, big []Trace
	j := newJudge(r.Checks.Lost)
	r.lost = j
	r.Traces = j.needed(r.Traces)
	for i := range r.Traces {
		t := &r.Traces[i]
		t.Verdict = j.result(t.Result)
		if t.Big {
			big = append(big, *t)
		} else {
			small = append(small, *t)
		}
	}
	first, sized := worst(small), worst(big)
	switch {
	case !q.nothing.IsZero():
		r.Verdict, r.Summary = Broken, q.nothing
	case len(small) == 0:
		r.Verdict, r.Summary = CannotTell, text.F("cannot tell whether %s reaches %s: too little was collected to follow a packet", r.Source.Name, r.destName())
	case first == Broken:
		r.Verdict, r.Summary = Broken, text.F("%s does not reach %s", r.Source.Name, r.destName())
	case first == Partly:
		r.Verdict, r.Summary = Partly, r.partly(small)
	case first == CannotTell && (sized == Broken || sized == Partly):
		r.Verdict, r.Summary = Partly, text.F("full-sized packets between %s and %s are lost; what becomes of small ones is not known", r.Source.Name, r.destName())
	case sized == Broken || sized == Partly:
		r.Verdict, r.Summary = Partly, text.F("%s reaches %s with small packets, but full-sized ones are lost", r.Source.Name, r.destName())
	case first == Works && sized != CannotTell:
		r.Verdict, r.Summary = Works, text.F("%s reaches %s", r.Source.Name, r.destName())
	case first == Works:
		r.Verdict, r.Summary = Works, text.F("%s reaches %s; what becomes of full-sized packets is not known", r.Source.Name, r.destName())
	case j.leaves(small, true):
		r.Verdict, r.Summary = CannotTell, text.F("nothing here stops %s from reaching %s, but the way leads through a router that is not in the snapshot", r.Source.Name, r.destName())
	case j.leaves(small, false):
		r.Verdict, r.Summary = CannotTell, text.F("packets from %s to %s leave the cluster; what becomes of them there is not in the snapshot", r.Source.Name, r.destName())
	default:
		r.Verdict, r.Summary = CannotTell, text.F("cannot tell whether %s reaches %s", r.Source.Name, r.destName())
	}
	r.judgeName(j)
	r.addNeeds()
}

// judgeName takes the lookup of the destination's name into account: who cannot ask does not connect.
func (r *Report) judgeName(j judge) {
	if r.Name == nil {
		if j.result(r.server.Result) == Broken && r.Verdict != Broken {
			r.Verdict, r.Summary = Broken, text.F("%s does not reach %s: it cannot ask the name server %s for the name", r.Source.Name, r.hostName(), r.server.Result.Query.Dst.Addr())
		}
		return
	}
	way := &r.Name.Way
	if len(way.Result.Paths) > 0 {
		way.Verdict = j.result(way.Result)
	}
	for i := range r.Name.Onward {
		r.Name.Onward[i].Verdict = j.result(r.Name.Onward[i].Result)
	}
	onward := r.Name.Onward
	switch {
	case r.loops() && r.Verdict != Broken:
		r.Verdict, r.Summary = Broken, text.F("%s does not reach %s: CoreDNS forwards the query to itself", r.Source.Name, r.Name.Name)
	case len(onward) > 0 && worst(onward) == Broken && len(onward) == len(r.Name.Upstreams) && r.Verdict != Broken:
		r.Verdict, r.Summary = Broken, text.F("%s does not reach %s: CoreDNS cannot ask its upstreams for the name", r.Source.Name, r.Name.Name)
	case len(r.Traces) == 0 && len(r.Name.Upstreams) > 0 && r.Verdict == CannotTell:
		r.Summary = text.F("cannot tell whether %s reaches %s: %s decide what its address is", r.Source.Name, r.Name.Name, UpstreamNames(r.Name.Upstreams))
	}
	switch {
	case len(way.Result.Paths) == 0:
	case way.Verdict == Broken && r.Verdict != Broken:
		r.Verdict, r.Summary = Broken, text.F("%s does not reach %s: it cannot ask the name server %s for the name", r.Source.Name, r.Name.Name, r.Name.Server)
	case way.Verdict == Partly && r.Verdict == Works:
		r.Verdict, r.Summary = Partly, text.F("%s reaches %s with some connections only: some queries to the name server %s are lost", r.Source.Name, r.Name.Name, r.Name.Server)
	case way.Verdict == CannotTell && r.Verdict == Works:
		r.Needs = append(r.Needs, Need{What: text.F("whether queries arrive at the name server %s", r.Name.Server)})
	}
}

// loops reports whether all upstreams that are to answer lead back to CoreDNS, and makes the finding about that one of the path.
func (r *Report) loops() bool {
	d := check.FindCoreDNS(&r.network.Snapshot.Objects, r.network.Snapshot.Nodes)
	i := slices.IndexFunc(r.Checks.Findings, func(f check.Finding) bool { return f.Check == "coredns-loop" })
	if i < 0 || len(r.Name.Upstreams) == 0 || slices.ContainsFunc(r.Name.Upstreams, func(u dns.Upstream) bool { return !u.Addr.IsValid() || !d.Itself(u.Addr.Addr()) }) {
		return false
	}
	f := r.Checks.Findings[i]
	f.OnPath = true
	r.Checks.Findings = slices.Insert(slices.Delete(slices.Clone(r.Checks.Findings), i, i+1), 0, f)
	return true
}

// needed drops the full-sized packets to where not even the first packet comes:
// follow has not sent them where the trace alone knew it.
func (j judge) needed(ts []Trace) (out []Trace) {
	dead := false
	for _, t := range ts {
		if !t.Big {
			dead = j.result(t.Result) == Broken
		}
		if !t.Big || !dead {
			out = append(out, t)
		}
	}
	return out
}

// partly says which connections fail: those to some addresses, or a share of all.
func (r *Report) partly(small []Trace) text.Text {
	var good, bad []string
	for _, t := range small {
		dst := t.Result.Query.Dst.Addr()
		switch {
		case dst.IsValid() && t.Verdict == Works:
			good = append(good, dst.String())
		case dst.IsValid() && t.Verdict == Broken:
			bad = append(bad, dst.String())
		}
	}
	if len(good) > 0 && len(bad) > 0 && len(good)+len(bad) == len(small) {
		return text.F("%s reaches %s by %s, but not by %s", r.Source.Name, r.destName(), strings.Join(good, ", "), strings.Join(bad, ", "))
	}
	share := map[Verdict]float64{}
	for _, p := range small[0].Result.Paths {
		share[r.lost.path(p)] += p.Weight
	}
	lost := int(math.Round(share[Broken] * 100))
	switch {
	case len(small) > 1 || share[Partly] > 0 || lost == 0 || lost == 100:
		return text.F("%s reaches %s with some connections only", r.Source.Name, r.destName())
	case share[CannotTell] > 0:
		return text.F("of the connections from %s to %s, %d %% fail for certain; of %d %% it is not known", r.Source.Name, r.destName(), lost, int(math.Round(share[CannotTell]*100)))
	}
	return text.F("%s reaches %s with some connections only: %d %% of them fail", r.Source.Name, r.destName(), lost)
}

// worst weighs several traces: any that is broken counts, then any that is not known.
func worst(ts []Trace) Verdict {
	count := map[Verdict]int{}
	for _, t := range ts {
		count[t.Verdict]++
	}
	switch {
	case len(ts) == 0:
		return Works
	case count[Broken] == len(ts):
		return Broken
	case count[Broken]+count[Partly] > 0:
		return Partly
	case count[CannotTell] > 0:
		return CannotTell
	}
	return Works
}

// leaves reports whether every path that is not well ends outside the cluster
// or, with back, comes back in behind a router that the snapshot does not know.
func (j judge) leaves(ts []Trace, back bool) bool {
	for _, t := range ts {
		for _, p := range t.Result.Paths {
			if j.path(p) == Works {
				continue
			}
			if p.End == trace.LeftCluster && (len(p.Reply) > 0) == back {
				continue
			}
			if back && p.End == trace.Delivered && leavesBack(p.Reply) {
				continue
			}
			return false
		}
	}
	return true
}

// leavesBack reports whether every answer arrives or goes by a router that the snapshot does not know.
func leavesBack(ps []trace.Path) bool {
	for _, p := range ps {
		if p.End != trace.LeftCluster && p.End != trace.Delivered {
			return false
		}
	}
	return true
}

func (r *Report) destName() text.Text {
	if r.Dest.Port == 0 {
		return text.F("%s", r.Dest.Name)
	}
	return text.F("%s port %d", r.Dest.Name, r.Dest.Port)
}
