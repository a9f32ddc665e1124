package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// wide holds the ranges of characters that take two columns of a terminal:
// the classes W and F of Unicode's East Asian Width (UAX #11), emoji included.
// Ambiguous ones, such as arrows and box drawing, count as one.
var wide = [][2]rune{
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf},
	{0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe10, 0xfe19}, {0xfe30, 0xfe6f}, {0xff00, 0xff60},
	{0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
}

// runeWidth returns the columns that r takes: 0, 1 or 2.
func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if w[0] <= r && r <= w[1] {
			return 2
		}
	}
	return 1
}

// width returns the columns that s takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// Columns returns the columns of a terminal that s takes.
func Columns(s string) int { return width(s) }

// pad fills s with spaces up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-width(s)))
}

// clip cuts s to n columns; what is cut off shows as an ellipsis.
func clip(s string, n int) string {
	if width(s) <= n {
		return s
	}
	at := 0
	for i, r := range s {
		if at += runeWidth(r); at > n-1 {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// Shorten cuts s to n columns in its middle.
func Shorten(s string, n int) string { return shorten(s, n) }

// shorten cuts s to n columns in its middle, so that a rule keeps its chain and its target.
func shorten(s string, n int) string {
	over := width(s) - n
	if over <= 0 {
		return s
	}
	head := clip(s, n/3+1)
	rest := []rune(s)
	for len(rest) > 0 && width(head)+width(string(rest)) > n {
		rest = rest[1:]
	}
	return head + string(rest)
}

// Clean returns s so that it can be printed on a terminal, whoever wrote it.
func Clean(s string) string { return clean(s) }

// clean returns s with all that could move a cursor, colour a terminal, end a
// line or turn the direction of writing replaced by its escape in Go's syntax.
// A tab becomes a space.
func clean(s string) string {
	if !strings.ContainsFunc(s, unsafe) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t':
			b.WriteByte(' ')
		case r == '\n':
			b.WriteString(`\n`)
		case unsafe(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafe(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// unsafe reports whether r is a control or format character, a line separator, or what stands for bad UTF-8.
func unsafe(r rune) bool {
	return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// noStart are the characters that may not begin a line of Chinese.
const noStart = "，。、；：！？）」』》…”"

// wrap breaks s into lines of at most n columns: at spaces, or between wide
// characters, and within a word only where that is longer than a line.
func wrap(s string, n int) []string { return wrapFirst(s, n, n) }

// wrapFirst is wrap with another width for the first line.
func wrapFirst(s string, first, rest int) []string {
	var lines []string
	for n := max(first, 10); width(s) > n; n = max(rest, 10) {
		i := breakAt(s, n)
		lines = append(lines, strings.TrimRight(s[:i], " "))
		s = strings.TrimLeft(s[i:], " ")
	}
	return append(lines, s)
}

// breakAt returns where to break s, which is wider than n.
func breakAt(s string, n int) int {
	best, at := 0, 0
	prev := rune(0)
	for i, r := range s {
		canBreak := r == ' ' || i > 0 && (runeWidth(r) == 2 || runeWidth(prev) == 2) && !strings.ContainsRune(noStart, r)
		if canBreak && i > 0 {
			best = i
		}
		if at += runeWidth(r); at > n {
			if best > 0 {
				return best
			}
			return max(i, len(string(r)))
		}
		prev = r
	}
	return len(s)
}
