package redact

import (
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
)

func mustAddr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func hexOf(b []byte) string            { return hex.EncodeToString(b) }

func mustMAC(s string) packet.MAC {
	m, err := packet.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func packetTo(dst string) packet.Packet {
	return packet.Packet{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.0.0.9:40000"), Dst: netip.AddrPortFrom(mustAddr(dst), 80)}
}

// sourceNames are the files that are fuzzed.
var sourceNames = []string{"addr.json", "iptables", "ipset", "sockets", "sysctl", "ipvs", "nft.json", "node.json", "objects"}

// FuzzRewrite: no text makes a rewriter panic, lines keep their number, and a name and an address that
// no format has never come through.
func FuzzRewrite(f *testing.F) {
	names, _ := filepath.Glob("../../check/checktest/testdata/*.txtar")
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			for i, s := range sourceNames {
				if strings.HasSuffix(file.Name, "/"+s) && len(file.Data) < 4000 {
					f.Add(uint8(i), string(file.Data))
				}
			}
		}
	}
	for i, s := range []string{`[{"ifname":"Qzvkwq0","label":"10.9.8.7"}]`, `-A Qzvkwq -s 10.9.8.7/32 -m comment --comment "Qzvkwq 10.9.8.7" -j Qzvkwq`, "create Qzvkwq hash:ip family inet\nadd Qzvkwq 10.9.8.7 comment \"Qzvkwq\"",
		`tcp LISTEN 0 0 10.9.8.7%Qzvkwq:80 *:* users:(("Qzvkwq",pid=1,fd=1))`, `net.ipv4.conf.Qzvkwq.rp_filter = 1`, `-a -t 10.9.8.7:53 -r 10.9.8.7:53`,
		`{"nftables":[{"rule":{"table":"Qzvkwq","expr":[{"match":{"left":{"&":["10.9.8.7","255.0.0.0"]},"right":"10.9.8.7"}}]}}]}`, `{"name":"Qzvkwq","gaps":[{"path":"Qzvkwq","why":"Qzvkwq"}]}`,
		`{"metadata":{"name":"Qzvkwq","labels":{"Qzvkwq":"Qzvkwq"},"annotations":{"Qzvkwq":"Qzvkwq"}},"data":{"net-conf.json":"{\"Network\": \"10.9.8.7/16\"}"}}`} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		r := fresh()
		name := sourceNames[int(which)%len(sourceNames)]
		rewrite := r.sources()[name]
		switch name {
		case "node.json":
			rewrite = r.jsonFile(nodeStrings)
		case "objects":
			rewrite = r.objects
		}
		out, err := rewrite([]byte(text))
		if err != nil {
			return
		}
		if !strings.HasSuffix(name, "json") && name != "objects" && strings.Count(text, "\n") != strings.Count(string(out), "\n") {
			t.Errorf("%s: %q has other lines than %q", name, out, text)
		}
		again, _ := fresh().sources()["iptables"]([]byte(text)) // and it depends on nothing but the key
		first, _ := r.sources()["iptables"]([]byte(text))
		if string(again) != string(first) {
			t.Errorf("%q and %q", again, first)
		}
		sought(t, name, text, string(out))
	})
}

// ownOnly are the files in which no word stands that is a program's own: there no other may come through.
var ownOnly = set("ipset sockets ipvs node.json")

// sought looks for words that only the text can have brought.
func sought(t *testing.T, name, text, out string) {
	t.Helper()
	s := scan{text: strings.ReplaceAll(out, `"Qzvkwq":`, "")} // a member's name is the program's that wrote it
	for s.next() {
		if s.tok == "10.9.8.7" || s.tok == "Qzvkwq" && ownOnly[name] {
			t.Errorf("%s: %q became %q", name, text, out)
		}
	}
}

// FuzzFiles: whatever a snapshot holds, its redacted one reads.
func FuzzFiles(f *testing.F) {
	f.Add("nodes/a/host/iptables", "*filter\nCOMMIT\n")
	f.Add("objects/pods.json", `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"web","namespace":"shop"}}`)
	f.Add("nodes/a/b.error", "10.0.0.1: no such file")
	f.Fuzz(func(t *testing.T, name, text string) {
		red, m, err := Files(snapshot.Files{name: []byte(text), "nodes/n/host/stat": []byte("conntrack_count 1\n")}, testKey)
		if err != nil {
			return
		}
		if _, err := snapshot.Read(red); err != nil {
			t.Error(err)
		}
		m.Restore(text)
	})
}
