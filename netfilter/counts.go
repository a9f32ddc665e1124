package netfilter

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Counts are how many packets rules and policies of one file have met. The key is the rule as
// [Ref.Quote] has it, after its place: a line of iptables-save, or the command that prints its chain.
type Counts map[string]uint64

// maxCounts bounds the rules of one file that counts are kept of.
const maxCounts = 1 << 20

// LineKey is the key of a line of what "iptables-save -c" prints.
func LineKey(line int, text string) string { return strconv.Itoa(line) + " " + text }

// ChainKey is the key of a rule of nf_tables: the command is [Ref.Command].
func ChainKey(command, text string) string {
	_, handle, _ := strings.Cut(text, " # handle ")
	return command + " " + handle
}

// ParseCounts reads what "iptables-save -c" prints: "[7:420] -A FORWARD -j DROP", ":FORWARD DROP [7:420]". Lines
// that it cannot read count nothing.
func ParseCounts(in io.Reader) (Counts, error) {
	out := Counts{}
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxCountLine)
	for n := 1; s.Scan() && len(out) < maxCounts; n++ {
		if text, packets, ok := countOf(s.Text()); ok {
			out[LineKey(n, text)] = packets
		}
	}
	return out, s.Err()
}

// maxCountLine bounds a line; longer ones are no rule that was kept.
const maxCountLine = 1 << 20

// countOf reads one line. A policy is quoted as iptables -S prints it: "-P FORWARD DROP".
func countOf(line string) (text string, packets uint64, ok bool) {
	if rest, is := strings.CutPrefix(line, ":"); is {
		f := strings.Fields(rest)
		if len(f) != 3 || f[1] == "-" {
			return "", 0, false
		}
		packets, ok = bracketed(f[2])
		return "-P " + f[0] + " " + f[1], packets, ok
	}
	count, text, found := strings.Cut(line, " ")
	packets, ok = bracketed(count)
	return text, packets, ok && found
}

// bracketed reads the packets of "[7:420]".
func bracketed(s string) (packets uint64, ok bool) {
	n, rest, found := strings.Cut(strings.TrimPrefix(s, "["), ":")
	packets, err := strconv.ParseUint(n, 10, 64)
	return packets, found && err == nil && strings.HasPrefix(s, "[") && strings.HasSuffix(rest, "]")
}

// ParseNFTCounts reads the counters in what "nft -j list ruleset" prints. Rules without one count nothing.
func ParseNFTCounts(in io.Reader) (Counts, error) {
	out := Counts{}
	err := nftElements(bufio.NewReaderSize(in, 1<<16), func(b []byte, _ int) error {
		if len(out) >= maxCounts || !strings.HasPrefix(string(b[:min(len(b), len(ruleStart))]), ruleStart) {
			return nil
		}
		n, err := parseJSON(string(b))
		if err != nil {
			return err
		}
		_, e := n.only()
		for i := range e.get("expr").list() {
			if packets, ok := e.get("expr").kids[i].get("counter").get("packets").num(); ok {
				command := "nft -a list chain " + e.get("family").str() + " " + e.get("table").str() + " " + e.get("chain").str()
				out[command+" "+e.get("handle").str()] = packets
			}
		}
		return nil
	})
	return out, err
}

const ruleStart = `{"rule": `
