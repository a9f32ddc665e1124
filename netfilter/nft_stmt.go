package netfilter

import (
	"strings"

	"github.com/plumbnet/plumb/packet"
)

func (v nftVerdict) run(w *nftWalk, s *state) nftFlow {
	if v.kind == verdictContinue {
		return flowBreak
	}
	w.verdict(v, s)
	return flowEnd
}

// nftStrange is a part of a rule that is not understood. A match may hold or not; a statement may do anything.
type nftStrange struct {
	why   string
	match bool
}

func (t *nftStrange) run(w *nftWalk, s *state) nftFlow {
	if t.match {
		w.e.maybe(t.why)
		return flowEither
	}
	w.e.end(s, w.at, VerdictUnknown, t.why)
	return flowEnd
}

// nftMaybe is a condition whose state no snapshot holds: a rate, a quota, a number of connections.
type nftMaybe struct {
	why   string
	share float64
}

func (m *nftMaybe) run(w *nftWalk, _ *state) nftFlow {
	w.e.maybe(m.why)
	w.e.share = m.share
	return flowEither
}

// above makes a condition that a first packet meets, or with inv one that it does not.
func above(why string, inv bool) nftStmt {
	if inv {
		return &nftMaybe{why, unlikely}
	}
	return &nftMaybe{why, likely}
}

func isTrue(n *jsonNode) bool { return n != nil && n.kind == 't' }

// nftStmts make statements, by the name that JSON gives them. One that makes nil changes nothing.
var nftStmts map[string]func(p *nftParser, n *jsonNode) (nftStmt, error)

func init() {
	nothing := func(*nftParser, *jsonNode) (nftStmt, error) { return nil, nil }
	unknown := func(why string) func(*nftParser, *jsonNode) (nftStmt, error) {
		return func(*nftParser, *jsonNode) (nftStmt, error) { return &nftStrange{why: why}, nil }
	}
	nftStmts = map[string]func(p *nftParser, n *jsonNode) (nftStmt, error){
		"match": (*nftParser).match, "vmap": (*nftParser).vmap, "mangle": (*nftParser).mangle, "set": (*nftParser).setStmt, "map": (*nftParser).setStmt,
		"limit": (*nftParser).limit, "quota": (*nftParser).quota, "ct count": (*nftParser).ctCount, "reject": (*nftParser).reject, "notrack": (*nftParser).notrack,
		"dnat": (*nftParser).dnat, "snat": (*nftParser).snat, "masquerade": (*nftParser).masquerade, "redirect": (*nftParser).redirect, "tproxy": (*nftParser).tproxy,
		"counter": (*nftParser).object, "ct helper": (*nftParser).object, "ct timeout": (*nftParser).object, "ct expectation": (*nftParser).object, "secmark": (*nftParser).object,
		"log": nothing, "last": nothing, "dup": nothing, "flow": nothing, "meter": (*nftParser).meter, "reset": (*nftParser).reset, "xt": (*nftParser).xt,
		"queue": unknown("a process decides (queue)"), "synproxy": unknown("the kernel answers in place of the server (synproxy)"), "fwd": unknown("the packet is sent on by another device (fwd)"),
	}
	for name, kind := range verdictKinds {
		nftStmts[name] = func(_ *nftParser, n *jsonNode) (nftStmt, error) {
			v := nftVerdict{kind, n.get("target").str()}
			if kind >= verdictJump && v.target == "" {
				return nil, notUnderstood("a jump to nowhere")
			}
			return v, nil
		}
	}
}

// rule compiles the expressions of a rule.
func (p *nftParser) rule(expr *jsonNode) []nftStmt {
	var out []nftStmt
	for i := range expr.list() {
		n := &expr.kids[i]
		if st := p.stmt(n); st != nil {
			out = append(out, st)
		}
	}
	return out
}

