package netfilter

import "strings"

// tokenize splits a rule into words as iptables-restore does.
func (p *ruleParser) tokenize(s string) bool {
	p.toks = p.toks[:0]
	for i := 0; i < len(s); {
		if s[i] == ' ' || s[i] == '\t' {
			i++
			continue
		}
		start := i
		for i < len(s) && s[i] != ' ' && s[i] != '\t' && s[i] != '"' {
			i++
		}
		if i == len(s) || s[i] != '"' {
			p.toks = append(p.toks, token{s: s[start:i]})
			continue
		}
		word, n := unquote(s[start:])
		if n < 0 {
			return false
		}
		p.toks = append(p.toks, token{s: word, quoted: true})
		i = start + n
	}
	return true
}

// unquote reads one word that has quotes, and returns its length in s, or -1 if a quote is left open.
func unquote(s string) (string, int) {
	if end := strings.IndexAny(s[1:], "\"\\"); s[0] == '"' && end >= 0 && s[1+end] == '"' &&
		(end+2 == len(s) || s[end+2] == ' ') {
		return s[1 : 1+end], end + 2
	}
	var b strings.Builder
	open := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case open && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			open = !open
		case !open && (c == ' ' || c == '\t'):
			return b.String(), i
		default:
			b.WriteByte(c)
		}
	}
	if open {
		return "", -1
	}
	return b.String(), len(s)
}
