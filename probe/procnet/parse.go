//go:build linux

package procnet

import (
	"bytes"
	"fmt"
	"math"
)

// Rows calls f for the names and the values of a protocol in a file of a line of each, as snmp and netstat are. A protocol that is
// not there has none.
func Rows(data []byte, protocol string, f func(names, values []byte) error) error {
	for n := 1; len(data) > 0; n += 2 {
		var names, values []byte
		names, data = Line(data)
		values, data = Line(data)
		if names = of(names, protocol); names == nil {
			continue
		}
		if values = of(values, protocol); values == nil {
			return fmt.Errorf("line %d: no values of %s", n+1, protocol)
		}
		if err := f(names, values); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return nil
}

// of returns what follows "Tcp:" in a line of Tcp, and nil for one of another.
func of(line []byte, protocol string) []byte {
	if len(line) > len(protocol) && line[len(protocol)] == ':' && string(line[:len(protocol)]) == protocol {
		return line[len(protocol)+1:]
	}
	return nil
}

// Lines calls f for each counter of a protocol in a file that has one a line, as snmp6 has: "Udp6NoPorts  0".
func Lines(data []byte, protocol string, f func(name []byte, value float64)) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = Line(data)
		if !bytes.HasPrefix(line, []byte(protocol)) {
			continue
		}
		name, rest := Word(line)
		value, _ := Word(rest)
		v, ok := Number(value)
		if !ok {
			return fmt.Errorf("line %d: %.40s %q", n, name, Short(value))
		}
		f(name[len(protocol):], v)
	}
	return nil
}

// Line splits off the first line.
func Line(data []byte) (line, rest []byte) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		return data, nil
	}
	return data[:i], data[i+1:]
}

// Word splits off the first word, which is empty at the end.
func Word(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	end := i
	for end < len(line) && line[end] != ' ' && line[end] != '\t' {
		end++
	}
	return line[i:end], line[end:]
}

// Number reads a decimal number of at most 64 bits. There is one counter that may be negative, MaxConn.
func Number(word []byte) (float64, bool) {
	negative := len(word) > 0 && word[0] == '-'
	if negative {
		word = word[1:]
	}
	if len(word) == 0 || len(word) > 20 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range word {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		return -float64(n), true
	}
	return float64(n), true
}

// Short returns the beginning of a word, for an error.
func Short(word []byte) []byte { return word[:min(len(word), 40)] }

// Sockstat calls f for each number of sockstat or sockstat6: "TCP: inuse 5 orphan 0".
func Sockstat(data []byte, f func(protocol, name []byte, value float64)) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = Line(data)
		protocol, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return fmt.Errorf("line %d: %q", n, Short(line))
		}
		for {
			var name, word []byte
			if name, rest = Word(rest); len(name) == 0 {
				break
			}
			word, rest = Word(rest)
			v, ok := Number(word)
			if !ok {
				return fmt.Errorf("line %d: %.40s %q", n, name, Short(word))
			}
			f(protocol, name, v)
		}
	}
	return nil
}