func (p *nftParser) stmt(n *jsonNode) nftStmt {
	if n.kind == '"' {
		return p.textStmt(n.text)
	}
	op, arg := n.only()
	make := nftStmts[op]
	if make == nil {
		return &nftStrange{why: "the statement " + short(op) + " is not understood"}
	}
	st, err := make(p, arg)
	if err != nil {
		return &nftStrange{why: op + ": " + err.Error(), match: op == "match"}
	}
	return st
}

// textStmt reads a statement for which nft has no JSON: 1.0 prints updates of maps as text.
func (p *nftParser) textStmt(s string) nftStmt {
	f := strings.Fields(s)
	if len(f) > 1 && strings.HasPrefix(f[1], "@") && (f[0] == "add" || f[0] == "update" || f[0] == "delete") {
		if t := p.sets[f[1][1:]]; t != nil {
			t.changes, t.shrinks = true, true
			t.changed = [len(chainNames)]bool{true, true, true, true, true}
			return nil
		}
	}
	return &nftStrange{why: "the statement " + short(s) + " is not understood"}
}

// object compiles a statement that names an object, mostly one that counts. Where
// a map names it, a packet that is not in the map goes on to the next rule (nft_objref_map_eval).
func (p *nftParser) object(n *jsonNode) (nftStmt, error) {
	m := n.get("map")
	if m == nil {
		return nil, nil
	}
	key, err := p.expr(m.get("key"), nil)
	if err != nil {
		return nil, err
	}
	set, err := p.setFor(m.get("data"), &key, nil, false)
	return &nftLookup{left: key, set: set}, err
}

func (p *nftParser) limit(n *jsonNode) (nftStmt, error) {
	if n.get("map") != nil {
		return p.rated(n, "whether the rate is above a limit is not known")
	}
	inv := isTrue(n.get("inv"))
	if n.kind == '"' {
		inv = p.over["limit "+n.text]
	}
	return above("whether the rate is above a limit is not known", inv), nil
}

// rated compiles a limit or a quota that a map names.
func (p *nftParser) rated(n *jsonNode, why string) (nftStmt, error) {
	in, err := p.object(n)
	if err != nil {
		return nil, err
	}
	return nftBoth{in, above(why, false)}, nil
}

// nftBoth is two statements, one after the other; only the second may answer that it does not know.
type nftBoth [2]nftStmt

func (b nftBoth) run(w *nftWalk, s *state) nftFlow {
	if f := b[0].run(w, s); f != flowOn {
		return f
	}
	return b[1].run(w, s)
}

func (p *nftParser) ctCount(n *jsonNode) (nftStmt, error) {
	return above("the number of connections is not known (ct count)", isTrue(n.get("inv"))), nil
}

// nftQuota is a quota: so many bytes, of which some were used when the snapshot was taken.
type nftQuota struct {
	bytes, used uint64
	over        bool // it holds above the quota, not below
}

func (q *nftQuota) run(w *nftWalk, s *state) nftFlow {
	if q.used+uint64(max(s.p.Size, 1)) >= q.bytes {
		return flow(tri(q.over))
	}
	return above("what is left of a quota is not known", q.over).run(w, s)
}

