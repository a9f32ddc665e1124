package sink

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	sigsjson "sigs.k8s.io/json"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// examples are three events of two namespaces and the node, not in the order of time.
var examples = []event.Event{
	{
		Time: at, Kind: "packetloss", Node: "node-a", Pod: "shop/web-0", Peer: "shop/api-1", By: event.ByNetNS,
		Packet: packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("[fd00::2]:80"), Proto: packet.TCP, Size: 60},
		Detail: []event.Field{{Key: "reason", Value: "NETFILTER_DROP"}},
	},
	{Time: at.Add(time.Second), Kind: "conntrack", Node: "node-a", Detail: []event.Field{{Key: "what", Value: `table full, "dropping"`}}},
	{
		Time: at.Add(-time.Second), Kind: "packetloss", Node: "node-a", Pod: "shop/web-1", By: event.ByAddress,
		Packet: packet.Packet{Src: netip.MustParseAddrPort("10.0.0.9:0"), Dst: netip.MustParseAddrPort("10.0.0.8:0"), Proto: packet.ICMP},
	},
}

func write(t *testing.T, data string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestValidate(t *testing.T) {
	for _, row := range []struct{ name, config, want string }{
		{"none", `{}`, "want one of stdout, file, loki, otlp; it has 0"},
		{"two", `{"stdout":{},"file":{"path":"/x"}}`, "it has 2"},
		{"standard output", `{"stdout":{}}`, ""},
		{"a file", `{"file":{"path":"/var/log/plumb/events","megabytes":1,"files":1}}`, ""},
		{"no path", `{"file":{}}`, "file.path: want the path"},
		{"a path that is not from the root", `{"file":{"path":"events"}}`, `file.path: "events": want a path from the root`},
		{"bytes for megabytes", `{"file":{"path":"/x","megabytes":16777216}}`, "file.megabytes: 16777216: want 1 to 4096"},
		{"fewer than no files", `{"file":{"path":"/x","files":-1}}`, "file.files: -1: want"},
		{"Loki", `{"loki":{"url":"http://loki:3100","tenant":"team-a"}}`, ""},
		{"no URL", `{"loki":{}}`, "loki.url: want http:// or https://"},
		{"no scheme", `{"loki":{"url":"loki:3100"}}`, "loki.url: want http"},
		{"a URL that is none", `{"otlp":{"url":"http://a b:%x"}}`, "otlp.url: want http"},
		{"a password in the URL", `{"loki":{"url":"https://u:geheim@loki"}}`, "loki.url: want no user in it, but loki.user and loki.passwordFile"},
		{"a query in the URL", `{"loki":{"url":"https://loki/?x=1"}}`, "loki.url: want neither ? nor #"},
		{"a tenant of two lines", `{"loki":{"url":"http://loki","tenant":"a\r\nX: y"}}`, "loki.tenant"},
		{"a user without a password", `{"otlp":{"url":"https://c:4318","user":"u"}}`, "otlp.user: want it and passwordFile"},
		{"a user and a token", `{"otlp":{"url":"https://c","user":"u","passwordFile":"/p","tokenFile":"/t"}}`, "otlp.tokenFile: want it or user"},
		{"a secret in the clear", `{"otlp":{"url":"http://c","tokenFile":"/t"}}`, "otlp.url: want https://, as a secret is sent there"},
		{"a secret within the machine", `{"otlp":{"url":"http://127.0.0.1:4318","tokenFile":"/t"}}`, ""},
		{"an authority in the clear", `{"otlp":{"url":"http://c","caFile":"/ca"}}`, "otlp.caFile: want it with https"},
		{"a file of a token from anywhere", `{"otlp":{"url":"https://c","tokenFile":"t"}}`, "otlp.tokenFile: \"t\": want a path from the root"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c Config
			if strict, err := sigsjson.UnmarshalStrict([]byte(row.config), &c); err != nil || strict != nil {
				t.Fatal(err, strict)
			}
			err := c.Validate()
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Error("it shows the password")
			}
		})
	}
}

func TestOpen(t *testing.T) {
	empty := write(t, "no certificate")
	for _, row := range []struct {
		name string
		c    Config
		want string
	}{
		{"", Config{}, "want one of"},
		{"stdout", Config{Stdout: &Stdout{}}, ""},
		{"file", Config{File: &File{Path: filepath.Join(t.TempDir(), "new", "events")}}, ""},
		{"file", Config{File: &File{Path: t.TempDir()}}, "file.path: "},
		{"file", Config{File: &File{Path: "/dev/null"}}, "is no regular file"},
		{"loki", Config{Loki: &Loki{HTTP: HTTP{URL: "http://127.0.0.1:1"}}}, ""},
		{"loki", Config{Loki: &Loki{HTTP: HTTP{URL: "https://a", CAFile: "/nowhere"}}}, "loki.caFile: open /nowhere"},
		{"otlp", Config{OTLP: &OTLP{HTTP{URL: "https://a", CAFile: empty}}}, "no certificate in it"},
		{"otlp", Config{OTLP: &OTLP{HTTP{URL: "https://a"}}}, ""},
	} {
		s, err := Open(row.c)
		if got := row.c.Name(); got != row.name {
			t.Errorf("it is named %q, want %q", got, row.name)
		}
		if row.want == "" && err == nil {
			err = s.Close()
		}
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

func TestSecret(t *testing.T) {
	for in, want := range map[string]string{"s3cret\n": "s3cret", "": "", "a\nb\n": "", " x ": "x"} {
		got, err := secret(write(t, in))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

// TestReadme keeps the README's event as events are.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(examples[0])
	if err != nil || !strings.Contains(string(data), string(line)) {
		t.Errorf("README.md lacks %s", line)
	}
}
