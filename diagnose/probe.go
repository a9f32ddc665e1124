package diagnose

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A ProbePlan is a real packet that would show whether a prediction holds, and the prediction
// for that very packet.
type ProbePlan struct {
	Node    string // where it is to be sent
	Pod     string // from whose namespace; "" for the node's own
	Proto   packet.Proto
	Src     netip.Addr // invalid: the kernel chooses
	Dst     netip.AddrPort
	Size    int // of the IP packet, in bytes; 0 for the smallest
	DF      bool
	Lookup  string // the name that a name server is asked for; "" where none is asked
	Lookup6 bool   // its addresses of IPv6
	Count   int
	Timeout time.Duration // of each

	Predicted Verdict // of this very packet

	result   trace.Result
	named    bool // Lookup is the name of the destination, without which nothing is reached
	upstream bool // Dst is a name server that CoreDNS forwards to
}

// Ask returns what an agent is asked for.
func (p *ProbePlan) Ask() snapshot.ProbeAsk {
	return snapshot.ProbeAsk{Pod: p.Pod, Proto: p.Proto, Src: p.Src, Dst: p.Dst, Size: p.Size, DF: p.DF, Lookup: p.Lookup, Lookup6: p.Lookup6, Count: p.Count, Timeout: p.Timeout}
}

// How often a probe is sent, and how long each is waited for: more often where only some
// connections are expected to fail, so that chance does not decide, and less where none is to be answered.
const (
	probeCount   = 3
	probeBroken  = 2
	probePartly  = 20
	probeTimeout = 700 * time.Millisecond
	partlyPause  = 300 * time.Millisecond
)

// maxPlans bounds the probes of one report.
const maxPlans = 6

// Plans returns the probes that check what r predicts: each first packet and, where those
// arrive, an echo request of full size that may not be fragmented; of a host name also its lookup. None
// can be sent from outside the cluster. There is nothing to be seen of SCTP.
func (r *Report) Plans() []ProbePlan {
	plans := r.lookups()
	for i := range r.Traces {
		t := &r.Traces[i]
		if len(plans) == maxPlans || t.Result.Query.From == nil || t.Result.Query.Proto == packet.SCTP {
			continue
		}
		q := t.Result.Query
		if !t.Big {
			plans = append(plans, r.plan(q, t.Result))
			continue
		}
		if q, ok := bigEcho(t.Result); ok && !slices.ContainsFunc(plans, func(p ProbePlan) bool { return p.Size == q.Size && p.Dst == q.Dst }) {
			plan := r.plan(q, trace.Run(r.network, q))
			if len(r.Checks.Lost) > 0 { // the checks know what the trace does not, but not of this packet
				plan.Predicted = CannotTell
			}
			plans = append(plans, plan)
		}
	}
	return plans
}

// bigEcho is an echo request as large as the full-sized packet of a result, to where that goes
// in the end: a Service translates no echoes. A full-sized answer is not to be had by asking.
func bigEcho(r trace.Result) (trace.Query, bool) {
	if r.Query.Size != trace.FullSegment || len(r.Paths) == 0 || len(r.Paths[0].Hops) == 0 {
		return trace.Query{}, false
	}
	p := r.Paths[0]
	first := p.Hops[0].Steps
	last := &p.Final
	for last.Inner != nil {
		last = last.Inner
	}
	if len(first) == 0 || !last.Dst.IsValid() {
		return trace.Query{}, false
	}
	q := trace.Query{From: r.Query.From, Src: r.Query.Src, Dst: netip.AddrPortFrom(last.Dst.Addr(), 0), Proto: packet.ICMP, Size: first[0].Out.Size, DF: true}
	if q.Dst.Addr().Is6() {
		q.Proto = packet.ICMPv6
	}
	return q, true
}

func (r *Report) plan(q trace.Query, result trace.Result) ProbePlan {
	p := ProbePlan{
		Node: q.From.Node.Name, Pod: q.From.PodName, Proto: q.Proto, Src: q.Src, Dst: q.Dst, Size: max(q.Size, 0), DF: q.DF && q.Size > 0, Lookup: r.lookupOf(q),
		Count: probeCount, Timeout: probeTimeout, Predicted: r.lost.result(result), result: result,
	}
	switch p.Predicted {
	case Partly:
		p.Count, p.Timeout = probePartly, partlyPause
	case Broken:
		p.Count = probeBroken
	}
	return p
}

// Agreement says whether a prediction and what was seen go together.
type Agreement uint8

// The agreements. NotComparable is the zero value: one of the two says nothing.
const (
	NotComparable Agreement = iota
	Agrees
	Differs
)

var agreementNames = [...]string{"not-comparable", "agrees", "differs"}