var quotaUnits = map[string]uint64{"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20, "gbytes": 1 << 30}

func (p *nftParser) quota(n *jsonNode) (nftStmt, error) {
	if n.get("map") != nil {
		return p.rated(n, "what is left of a quota is not known")
	}
	if n.kind == '"' {
		if q := p.quotas[n.text]; q != nil {
			return q, nil
		}
		return nil, notUnderstood("quota %s was not listed", short(n.text))
	}
	v, ok := n.get("val").num()
	unit, ok2 := quotaUnits[n.get("val_unit").str()]
	if !ok || !ok2 {
		return nil, notUnderstood("a quota of %s", short(n.get("val").str()))
	}
	used, _ := n.get("used").num()
	usedUnit := max(quotaUnits[n.get("used_unit").str()], 1)
	return &nftQuota{v * unit, used * usedUnit, isTrue(n.get("inv"))}, nil
}

// meter compiles the old form of a dynamic set with a rate.
func (p *nftParser) meter(n *jsonNode) (nftStmt, error) {
	return p.inner(n.get("stmt")), nil
}

// inner compiles the statements of an element, of which a rate alone decides anything.
func (p *nftParser) inner(n *jsonNode) nftStmt {
	list := n.list()
	if n != nil && n.kind == '{' {
		list = []jsonNode{*n}
	}
	for i := range list {
		switch op, arg := list[i].only(); op {
		case "limit", "quota", "ct count":
			return above("whether the rate is above a limit is not known", isTrue(arg.get("inv")))
		}
	}
	return nil
}

// rejectCodes are the answers of reject, by family and by the name that nft has for them; what the kernel makes of "icmpx" is in nft_reject.c.
var rejectCodes = map[string]map[string]string{
	"icmp": {"net-unreachable": "icmp-net-unreachable", "host-unreachable": "icmp-host-unreachable", "prot-unreachable": "icmp-proto-unreachable",
		"port-unreachable": "icmp-port-unreachable", "net-prohibited": "icmp-net-prohibited", "host-prohibited": "icmp-host-prohibited", "admin-prohibited": "icmp-admin-prohibited"},
	"icmpv6": {"no-route": "icmp6-no-route", "admin-prohibited": "icmp6-adm-prohibited", "addr-unreachable": "icmp6-addr-unreachable",
		"port-unreachable": "icmp6-port-unreachable", "policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route"},
	"icmpx":  {"no-route": "icmp-net-unreachable", "port-unreachable": "icmp-port-unreachable", "host-unreachable": "icmp-host-unreachable", "admin-prohibited": "icmp-admin-prohibited"},
	"icmpx6": {"no-route": "icmp6-no-route", "port-unreachable": "icmp6-port-unreachable", "host-unreachable": "icmp6-addr-unreachable", "admin-prohibited": "icmp6-adm-prohibited"},
}

// nftReject is reject; with has the answer to an IPv4, and to an IPv6 packet.
type nftReject struct{ with [2]string }

func (r *nftReject) run(w *nftWalk, s *state) nftFlow {
	with := r.with[bit(w.e.is6, 1)]
	if with == "" || with == "tcp-reset" && s.p.Proto != packet.TCP {
		return flowBreak
	}
	s.rejectWith = with
	w.e.end(s, w.at, Reject, "")
	return flowEnd
}

func (p *nftParser) reject(n *jsonNode) (nftStmt, error) {
	kind, code := n.get("type").str(), n.get("expr").str()
	if code == "" {
		code = "port-unreachable"
	}
	switch kind {
	case "tcp reset":
		return &nftReject{[2]string{"tcp-reset", "tcp-reset"}}, nil
	case "", "icmpx":
		kind = "icmpx"
	}
	r := &nftReject{}
	switch kind {
	case "icmp":
		r.with[0] = rejectCodes[kind][code]
	case "icmpv6":
		r.with[1] = rejectCodes[kind][code]
	case "icmpx":
		r.with = [2]string{rejectCodes[kind][code], rejectCodes["icmpx6"][code]}
	}
	if r.with == [2]string{} {
		return nil, notUnderstood("the answer %s %s", short(kind), short(code))
	}
	return r, nil
}

// xt reads a match or target of iptables that nft cannot print.
func (p *nftParser) xt(n *jsonNode) (nftStmt, error) {
	kind, name := n.get("type").str(), n.get("name").str()
	switch {
	case name == "comment", name == "LOG", name == "NFLOG", name == "TRACE":
		return nil, nil
	case kind == "match":
		return &nftStrange{"the match " + short(name) + " of iptables, which nft does not print", true}, nil
	}
	return &nftStrange{why: "the target " + short(name) + " of iptables, which nft does not print"}, nil
}
