package netfilter

// String returns the rule as a person would look for it:
// "nat KUBE-SERVICES: -A KUBE-SERVICES -d 10.96.0.1/32 …", or "filter FORWARD: policy DROP".
func (r Ref) String() string {
	head := ""
	if r.Table != nil {
		head = r.Table.Name + " "
	}
	if r.IsNative() {
		head = r.Table.Family + " " + head
	}
	if r.Chain != nil {
		head += r.Chain.Name + ": "
	}
	return head + r.Text()
}

// Text returns the rule as iptables-save prints it, or for a policy "policy DROP".
func (r Ref) Text() string {
	switch {
	case r.Rule != nil:
		return r.Rule.Text
	case r.Chain != nil && r.Chain.Policy != "":
		return "policy " + r.Chain.Policy
	case r.Chain != nil:
		return "end of the chain"
	}
	return ""
}

// File returns the file that the rule was read from, as [ParseSave] was told.
func (r Ref) File() string {
	if r.Table == nil {
		return ""
	}
	return r.Table.File
}

// Line returns the line of the rule, or of the chain's declaration for a policy; 0 if there is none.
func (r Ref) Line() int {
	switch {
	case r.Rule != nil:
		return r.Rule.Line
	case r.Chain != nil:
		return r.Chain.Line
	}
	return 0
}