// String returns the name in lower-kebab: "not-comparable".
func (a Agreement) String() string {
	if int(a) < len(agreementNames) {
		return agreementNames[a]
	}
	return "invalid"
}

// MarshalText returns the name.
func (a Agreement) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// An Observation is what came of a probe, beside what was predicted for it.
type Observation struct {
	Probe     snapshot.Probe
	Predicted Verdict
	Agreement Agreement
	What      text.Text // one sentence: what was seen
	NotSent   string    // why the probe could not be sent at all; "" where it was
	Location  *Location // where its like were seen last, where that was looked for; else nil
}

// Observe notes what came of a plan's probe, or why it could not be sent, and lets it bear on
// the verdict: where prediction and probe differ, nothing is certain; where the
// prediction could not tell, the probe can.
func (r *Report) Observe(plan ProbePlan, probe snapshot.Probe, err error) {
	o := Observation{Probe: probe, Predicted: plan.Predicted}
	o.Probe.Node, o.Probe.Pod = plan.Node, plan.Pod
	if err != nil {
		o.Probe.Proto, o.Probe.Dst, o.NotSent = plan.Proto, plan.Dst, err.Error()
		r.Observed = append(r.Observed, o)
		return
	}
	o.Agreement = compare(plan, probe)
	o.What = observed(&o.Probe)
	r.Observed = append(r.Observed, o)
	if plan.named && o.Probe.Answered > 0 { // it was followed after all
		r.Needs = slices.DeleteFunc(r.Needs, func(n Need) bool { return n.What.Format == lookupNeed })
	}
	if plan.upstream {
		r.unanswered(plan, o)
	}
	r.conclude(plan, o)
}

// conclude lets an observation bear on the verdict. What was seen is so; why it is so
// is not known where the model says otherwise.
func (r *Report) conclude(plan ProbePlan, o Observation) {
	seen := o.verdict()
	switch {
	case o.Agreement == Differs:
		r.Disagree = true
		r.Summary = text.F("prediction and probe disagree: %s, but by the snapshot %s", o.What, r.predicted(plan))
		r.Verdict = seen
		if seen == Works { // for now, or for these: what the model holds to be broken may fail others
			r.Verdict = CannotTell
		}
	case plan.named && (seen == Broken || nameless(o.Probe.Lookup)) && !r.Disagree:
		r.Verdict, r.Summary = Broken, text.F("%s cannot look up %s: %s", r.Source.Name, plan.Lookup, o.What)
	case o.Probe.Size > 0 && seen == Broken && r.Verdict == Works && plan.Predicted == CannotTell && !r.Disagree:
		// By the size, or by what filters echo requests: only where they arrive do they tell.
		r.Verdict, r.Summary = CannotTell, text.F("small packets from %s reach %s; whether full-sized ones do is not known: %s", r.Source.Name, r.destName(), o.What)
	case r.Disagree || r.Verdict != CannotTell || o.Probe.Size > 0 || plan.named || plan.upstream:
	case seen == Works:
		r.Verdict, r.Summary = Works, text.F("%s reaches %s, as probes show; the snapshot alone could not tell", r.Source.Name, r.destName())
	case seen == Broken:
		r.Verdict, r.Summary = Broken, text.F("%s does not reach %s, as probes show; the snapshot does not tell where they are lost", r.Source.Name, r.destName())
	case seen == Partly:
		r.Verdict, r.Summary = Partly, text.F("%s reaches %s with some connections only, as probes show", r.Source.Name, r.destName())
	}
}

// verdict is what was seen, in a word.
func (o *Observation) verdict() Verdict {
	switch p := &o.Probe; {
	case p.Sent == 0 || mute(p):
		return CannotTell
	case p.Answered == p.Sent:
		return Works
	case p.Answered == 0:
		return Broken
	}
	return Partly
}

// predicted says what the model held of a plan's packet.
func (r *Report) predicted(plan ProbePlan) text.Text {
	switch plan.Predicted {
	case Works:
		return text.F("they arrive")
	case Partly:
		return text.F("only some of them arrive")
	}
	for _, p := range plan.result.Paths {
		if r.lost.path(p) == Broken && !p.Why.IsZero() {
			return p.Why
		}
	}
	return text.F("they are lost")
}

// compare weighs what was seen against what was predicted for the same packet.
func compare(plan ProbePlan, p snapshot.Probe) Agreement {
	if p.Sent == 0 || mute(&p) {
		return NotComparable
	}
	switch plan.Predicted {
	case Works:
		if p.Answered == p.Sent {
			return Agrees
		}
		return Differs
	case Broken:
		if p.Answered == 0 && expected(plan.result.Paths, p.Fate) {
			return Agrees
		}
		return Differs
	case Partly:
		return comparePartly(plan, p)
	}
	return NotComparable
}

