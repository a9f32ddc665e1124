package sandbox

import (
	"net"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestDo(t *testing.T) {
	Need(t)
	ns, err := NewNS("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Run("", "ip", "link", "add", "v0", "type", "veth", "peer", "v1"); err != nil {
		t.Fatal(err)
	}
	out, err := ns.Output("", "ip", "netns", "list")
	if err != nil || !strings.HasPrefix(out, "a") {
		t.Errorf("ip netns list: %q, %v", out, err)
	}
	var names []string
	if err := ns.Do(func() error {
		ifs, err := net.Interfaces()
		for _, i := range ifs {
			names = append(names, i.Name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "lo v1 v0" {
		t.Errorf("devices in the namespace: %q", got)
	}
	if ifs, _ := net.Interfaces(); len(ifs) != 1 {
		t.Errorf("the sandbox itself has devices beside lo: %v", ifs)
	}
	if err := ns.Delete(); err != nil {
		t.Error(err)
	}
}
