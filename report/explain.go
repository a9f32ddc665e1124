package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/text"
)

// A docPart is a paragraph of a check's Doc, or commands that are kept as they are.
type docPart struct {
	label, body string   // "Symptom", and what follows; label may be ""
	commands    []string // lines that were indented
}

// parseDoc splits a Doc into its title and its parts. A line that begins with a
// capitalised word and a colon (Chinese: two characters and a full-width colon)
// begins a paragraph; indented lines are commands.
func parseDoc(doc string) (title string, parts []docPart) {
	title, rest, _ := strings.Cut(strings.TrimSpace(doc), "\n")
	fresh := true
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n ")
		label, body, labelled := cutLabel(line)
		switch {
		case line == "":
			fresh = true
			continue
		case strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t"):
			if len(parts) == 0 {
				parts = append(parts, docPart{})
			}
			p := &parts[len(parts)-1]
			p.commands = append(p.commands, strings.TrimPrefix(strings.TrimPrefix(line, "\t"), "    "))
		case labelled || fresh || len(parts) == 0 || len(parts[len(parts)-1].commands) > 0:
			parts = append(parts, docPart{label: label, body: body})
		default:
			p := &parts[len(parts)-1]
			p.body = join(p.body, line)
		}
		fresh = false
	}
	return title, parts
}

// cutLabel splits "Cause: a rule" and "原因：规则".
func cutLabel(line string) (label, body string, ok bool) {
	for _, colon := range []string{":", "："} {
		label, body, ok = strings.Cut(line, colon)
		short := ok && label != "" && len(label) <= 12 && !strings.ContainsAny(label, " /.")
		if short && (body == "" || colon == "：" || body[0] == ' ') {
			return label, strings.TrimSpace(body), true
		}
	}
	return "", line, false
}

// join appends a line to a paragraph: with a space, unless Chinese meets Chinese.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	ra, rb := []rune(a), []rune(b)
	if runeWidth(ra[len(ra)-1]) == 2 && runeWidth(rb[0]) == 2 {
		return a + b
	}
	return a + " " + b
}

// docIn returns a check's Doc in the tongue, or in English where it has no other.
func (l tongue) docIn(k *check.Check) string {
	if l == "zh" && k.DocZH != "" {
		return k.DocZH
	}
	return k.Doc
}

// Explain writes what a check looks for, what causes it and how it is cured, for a terminal.
func Explain(w io.Writer, k *check.Check, lang string) error {
	l := tongue(lang)
	p := newPrinter(Options{})
	title, parts := parseDoc(l.docIn(k))
	p.para(k.Name+"  ", "    ", plain, title)
	for _, part := range parts {
		p.put()
		head := ""
		if part.label != "" {
			head = l.say(text.F("%s: ", part.label))
		}
		if part.body != "" {
			p.para(head, "    ", plain, part.body)
		} else if head != "" {
			p.put(head)
		}
		for _, c := range part.commands {
			p.put("    ", c)
		}
	}
	if len(k.Needs) > 0 {
		p.put()
		p.para(l.say(text.F("It judges by: ")), "    ", plain, strings.Join(k.Needs, ", "))
	}
	return p.flush(w)
}

// ChecksDoc writes the reference of all checks in Markdown, each in English and in Chinese.
func ChecksDoc(w io.Writer, ks []*check.Check) error {
	var b strings.Builder
	b.WriteString("# Checks\n\nGenerated from the Doc strings in `check/`; `plumb explain NAME` prints the same.\n\n| check | fault |\n|---|---|\n")
	for _, k := range ks {
		title, _ := parseDoc(k.Doc)
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", k.Name, k.Name, cell(title))
	}
	for _, k := range ks {
		fmt.Fprintf(&b, "\n## %s\n\n", k.Name)
		markdownDoc(&b, k.Doc)
		if len(k.Needs) > 0 {
			fmt.Fprintf(&b, "\nIt judges by `%s`.\n", strings.Join(k.Needs, "`, `"))
		}
		if k.DocZH != "" {
			b.WriteString("\n<details lang=\"zh-CN\"><summary>中文</summary>\n\n")
			markdownDoc(&b, k.DocZH)
			b.WriteString("\n</details>\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownDoc writes one Doc.
func markdownDoc(b *strings.Builder, doc string) {
	title, parts := parseDoc(doc)
	fmt.Fprintf(b, "**%s**\n", title)
	for _, p := range parts {
		switch {
		case p.label != "" && p.body != "":
			fmt.Fprintf(b, "\n*%s*%s%s\n", p.label, colon(p.label), p.body)
		case p.label != "":
			fmt.Fprintf(b, "\n*%s*\n", p.label)
		case p.body != "":
			fmt.Fprintf(b, "\n%s\n", p.body)
		}
		if len(p.commands) > 0 {
			fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.Join(p.commands, "\n"))
		}
	}
}

// colon returns the colon that goes with a label.
func colon(label string) string {
	if r := []rune(label); runeWidth(r[0]) == 2 {
		return "："
	}
	return ": "
}

// cell escapes what would end a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