// mute reports whether the silence on a probe says nothing: a server need not answer a datagram that asks nothing.
func mute(p *snapshot.Probe) bool {
	return p.Proto == packet.UDP && p.Fate == snapshot.ProbeSilent && p.Lookup == nil
}

// unlikely is how improbable an outcome has to be to speak against a prediction.
const unlikely = 0.001

// comparePartly weighs a share that should fail. All or none may be chance.
func comparePartly(plan ProbePlan, p snapshot.Probe) Agreement {
	if p.Answered > 0 && p.Answered < p.Sent {
		return Agrees
	}
	works := 0.0
	for _, path := range plan.result.Paths {
		if (judge{}).path(path) == Works {
			works += path.Weight
		}
	}
	if p.Answered == 0 {
		works = 1 - works
	}
	if works > 0 && works < 1 && math.Pow(works, float64(p.Sent)) < unlikely {
		return Differs
	}
	return NotComparable
}

// seenAs says how a sender sees each fate. A rule that drops what a process of the same node
// sends makes its kernel refuse; a neighbour that does not answer is told of in the end.
var seenAs = map[trace.Fate][]snapshot.ProbeFate{
	trace.Dropped:     {snapshot.ProbeSilent, snapshot.ProbeNotSent},
	trace.Rejected:    {snapshot.ProbeRejected, snapshot.ProbeRefused, snapshot.ProbeSilent},
	trace.NoRoute:     {snapshot.ProbeNotSent, snapshot.ProbeRejected, snapshot.ProbeSilent},
	trace.NoNeighbour: {snapshot.ProbeSilent, snapshot.ProbeNotSent, snapshot.ProbeRejected},
	trace.TooBig:      {snapshot.ProbeTooBig, snapshot.ProbeSilent},
	trace.Looped:      {snapshot.ProbeSilent, snapshot.ProbeRejected},
	trace.NoListener:  {snapshot.ProbeRefused, snapshot.ProbeRejected, snapshot.ProbeSilent},
	trace.LinkDown:    {snapshot.ProbeSilent, snapshot.ProbeNotSent, snapshot.ProbeRejected},
}

// expected reports whether a path that ends so looks like that to the sender. What kills the
// answer, or happens outside the cluster, is seen in many ways.
func expected(paths []trace.Path, fate snapshot.ProbeFate) bool {
	return slices.ContainsFunc(paths, func(p trace.Path) bool {
		list, ok := seenAs[p.End]
		return !ok || slices.Contains(list, fate)
	})
}

// observed says what was seen.
func observed(p *snapshot.Probe) text.Text {
	to := p.Dst.String()
	if p.Dst.Port() == 0 {
		to = p.Dst.Addr().String()
	}
	switch p.Fate {
	case snapshot.ProbeAnswered, snapshot.ProbeSilent:
		if p.Lookup != nil {
			return lookedUp(p)
		}
	}
	switch p.Fate {
	case snapshot.ProbeAnswered:
		if p.Size > 0 {
			return text.F("%d of %d probes of %d bytes by %s to %s were answered", p.Answered, p.Sent, p.Size, p.Proto, to)
		}
		return text.F("%d of %d probes by %s to %s were answered", p.Answered, p.Sent, p.Proto, to)
	case snapshot.ProbeRefused:
		return text.F("%d probes by %s to %s: its host refuses them: nothing listens there", p.Sent, p.Proto, to)
	case snapshot.ProbeRejected:
		if p.ICMP != nil {
			return text.F("%d probes by %s to %s: %s rejects them (ICMP type %d code %d)", p.Sent, p.Proto, to, p.ICMP.From, p.ICMP.Type, p.ICMP.Code)
		}
		return text.F("%d probes by %s to %s are rejected: %s", p.Sent, p.Proto, to, p.Why)
	case snapshot.ProbeTooBig:
		if p.ICMP != nil {
			return text.F("%d probes of %d bytes to %s: %s says that its next link takes %d", p.Sent, p.Size, to, p.ICMP.From, p.ICMP.MTU)
		}
		return text.F("%d probes of %d bytes to %s: the sender's own link takes less", p.Sent, p.Size, to)
	case snapshot.ProbeNotSent:
		return text.F("the sender's own kernel does not send to %s: %s", to, p.Why)
	}
	if p.Size > 0 {
		return text.F("%d probes of %d bytes by %s to %s were not answered", p.Sent, p.Size, p.Proto, to)
	}
	return text.F("%d probes by %s to %s were not answered", p.Sent, p.Proto, to)
}
