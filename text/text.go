// Package text holds sentences that a report can say in more than one language.
//
// A sentence is a format and its arguments. The English format is also its
// key: package report looks it up in a catalogue to print another language.
package text

import "fmt"

// Text is one sentence, not yet put into a language. The zero Text is empty.
type Text struct {
	Format string // in English, in the syntax of package fmt
	Args   []any
}

// F returns the sentence that format and args make. The call must hold the
// format as a literal: a test collects these literals and requires a
// translation of each.
func F(format string, args ...any) Text { return Text{format, args} }

// String returns the sentence in English.
func (t Text) String() string {
	return fmt.Sprintf(t.Format, t.Args...)
}

// IsZero reports whether t says nothing.
func (t Text) IsZero() bool { return t.Format == "" }

// MarshalText returns the sentence in English, so that JSON shows a string.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
