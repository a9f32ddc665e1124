package netfilter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxElement bounds one element of what "nft -j" prints; a set of a million addresses fits.
const maxElement = 64 << 20

// nftElements cuts what "nft -j list ruleset" prints into elements, and calls f with
// each and with the line that it begins in. That is ten times as fast as to
// decode the rules of iptables, which say nothing here.
func nftElements(r *bufio.Reader, f func(b []byte, line int) error) error {
	head, err := r.ReadString('[')
	if err == io.EOF && strings.TrimSpace(head) == "" {
		return nil
	}
	if err != nil || !strings.Contains(head, `"nftables"`) {
		return errors.New(`nft: not the JSON of "nft -j list ruleset"`)
	}
	c := cutter{r: r, line: 1 + strings.Count(head, "\n")}
	for {
		err := c.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("nft: line %d: %w", c.line, err)
		}
		if err := f(c.buf, c.begin); err != nil {
			return fmt.Errorf("nft: line %d: %q: %w", c.begin, short(string(c.buf)), err)
		}
	}
}

// A cutter cuts a list into its elements.
type cutter struct {
	r     *bufio.Reader
	buf   []byte
	line  int
	begin int // the line that the element in buf begins in
}

// next reads one {…} into buf; io.EOF stands for the end of the list.
func (c *cutter) next() error {
	if err := c.skip(); err != nil {
		return err
	}
	c.buf, c.begin = c.buf[:0], c.line
	for at := (nesting{}); ; {
		if _, err := c.r.Peek(1); err == io.EOF {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		chunk, _ := c.r.Peek(c.r.Buffered())
		n, end := at.scan(chunk)
		if len(c.buf)+n > maxElement {
			return fmt.Errorf("an element is longer than %d MB", maxElement>>20)
		}
		c.buf = append(c.buf, chunk[:n]...)
		c.r.Discard(n)
		if end {
			c.line += at.lines
			return nil
		}
	}
}

// skip goes to the next "{"; io.EOF stands for the end of the list.
func (c *cutter) skip() error {
	for {
		b, err := c.r.ReadByte()
		switch {
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case b == ']':
			return io.EOF
		case b == '{':
			return c.r.UnreadByte()
		case b == '\n':
			c.line++
		case b != ',' && b != ' ' && b != '\r' && b != '\t':
			return fmt.Errorf("unexpected %q between elements", b)
		}
	}
}

// nesting is where in an element a scan is.
type nesting struct {
	depth           int
	lines           int // newlines so far
	quoted, escaped bool
}

// structural are the bytes that JSON's structure is made of, and the newline.
var structural = [256]bool{'"': true, '\\': true, '{': true, '[': true, '}': true, ']': true, '\n': true}

// scan goes on through b. It returns how many bytes belong to the element, and whether it ends there.
func (at *nesting) scan(b []byte) (n int, end bool) {
	for i, c := range b {
		if at.escaped {
			at.escaped = false
			continue
		}
		if !structural[c] {
			continue
		}
		switch {
		case c == '\n':
			at.lines++
		case c == '"':
			at.quoted = !at.quoted
		case at.quoted:
			at.escaped = c == '\\'
		case c == '{' || c == '[':
			at.depth++
		case c != '\\':
			at.depth--
		}
		if at.depth == 0 && !at.quoted {
			return i + 1, true
		}
	}
	return len(b), false
}
