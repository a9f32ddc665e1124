package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestScanValue(t *testing.T) {
	for _, tt := range []struct{ name, in, want, rest string }{
		{"a number", `12 ,`, `12`, ` ,`},
		{"a word before a comma", `true,1`, `true`, `,1`},
		{"a word at the end", `null`, `null`, ``},
		{"a string", ` "a,b" ]`, `"a,b"`, ` ]`},
		{"a string with a quote", `"a\"b"x`, `"a\"b"`, `x`},
		{"a string that ends in a backslash", `"a\\"x`, `"a\\"`, `x`},
		{"three backslashes and a quote", `"a\\\"b"`, `"a\\\"b"`, ``},
		{"an empty string", `"":`, `""`, `:`},
		{"an object", "\n{\"a\": [1, {}]} {}", `{"a": [1, {}]}`, ` {}`},
		{"brackets in strings", `["]", "}\"]"]]`, `["]", "}\"]"]`, `]`},
		{"no JSON within, which is not the scanner's to say", `{a b}`, `{a b}`, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &scanner{data: []byte(tt.in)}
			got, err := s.value()
			if err != nil || string(got) != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
			if rest := tt.in[s.pos:]; rest != tt.rest {
				t.Errorf("the rest: %q, want %q", rest, tt.rest)
			}
		})
	}
}

func TestScanBad(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		pos      int
		want     string
	}{
		{"nothing", "  ", 2, "unexpected EOF"},
		{"a string that does not end", `"abc`, 4, "unexpected EOF"},
		{"a string that ends in an escaped quote", `"abc\"`, 6, "unexpected EOF"},
		{"an object that does not end", `{"a":{}`, 7, "unexpected EOF"},
		{"an array with half a string", `["a","`, 6, "unexpected EOF"},
		{"a closing bracket", ` ]`, 1, "invalid character ']', want a value"},
		{"a comma", `,1`, 0, "invalid character ',', want a value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &scanner{data: []byte(tt.in)}
			_, err := s.value()
			if err == nil || err.Error() != tt.want || s.pos != tt.pos {
				t.Errorf("%v at %d, want %s at %d", err, s.pos, tt.want, tt.pos)
			}
		})
	}
}

func TestScanEach(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"none", ` ]`, "", ""},
		{"one", `1]`, "1 ", ""},
		{"three", ` 1 , [2] ,"3"]`, `1 [2] "3" `, ""},
		{"a comma too many", `1,]`, "1 ", "invalid character ']', want a value"},
		{"a comma too few", `1 2]`, "1 ", "invalid character '2', want , or ]"},
		{"another end", `1}`, "1 ", "invalid character '}', want , or ]"},
		{"no end", `1,`, "1 ", "unexpected EOF"},
		{"no end and no comma", `1`, "1 ", "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, got := &scanner{data: []byte(tt.in)}, ""
			err := s.each(']', func() error {
				v, err := s.value()
				if err == nil {
					got += string(v) + " "
				}
				return err
			})
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestCompact(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"indented", "{\n    \"a\": [\n        1,\n        2\n    ],\t\"b\" : {} \n}\n", `{"a":[1,2],"b":{}}`},
		{"white space in strings", `{ "a b" : " \" c " }`, `{"a b":" \" c "}`},
		{"between words, where it keeps them apart", "[1  2, tr\nue]", "[1 2,tr\nue]"},
		{"half a string", `[ "a b`, `["a b`},
		{"nothing but", " \n ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(compact([]byte("x"), []byte(tt.in))); got != "x"+tt.want {
				t.Errorf("%q, want %q after an x", got, tt.want)
			}
		})
	}
}

// FuzzScan wants the scanner to find the value that package json finds, and compact to
// change nothing that package json sees.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a": [1, "\"", {}]} x`, ` "\\" `, `-1.5e3,`, `[[]`, "{\"a\" :\n 1}", `"\u0020`, "1 2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if valid := json.Valid(in); valid != json.Valid(compact(nil, in)) {
			t.Fatalf("valid before compact: %v, after it: %v", valid, !valid)
		} else if valid {
			var want bytes.Buffer
			_ = json.Compact(&want, in)
			if got := compact(nil, in); !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("compact: %q, want %q", got, want.Bytes())
			}
		}
		s := &scanner{data: in}
		got, err := s.value()
		var want json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(in))
		switch jsonErr := dec.Decode(&want); {
		case jsonErr != nil && (errors.Is(jsonErr, io.EOF) || errors.Is(jsonErr, io.ErrUnexpectedEOF)):
			// cut short within a word ("tru"), which only package json sees
		case jsonErr == nil && (err != nil || !strings.HasPrefix(string(got), string(want))):
			t.Fatalf("value %q, %v; want %q", got, err, want)
		}
		if s.pos > len(in) {
			t.Fatal("past the end")
		}
	})
}
