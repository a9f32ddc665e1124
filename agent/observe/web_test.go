//go:build linux

package observe

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// of "secret", by bcrypt of cost 4
const users = "basic_auth_users:\n  prometheus: $2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\n"

func TestWebConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, open, bad := write("good", users), write("open", "http_server_config: {http2: false}\n"), write("bad", "basic: 1\n")
	for _, tt := range []struct {
		name string
		in   WebConfig
		want string
	}{
		{"none", WebConfig{}, ""},
		{"of this machine", WebConfig{Listen: "127.0.0.1:9477"}, ""},
		{"of this machine, IPv6", WebConfig{Listen: "[::1]:9477"}, ""},
		{"for those with a password", WebConfig{Listen: ":9477", File: good}, ""},
		{"for everyone", WebConfig{Listen: ":9477"}, `web.listen: ":9477" is not of this machine alone`},
		{"for everyone of a network", WebConfig{Listen: "192.0.2.1:9477"}, "is not of this machine alone"},
		{"a name is no address", WebConfig{Listen: "localhost:9477"}, "is not of this machine alone"},
		{"for everyone, by a file", WebConfig{Listen: ":9477", File: open}, "web.file: " + open + ": neither basic_auth_users nor"},
		{"a file that is none", WebConfig{Listen: ":9477", File: bad}, "web.file: " + bad},
		{"a file that is not there", WebConfig{Listen: ":9477", File: dir + "/no"}, "no such file"},
		{"no port", WebConfig{Listen: "127.0.0.1"}, "want an address and a port"},
		{"no such port", WebConfig{Listen: "127.0.0.1:94770"}, `web.listen: "127.0.0.1:94770": want an address and a port`},
		{"a file for nothing", WebConfig{File: good}, "web.file: without web.listen it is for nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range tt.in.faults() {
				got = append(got, f.Path+": "+f.Why)
			}
			if all := strings.Join(got, "\n"); (all != "") != (tt.want != "") || !strings.Contains(all, tt.want) {
				t.Errorf("%q, want %q", all, tt.want)
			}
		})
	}
}

// TestWeb serves here, then there, then nowhere.
func TestWeb(t *testing.T) {
	o := observer(t)
	get := func(addr string) (string, error) {
		r, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		return string(data), err
	}
	before := ""
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		o.Apply(Config{Web: WebConfig{Listen: addr}})
		if text, err := get(addr); err != nil || !strings.Contains(text, `plumb_agent_info{node="node-a",version="v0",`) {
			t.Errorf("%v: %.100s", err, text)
		}
		if _, err := get(before); before != "" && err == nil {
			t.Errorf("%s still answers", before)
		}
		before = addr
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.Apply(Config{Web: WebConfig{Listen: l.Addr().String()}})
	if got := o.Trouble(); !strings.Contains(got, "web.listen: ") || !strings.Contains(got, "in use") {
		t.Errorf("of an address that is taken it says %q", got)
	}
	o.Apply(Config{})
	if _, err := get(before); err == nil || o.Trouble() != "" {
		t.Error(fmt.Sprint("it still answers, or says: ", o.Trouble()))
	}
}
