package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// cluster is one of n nodes, one more each month, each with a Pod and a Service.
func cluster(n int) *snapshot.Objects {
	o := &snapshot.Objects{ConfigMaps: []corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubeadm-config"},
		Data: map[string]string{"ClusterConfiguration": "networking:\n  podSubnet: 10.244.0.0/21\n  serviceSubnet: \"10.96.0.0/24\"\n"}}}}
	for i := range n {
		meta := metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprint("x", i), CreationTimestamp: metav1.NewTime(begin.AddDate(0, i, 0))}
		node := corev1.Node{ObjectMeta: meta}
		node.Namespace = ""
		node.Spec.PodCIDR = fmt.Sprintf("10.244.%d.0/24", i)
		node.Status.Addresses = []corev1.NodeAddress{{Address: fmt.Sprintf("192.168.0.%d", i+1)}, {Address: "name"}}
		o.Nodes = append(o.Nodes, node)
		o.Pods = append(o.Pods, corev1.Pod{ObjectMeta: meta, Status: corev1.PodStatus{PodIP: fmt.Sprintf("10.244.%d.7", min(i, 1))}})
		o.Services = append(o.Services, corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.96.0.%d", i+1)}})
	}
	return o
}

func TestToday(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    *snapshot.Objects
		want string
	}{
		{"half a year", cluster(7), `ranges of nodes 10.244.0.0/21: 7 of 8, 12 a year, 0.1 years, full
Services 10.96.0.0/24: 7 of 254, 12 a year, 20.4 years
Pods of node x1, whose range is fullest 10.244.1.0/24: 6 of 253`},
		{"too short to tell", cluster(1), `ranges of nodes 10.244.0.0/21: 1 of 8
Services 10.96.0.0/24: 1 of 254
Pods of node x0, whose range is fullest 10.244.0.0/24: 1 of 253`},
		{"nothing is known", &snapshot.Objects{}, `? the Pod range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects
? the Service range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			uses, unknown := Today(tt.o)
			var got []string
			for _, u := range uses {
				s := fmt.Sprintf("%s %s: %d of %d", u.What, u.Prefix, u.Used, u.Room)
				if y, ok := u.Years(); ok {
					s += fmt.Sprintf(", %.0f a year, %.1f years", u.PerYear, y)
				}
				if u.Full() {
					s += ", full"
				}
				got = append(got, s)
			}
			for _, u := range unknown {
				got = append(got, "? "+u.String())
			}
			if d := cmp.Diff(tt.want, strings.Join(got, "\n")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRanges(t *testing.T) {
	want := "[10.244.0.0/21 10.96.0.0/24 10.244.0.0/24 192.168.0.1/32]"
	if got := fmt.Sprint(Ranges(cluster(1))); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// A new cluster beside it overlaps none of them.
	p, err := Make(Ask{Nodes: 10, PodsPerNode: 110, External: Ranges(cluster(3))})
	if err != nil || p.Ranges[0].Prefix.String() != "10.0.0.0/19" {
		t.Errorf("%v %v", p, err)
	}
}

// TestConfigured: kubeadm's configuration as people write it.
func TestConfigured(t *testing.T) {
	for _, tt := range []struct{ name, config, want string }{
		{"both families", "networking:\n  podSubnet: 10.244.0.0/16,fd00:1::/56\n", "[10.244.0.0/16 fd00:1::/56]"},
		{"in quotes", `  podSubnet: "10.244.0.0/16"`, "[10.244.0.0/16]"},
		{"with bits of hosts", "  podSubnet: 10.244.1.1/16", "[10.244.0.0/16]"},
		{"empty", `  podSubnet: ""`, "[]"},
		{"what is no range", "  podSubnet: 10.244.0.0,10.1.0.0/16", "[10.1.0.0/16]"},
		{"a comment names it", "# podSubnet: 10.1.0.0/16\n  podSubnet: 10.2.0.0/16", "[10.2.0.0/16]"},
		{"a field that ends so", "  mypodSubnet: 10.1.0.0/16", "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := cluster(0)
			o.ConfigMaps[0].Data["ClusterConfiguration"] = tt.config
			if got := fmt.Sprint(configured(o, "podSubnet")); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestUse: when a range counts as full.
func TestUse(t *testing.T) {
	for _, tt := range []struct {
		name string
		u    Use
		full bool
	}{
		{"half", Use{Used: 5, Room: 10}, false},
		{"nine tenths", Use{Used: 9, Room: 10}, true},
		{"a year is left", Use{Used: 5, Room: 10, PerYear: 5}, false},
		{"less than a year", Use{Used: 5, Room: 10, PerYear: 6}, true},
		{"over full", Use{Used: 12, Room: 10, PerYear: 1}, true},
		{"it shrinks", Use{Used: 1, Room: 10, PerYear: -5}, false},
	} {
		if got := tt.u.Full(); got != tt.full {
			t.Errorf("%s: full %v", tt.name, got)
		}
	}
}

// TestPace: what was there from the first day is no growth, and a short history tells nothing.
func TestPace(t *testing.T) {
	day := func(n int) time.Time { return begin.AddDate(0, 0, n) }
	for _, tt := range []struct {
		name string
		made []time.Time
		now  time.Time
		want float64
	}{
		{"one", []time.Time{day(0)}, day(365), 0},
		{"all on one day", []time.Time{day(0), day(0), day(0)}, day(365), 0},
		{"one later", []time.Time{day(0), day(100)}, day(365), 1},
		{"in half the time", []time.Time{day(0), day(30), day(60)}, day(73), 10},
		{"too short", []time.Time{day(0), day(10)}, day(29), 0},
		{"not known when", []time.Time{{}, day(10)}, day(365), 0},
		{"in any order", []time.Time{day(100), day(0)}, day(365), 1},
	} {
		if got := perYear(tt.made, tt.now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
