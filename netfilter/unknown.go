package netfilter

// Unknown returns what is not known of a rule before any packet meets it, "" if
// nothing: a match or target that is not understood, or one whose state (a list
// of -m recent, the tokens of -m limit) no snapshot holds.
func (r *Rule) Unknown() string {
	for _, m := range r.matches {
		if u, ok := m.(*unknownMatch); ok {
			return u.why
		}
	}
	if u, ok := r.target.(*unknownTarget); ok {
		return u.why
	}
	return ""
}
