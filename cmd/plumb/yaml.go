package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// writeYAML writes a JSON document as YAML. Its members stay in their order, which a
// decoder to maps would lose, and characters that JSON had escaped stay escaped.
func writeYAML(w io.Writer, document []byte) error {
	y := yamler{in: json.NewDecoder(bytes.NewReader(document))}
	y.in.UseNumber()
	if err := y.value(0, false); err != nil {
		return fmt.Errorf("yaml: %w", err)
	}
	_, err := io.WriteString(w, strings.TrimLeft(y.out.String(), "\n ")+"\n")
	return err
}

// A yamler writes values as they come.
type yamler struct {
	in  *json.Decoder
	out strings.Builder
}

// value writes the next value, after a key or a dash. That of an item begins on its line.
func (y *yamler) value(depth int, item bool) error {
	t, err := y.in.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		return y.all(t, depth, item)
	case string:
		y.out.WriteString(" " + scalar(t))
	case nil:
		y.out.WriteString(" null")
	default:
		fmt.Fprint(&y.out, " ", t)
	}
	return nil
}

// all writes what is in an object or an array.
func (y *yamler) all(open json.Delim, depth int, item bool) error {
	if !y.in.More() {
		y.out.WriteString(map[json.Delim]string{'{': " {}", '[': " []"}[open])
		_, err := y.in.Token()
		return err
	}
	for first := true; y.in.More(); first = false {
		if first && item {
			y.out.WriteString(" ")
		} else {
			y.out.WriteString("\n" + strings.Repeat("  ", depth))
		}
		if open == '[' {
			y.out.WriteString("-")
		} else {
			key, err := y.in.Token()
			if err != nil {
				return err
			}
			y.key(scalar(key.(string)), depth)
		}
		if err := y.value(depth+1, open == '['); err != nil {
			return err
		}
	}
	_, err := y.in.Token()
	return err
}

// key writes the key of a member. One of more than 1,024 characters has to be announced (YAML 1.2, 7.4.2).
func (y *yamler) key(key string, depth int) {
	if len(key) > 1000 {
		key = "? " + key + "\n" + strings.Repeat("  ", depth)
	}
	y.out.WriteString(key + ":")
}

// words are those that YAML, one version or another, takes for something else than a string.
var words = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true}

// scalar returns a string as it is where that can be read as nothing else, and else in quotes.
func scalar(s string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) }
	first := strings.IndexFunc(s, func(r rune) bool { return unicode.IsLetter(r) || r == '/' })
	plain := first == 0 && !words[strings.ToLower(s)] && !strings.ContainsFunc(s, odd) && !strings.Contains(s, ": ") && !strings.Contains(s, " #") &&
		!strings.HasSuffix(s, ":") && strings.TrimSpace(s) == s
	if plain {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case odd(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case odd(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}
