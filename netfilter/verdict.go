package netfilter

var verdictNames = [...]string{"Unknown", "Accept", "Drop", "Reject", "TProxy"}

// String returns the verdict's name: "Accept".
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "invalid"
}

var stateNames = [...]string{"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}

// String returns the state as "-m conntrack --ctstate" names it.
func (s CTState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "invalid"
}

var triNames = [...]string{"maybe", "yes", "no"}

// String returns "maybe", "yes" or "no".
func (t Tri) String() string {
	if int(t) < len(triNames) {
		return triNames[t]
	}
	return "invalid"
}
