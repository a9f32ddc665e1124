package diagnose

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// counts makes the counters of the recorded cluster: of each device and each rule what count
// says, by "node-a/host/eth0 rx" and "node-a/host/iptables -A FORWARD …"; false is not collected.
func counts(t *testing.T, count func(what string) (uint64, bool)) snapshot.Counters {
	t.Helper()
	const file = "../check/checktest/testdata/flannel.txtar"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, _, err := snapshot.Unpack(file, f)
	if err != nil {
		t.Fatal(err)
	}
	out := snapshot.Files{}
	for name, data := range files {
		dir, base := path.Split(strings.TrimPrefix(name, "nodes/"))
		switch base {
		case "addr.json":
			var links []string
			for i, word := range strings.Split(string(data), `"ifname":"`)[1:] {
				dev, _, _ := strings.Cut(word, `"`)
				rx, ok := count(dir + dev + " rx")
				tx, _ := count(dir + dev + " tx")
				if ok {
					links = append(links, fmt.Sprintf(`{"ifindex":%d,"ifname":%q,"stats64":{"rx":{"packets":%d},"tx":{"packets":%d}}}`, i+1, dev, rx, tx))
				}
			}
			out[name] = []byte("[" + strings.Join(links, ",") + "]")
		case "iptables":
			var lines []string
			for line := range strings.Lines(string(data)) {
				if n, ok := count(dir + base + " " + strings.TrimSpace(line)); ok && strings.HasPrefix(line, "-A ") {
					line = fmt.Sprintf("[%d:0] %s", n, line)
				}
				lines = append(lines, line)
			}
			out[name] = []byte(strings.Join(lines, ""))
		}
	}
	return snapshot.ReadCounters(out)
}

// TestLocate loses probes at one point of a way: those in seen count as they should, others as table rows say.
func TestLocate(t *testing.T) {
	const (
		podOut = "node-a/pod-shop-web-0/eth0 as sent"
		veth   = "node-a/host/vethad0f4c26 as received"
		forth  = `node-a/host by -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD`
		cni0   = "node-a/host/cni0 as received"
		tunnel = "node-a/host/flannel.1 as sent"
		uplink = "node-b/host/eth0 as received"
		far    = "node-b/host/flannel.1 as received"
	)
	for _, tt := range []struct {
		name    string
		counted map[string]uint64 // by a part of what counts; longest first; else none
		probe   snapshot.Probe
		want    string
	}{
		{"before the veth", map[string]uint64{"pod-shop-web-0/eth0 tx": 5}, snapshot.Probe{Sent: 5}, "of 5 more probes all were seen at " + podOut + ", 0 at " + veth + ": they are lost between the two"},
		{"some of them", map[string]uint64{"pod-shop-web-0/eth0 tx": 5, "veth": 5, "cni0": 2}, snapshot.Probe{Sent: 5, Answered: 2}, "of 5 more probes all were seen at " + veth + ", 2 at " + cni0 + ": they are lost between the two"},
		{"never sent", nil, snapshot.Probe{Sent: 5}, "of 5 more probes 0 were seen at " + podOut + ", the first point that counts: they are lost before"},
		{"at the rules", map[string]uint64{"pod-shop-web-0/eth0 tx": 5, "veth": 5, "cni0": 5}, snapshot.Probe{Sent: 5}, "of 5 more probes all were seen at " + cni0 + ", 0 at " + forth + ": they are lost between the two"},
		{"behind busy points", map[string]uint64{"pod-shop-web-0/eth0 tx": 5, "veth": 9, "cni0": 9}, snapshot.Probe{Sent: 5},
			"of 5 more probes all were seen at " + podOut + ", 0 at " + forth + ": they are lost between the two, where the points count other packets too"},
		{"where all is busy", map[string]uint64{"pod-shop-web-0/eth0 tx": 6, "veth": 9}, snapshot.Probe{Sent: 5},
			"of 5 more probes 0 were seen at " + cni0 + ": they are lost before; " + veth + " counts 9 packets, others among them"},
		{"on the wire", map[string]uint64{"node-a/": 5, "node-b/host/eth0 rx": 900}, snapshot.Probe{Sent: 5},
			"of 5 more probes all were seen at node-a/host/eth0 as sent, 0 at " + far + ": they are lost between the two, where the points count other packets too"},
		{"every counter is busy", map[string]uint64{"node-": 100}, snapshot.Probe{Sent: 5},
			"of 5 more probes every counter on the predicted way counts as many or more: other packets pass there too, and where they are lost cannot be told"},
		{"the answer", map[string]uint64{"node-": 5, "node-b/host/cni0 rx": 0}, snapshot.Probe{Sent: 5},
			"of the answers to 5 more probes all were seen at node-b/host/veth0bc001f3 as received, 0 at node-b/host/cni0 as received: they are lost between the two"},
		{"nothing is lost where it counts", map[string]uint64{"node-": 5}, snapshot.Probe{Sent: 5},
			"of 5 more probes all were seen on the predicted way as far as it counts, last at node-b/pod-shop-web-1/eth0 as received"},
		{"a second time all is well", map[string]uint64{"node-": 5}, snapshot.Probe{Sent: 5, Answered: 5, Fate: snapshot.ProbeAnswered}, "5 more were all answered: where the others were lost cannot be told"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, healthy(t), "shop/web-0", "shop/web-1:8080")
			plan := r.Plans()[0]
			r.Observe(plan, snapshot.Probe{Proto: packet.TCP, Dst: plan.Dst, Sent: 3}, nil)
			before := counts(t, func(string) (uint64, bool) { return 1000, true })
			after := counts(t, func(what string) (uint64, bool) {
				n, longest := uint64(0), 0
				for part, v := range tt.counted {
					if strings.Contains(what, part) && len(part) > longest {
						n, longest = v, len(part)
					}
				}
				return 1000 + n, true
			})
			r.Locate(r.Differing(), plan, before, after, tt.probe)
			if diff := cmp.Diff(tt.want, r.Observed[0].Location.What.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
				for _, p := range r.Observed[0].Location.Points {
					t.Logf("%d %s [%s]", p.Counted, p.Name(), p.Evidence.Command)
				}
			}
		})
	}
}

