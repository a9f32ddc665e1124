package netfilter

// A Set is an ipset.
type Set struct {
	Name string
	Type string // "hash:ip", "hash:net,port" …
}

func newSetMatch(p *ruleParser, _ *rule, o []opt) match {
	return &unknownMatch{why: "TODO"}
}
