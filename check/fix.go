package check

import (
	"fmt"
	"strings"
)

// Cmd returns a command that a person can paste into a shell: format with each
// %s replaced by an argument, quoted where the shell would read more than a word
// in it. What a snapshot says of names is not to be trusted.
func Cmd(format string, args ...any) string {
	words := make([]any, len(args))
	for i, a := range args {
		words[i] = Quote(fmt.Sprint(a))
	}
	return fmt.Sprintf(format, words...)
}

// Quote returns a word as a POSIX shell reads it back. Letters, digits and
// the marks that mean nothing to a shell inside a word stay as they are.
func Quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:/-,=+@%", r)
	}
	if word != "" && strings.TrimLeftFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// QuoteRule returns the words of a rule, as iptables-save prints them, for a
// shell. iptables-save puts words with spaces between double quotes, in which a
// shell would still replace $ and backquotes.
func QuoteRule(rule string) string {
	var out []string
	for rule = strings.TrimSpace(rule); rule != ""; rule = strings.TrimSpace(rule) {
		var word string
		word, rule = ruleWord(rule)
		out = append(out, quoteRuleWord(word))
	}
	return strings.Join(out, " ")
}

// quoteRuleWord leaves the "!" of iptables alone, which a shell takes as a word where no letter follows.
func quoteRuleWord(word string) string {
	if word == "!" {
		return word
	}
	return Quote(word)
}

// ruleWord cuts the first word off a rule: up to a space, or what is between
// double quotes, where a backslash takes the next byte as it is.
func ruleWord(s string) (word, rest string) {
	if s[0] != '"' {
		word, rest, _ = strings.Cut(s, " ")
		return word, rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