func TestLocateWithoutCounters(t *testing.T) {
	r := run(t, healthy(t), "shop/web-0", "shop/web-1:8080")
	plan := r.Plans()[0]
	if r.Differing() != -1 {
		t.Error("there is no observation yet")
	}
	r.Observe(plan, snapshot.Probe{Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}, nil)
	if r.Differing() != -1 {
		t.Error("nothing differs")
	}
	r.Observe(plan, snapshot.Probe{Sent: 3}, nil)
	if r.Differing() != 1 {
		t.Error("the second differs")
	}
	r.Locate(1, plan, snapshot.Counters{}, snapshot.Counters{}, snapshot.Probe{Sent: 5})
	if got := r.Observed[1].Location.What.String(); got != "nothing on the predicted way counts packets: where they are lost cannot be told" {
		t.Error(got)
	}
	again := counts(t, func(string) (uint64, bool) { return 7, true })
	r.Locate(1, plan, again, counts(t, func(string) (uint64, bool) { return 3, true }), snapshot.Probe{Sent: 5})
	if n := len(r.Observed[1].Location.Points); n != 0 {
		t.Errorf("%d points, although all counters went back: somebody set them to zero", n)
	}
	r.Observed[1].Location = nil
	r.Locate(1, plan, again, again, snapshot.Probe{})
	r.Locate(7, plan, again, again, snapshot.Probe{Sent: 1})
	if r.Observed[1].Location != nil {
		t.Error("nothing was sent")
	}
}

func TestPlaces(t *testing.T) {
	r := run(t, healthy(t), "shop/web-0", "svc/shop/api:80")
	plan := r.Plans()[0]
	want := []Want{
		{"node-a", []string{"shop/web-0", "shop/api-6c9f7d5b8-4xk2p"}}, {"node-b", []string{"shop/api-6c9f7d5b8-9qjtl"}}, {"node-c", []string{"shop/api-6c9f7d5b8-zw7hc"}}}
	got := plan.Places()
	slices.SortFunc(got, func(a, b Want) int { return strings.Compare(a.Node, b.Node) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a := plan.LocateAsk(); a.Count != locateCount || a.Timeout != locateTimeout || a.Dst != plan.Dst || a.Pod != "shop/web-0" {
		t.Errorf("%+v", a)
	}
}

// TestLocateBranches follows what each endpoint of a Service is sent.
func TestLocateBranches(t *testing.T) {
	r := run(t, healthy(t), "shop/web-0", "svc/shop/api:80")
	plan := r.Plans()[0]
	r.Observe(plan, snapshot.Probe{Proto: packet.TCP, Dst: plan.Dst, Sent: 3, Answered: 2, Fate: snapshot.ProbeAnswered}, nil)
	zero := counts(t, func(string) (uint64, bool) { return 0, true })
	after := counts(t, func(what string) (uint64, bool) {
		switch {
		case strings.HasPrefix(what, "node-c/pod"): // two of five go to node-c, and do not come out of its bridge
			return 0, true
		case strings.HasPrefix(what, "node-c/"), strings.HasPrefix(what, "node-b/"):
			return 2, true
		case strings.Contains(what, "-> 10.244.2."), strings.Contains(what, "-destination 10.244.2."), strings.Contains(what, "-> 10.244.1."), strings.Contains(what, "-destination 10.244.1."):
			return 2, true
		case strings.Contains(what, "-> 10.244.0."), strings.Contains(what, "-destination 10.244.0."):
			return 1, true
		}
		return 5, true
	})
	r.Locate(0, plan, zero, after, snapshot.Probe{Sent: 5, Answered: 3})
	l := r.Observed[0].Location
	if !strings.HasPrefix(l.What.String(), "of the 2 of 5 more probes that went this way all were seen at node-c/host/") || l.First < 0 || l.Points[l.First].Place.Node != "node-c" || l.Points[l.First].Place.NetNS == "host" {
		t.Errorf("%s", l.What)
		for _, p := range l.Points {
			t.Logf("%d %s", p.Counted, p.Name())
		}
	}
}
