package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// scanner finds where the values of a JSON text begin and end, and looks no closer: package
// json reads and judges each value, once. Of what is between the values it takes nothing
// that is not JSON.
type scanner struct {
	data []byte
	pos  int // where it failed, after an error
}

// next returns the next byte that is not white space, without taking it; false at the end.
func (s *scanner) next() (byte, bool) {
	s.pos = pastSpace(s.data, s.pos)
	if s.pos == len(s.data) {
		return 0, false
	}
	return s.data[s.pos], true
}

// take takes the next byte, which must be one of want.
func (s *scanner) take(want string) (byte, error) {
	c, ok := s.next()
	if !ok {
		return 0, io.ErrUnexpectedEOF
	}
	if bytes.IndexByte([]byte(want), c) < 0 {
		return 0, fmt.Errorf("invalid character %q, want %s", c, strings.Join(strings.Split(want, ""), " or "))
	}
	s.pos++
	return c, nil
}

// value takes a value and returns its text.
func (s *scanner) value() ([]byte, error) {
	c, ok := s.next()
	start := s.pos
	switch {
	case !ok:
		return nil, io.ErrUnexpectedEOF
	case c == '{' || c == '[':
		return s.nested()
	case c == '"':
		end, err := s.stringEnd(start)
		s.pos = end
		return s.data[start:end], err
	}
	for s.pos < len(s.data) && !isSpace(s.data[s.pos]) && !isMark(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		return nil, fmt.Errorf("invalid character %q, want a value", c)
	}
	return s.data[start:s.pos], nil
}

// nested takes an object or an array. Whether "]" ends an array is for package json to say.
func (s *scanner) nested() (_ []byte, err error) {
	start, depth := s.pos, 0
	for i := start; i < len(s.data); i++ {
		switch s.data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			if i, err = s.stringEnd(i); err != nil {
				s.pos = i
				return nil, err
			}
			i--
		default:
			continue
		}
		if depth == 0 {
			s.pos = i + 1
			return s.data[start:s.pos], nil
		}
	}
	s.pos = len(s.data)
	return nil, io.ErrUnexpectedEOF
}

// stringEnd returns the place after the string that begins at i.
func (s *scanner) stringEnd(i int) (int, error) {
	if end := stringEnd(s.data, i); end > 0 {
		return end, nil
	}
	return len(s.data), io.ErrUnexpectedEOF
}

// each calls f before each member of an object or element of an array, for f to take it.
// closing is "}" or "]"; the opening one has been taken.
func (s *scanner) each(closing byte, f func() error) error {
	if c, _ := s.next(); c == closing {
		s.pos++
		return nil
	}
	for {
		if err := f(); err != nil {
			return err
		}
		if c, err := s.take("," + string(closing)); err != nil || c == closing {
			return err
		}
	}
}

// stringEnd returns the place after the string that begins at i, or 0 where it does not end.
func stringEnd(data []byte, i int) int {
	for j := i + 1; ; j++ {
		n := bytes.IndexByte(data[j:], '"')
		if n < 0 {
			return 0
		}
		j += n
		slashes := 0
		for data[j-1-slashes] == '\\' {
			slashes++ // ends at the opening quote
		}
		if slashes%2 == 0 {
			return j + 1
		}
	}
}

// compact appends a value to dst without the white space that means nothing, which is
// half of what kubectl prints.
func compact(dst, value []byte) []byte {
	for i := 0; i < len(value); {
		end := i + 1
		switch c := value[i]; {
		case c == '"':
			if end = stringEnd(value, i); end == 0 {
				return append(dst, value[i:]...)
			}
		case isSpace(c):
			end = pastSpace(value, i)
			if i == 0 || end == len(value) || isMark(value[i-1]) || isMark(value[end]) {
				i = end
				continue
			}
			i = end - 1 // between two words it must stay
		}
		dst = append(dst, value[i:end]...)
		i = end
	}
	return dst
}

func pastSpace(data []byte, i int) int {
	for i < len(data) && isSpace(data[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isMark reports whether c is one of the marks that hold values together.
func isMark(c byte) bool {
	return c == ',' || c == ':' || c == '{' || c == '}' || c == '[' || c == ']'
}
