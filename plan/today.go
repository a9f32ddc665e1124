package plan

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// A Use is how much of a range is used, and how long the rest lasts.
type Use struct {
	What       text.Text // of what it is: "node ranges", "Services", "Pods of node a"
	Prefix     netip.Prefix
	Used, Room int
	PerYear    float64 // how many more of them there are each year; 0 where that is not known
}

// Years returns how long the rest of a range lasts; false where that is not known.
func (u *Use) Years() (float64, bool) {
	if u.PerYear <= 0 {
		return 0, false
	}
	return float64(u.Room-u.Used) / u.PerYear, true
}

// Full reports whether nothing, or next to nothing, is left: nine tenths are used, or the rest
// lasts no year.
func (u *Use) Full() bool {
	y, known := u.Years()
	return 10*u.Used >= 9*u.Room || known && y < 1
}

// Today says how much of a cluster's ranges is used, as its objects tell: node ranges of the Pod
// range, Services, and the Pods of the node whose range is fullest. What it cannot find out it says.
func Today(o *snapshot.Objects) (uses []Use, unknown []text.Text) {
	pods, services := configured(o, "podSubnet"), configured(o, "serviceSubnet")
	now := newest(o)
	for _, c := range pods {
		mask, used := nodeMask(o, c)
		if mask < c.Bits() {
			continue
		}
		var made []time.Time
		for i := range o.Nodes {
			made = append(made, o.Nodes[i].CreationTimestamp.Time)
		}
		uses = append(uses, Use{text.F("ranges of nodes"), c, used, 1 << min(mask-c.Bits(), 30), perYear(made, now)})
	}
	if len(pods) == 0 {
		unknown = append(unknown, text.F("the Pod range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects"))
	}
	for _, c := range services {
		used, made := 0, []time.Time(nil)
		for i := range o.Services {
			s := &o.Services[i]
			for _, ip := range slices.Concat([]string{s.Spec.ClusterIP}, s.Spec.ClusterIPs) {
				if a, err := netip.ParseAddr(ip); err == nil && c.Contains(a) {
					used++
					made = append(made, s.CreationTimestamp.Time)
					break
				}
			}
		}
		uses = append(uses, Use{text.F("Services"), c, used, addresses(c) - 2, perYear(made, now)})
	}
	if len(services) == 0 {
		unknown = append(unknown, text.F("the Service range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects"))
	}
	if u, ok := fullest(o); ok {
		uses = append(uses, u)
	}
	return uses, unknown
}

// addresses is how many addresses a range has, as far as anybody counts.
func addresses(p netip.Prefix) int { return 1 << min(p.Addr().BitLen()-p.Bits(), 30) }

// Ranges returns the ranges that a cluster takes, as its objects tell, which those of another
// cluster are not to overlap.
func Ranges(o *snapshot.Objects) (out []netip.Prefix) {
	out = slices.Concat(configured(o, "podSubnet"), configured(o, "serviceSubnet"))
	for i := range o.Nodes {
		out = append(out, podCIDRs(&o.Nodes[i])...)
		for _, a := range o.Nodes[i].Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil {
				out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	return out
}

// configured returns the ranges of a field of kubeadm's configuration: "10.244.0.0/16,fd00::/48".
func configured(o *snapshot.Objects, field string) (out []netip.Prefix) {
	for i := range o.ConfigMaps {
		m := &o.ConfigMaps[i]
		if m.Namespace != "kube-system" || m.Name != "kubeadm-config" {
			continue
		}
		found := regexp.MustCompile(`(?m)^\s*` + field + `:\s*"?([^"\s]+)"?\s*$`).FindStringSubmatch(m.Data["ClusterConfiguration"])
		if found == nil {
			continue
		}
		for s := range strings.SplitSeq(found[1], ",") {
			if p, err := netip.ParsePrefix(s); err == nil {
				out = append(out, p.Masked())
			}
		}
	}
	return out
}

func podCIDRs(n *corev1.Node) (out []netip.Prefix) {
	for _, s := range slices.Concat(n.Spec.PodCIDRs, []string{n.Spec.PodCIDR}) {
		if p, err := netip.ParsePrefix(s); err == nil && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// nodeMask returns the length of the nodes' ranges in the Pod range, and how many there are; 0 where there are none.
func nodeMask(o *snapshot.Objects, in netip.Prefix) (mask, used int) {
	for i := range o.Nodes {
		for _, c := range podCIDRs(&o.Nodes[i]) {
			if in.Overlaps(c) {
				mask = max(mask, c.Bits())
				used++
			}
		}
	}
	return mask, used
}

// fullest returns the Pods of the node whose range has the least room.
func fullest(o *snapshot.Objects) (best Use, ok bool) {
	for i := range o.Nodes {
		n := &o.Nodes[i]
		for _, c := range podCIDRs(n) {
			u := Use{What: text.F("Pods of node %s, whose range is fullest", n.Name), Prefix: c, Room: max(1, addresses(c)-3)}
			for j := range o.Pods {
				a, err := netip.ParseAddr(o.Pods[j].Status.PodIP)
				if err == nil && o.Pods[j].Status.Phase != corev1.PodSucceeded && o.Pods[j].Status.Phase != corev1.PodFailed && c.Contains(a) {
					u.Used++
				}
			}
			if !ok || u.Used*best.Room > best.Used*u.Room {
				best, ok = u, true
			}
		}
	}
	return best, ok
}

// newest is when the newest object was made: about when the objects were collected.
func newest(o *snapshot.Objects) (now time.Time) {
	for i := range o.Pods {
		if t := o.Pods[i].CreationTimestamp.Time; t.After(now) {
			now = t
		}
	}
	for i := range o.Services {
		if t := o.Services[i].CreationTimestamp.Time; t.After(now) {
			now = t
		}
	}
	return now
}

// Below a month of history its pace says nothing.
const history = 30 * 24 * time.Hour

// perYear is how many more of something there are each year, by when those that are there were
// made; 0 where there is too little to go by. What was made and is gone is not seen.
func perYear(made []time.Time, now time.Time) float64 {
	if len(made) < 2 {
		return 0
	}
	first := slices.MinFunc(made, time.Time.Compare)
	if first.IsZero() || now.Sub(first) < history {
		return 0
	}
	later := 0
	for _, t := range made {
		if t.Sub(first) > 24*time.Hour { // what was there from the first day is no growth
			later++
		}
	}
	return float64(later) / (now.Sub(first).Hours() / 24 / 365)
}
