// Package listen checks that something listens where packets are sent: behind
// Services, and at the end of the path asked about.
package listen

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// NotListening reports ports on which nothing listens.
var NotListening = &check.Check{
	Name: "not-listening",
	Doc: `nothing listens on the port

Symptom: "connection refused" at once, while the Pod's address answers pings.
Cause: the process has not started, has crashed, or listens on another port than it says.
Cure: look at the Pod's logs; start the server or correct its port. The second command is for images without ss.
Commands:
    kubectl -n NAMESPACE exec POD -- ss -lntu
    kubectl -n NAMESPACE debug -it POD --image=busybox -- netstat -lntu
    kubectl -n NAMESPACE logs POD`,
	DocZH: `端口上没有进程监听

症状：立即 "connection refused"，而 Pod 地址能 ping 通。
原因：进程没有启动、已崩溃，或监听的不是所声明的端口。
处理：查看 Pod 日志；启动服务或改正端口。镜像中没有 ss 时用第二条命令。
命令：
    kubectl -n 命名空间 exec POD -- ss -lntu
    kubectl -n 命名空间 debug -it POD --image=busybox -- netstat -lntu
    kubectl -n 命名空间 logs POD`,
	Run: func(p *check.Pass) { run(p, nothing) },
}

// Loopback reports ports on which a process listens for its own Pod only.
var Loopback = &check.Check{
	Name: "listen-loopback",
	Doc: `the process listens on 127.0.0.1 only

Symptom: "connection refused" from outside the Pod; inside, localhost answers.
Cause: the server is bound to the loopback address, a default of many development servers.
Cure: bind it to 0.0.0.0 (or [::]).
Commands:
    kubectl -n NAMESPACE exec POD -- ss -lntu`,
	DocZH: `进程只监听在 127.0.0.1

症状：从 Pod 外访问 "connection refused"，在 Pod 内访问 localhost 正常。
原因：服务绑定在回环地址上，这是许多开发服务器的默认值。
处理：改为绑定 0.0.0.0（或 [::]）。
命令：
    kubectl -n NAMESPACE exec POD -- ss -lntu`,
	Run: func(p *check.Pass) { run(p, loopback) },
}

// TargetPort reports Services that send to a port on which none of their Pods listens, though they listen elsewhere.
var TargetPort = &check.Check{
	Name: "target-port",
	Doc: `a Service's targetPort is not the port that its Pods listen on

Symptom: the Service refuses connections; the Pods answer on another port.
Cause: targetPort is wrong, or left out, so that it is the Service's own port.
Cure: set targetPort to the port that the containers listen on.
Commands:
    kubectl -n NAMESPACE get service SERVICE -o jsonpath='{.spec.ports}'
    kubectl -n NAMESPACE exec POD -- ss -lntu`,
	DocZH: `Service 的 targetPort 不是 Pod 实际监听的端口

症状：访问 Service 被拒绝；Pod 在另一个端口上正常应答。
原因：targetPort 写错，或没有写（默认等于 Service 端口）。
处理：把 targetPort 设为容器监听的端口。
命令：
    kubectl get service 服务名 -o jsonpath='{.spec.ports}'
    kubectl -n NAMESPACE exec POD -- ss -lntu`,
	Needs: []string{"objects/Service", "objects/EndpointSlice"},
	Run:   func(p *check.Pass) { run(p, elsewhere) },
}

// A kind is one of the ways in which nobody answers on a port.
type kind uint8

const (
	answers kind = iota // or it is not known
	nothing
	loopback
	elsewhere
)

// A target is an address and port that packets are sent to.
type target struct {
	ns    *network.NS
	at    netip.AddrPort
	proto packet.Proto
	svc   *corev1.Service // nil where no Service is involved
	port  *corev1.ServicePort
}

// targetsKey is where the targets are kept for the next check of the same run.
type targetsKey struct{}

func run(p *check.Pass, want kind) {
	seen := map[string]bool{}
	for _, t := range check.Once(p, targetsKey{}, func() []target { return targets(p) }) {
		k := judge(p, t)
		if k != want {
			continue
		}
		key := t.ns.String() + t.at.String() + t.proto.String()
		if k == elsewhere {
			key = t.svc.Namespace + "/" + t.svc.Name + ":" + t.port.Name
		}
		if !seen[key] {
			seen[key] = true
			p.Report(finding(p, t, k))
		}
	}
}

var protos = map[corev1.Protocol]packet.Proto{corev1.ProtocolTCP: packet.TCP, corev1.ProtocolUDP: packet.UDP, corev1.ProtocolSCTP: packet.SCTP}

// targets returns the ready endpoints of all Services whose Pods' namespaces
// were collected, and the ends of broken paths.
func targets(p *check.Pass) []target {
	var out []target
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for j := range s.Spec.Ports {
			port := &s.Spec.Ports[j]
			for _, e := range p.Endpoints(s) {
				if ns := p.Network.Pod(e.Pod); ns != nil && e.Port == port.Name && e.Ready && !ns.IsHost() {
					out = append(out, target{ns, e.Addr, protos[e.Proto], s, port})
				}
			}
		}
	}
	for _, b := range check.BrokenPaths(p) {
		ns, end := p.NS(b.Path.At), b.Path.Final
		if b.Request == nil && ns != nil && end.Inner == nil && end.Proto.HasPorts() && ns.Owner(end.Dst.Addr()) != nil && !nodePort(p, ns, end) {
			out = append(out, target{ns: ns, at: end.Dst, proto: end.Proto})
		}
	}
	return out
}

// nodePort reports whether a packet was sent to a node port: no process listens there, rules translate it.
func nodePort(p *check.Pass, ns *network.NS, end packet.Packet) bool {
	s, _ := p.ServiceByNodePort(end.Dst.Port(), corev1.Protocol(strings.ToUpper(end.Proto.String())))
	return s != nil && ns.IsHost()
}

// judge says why nobody answers at a target.
func judge(p *check.Pass, t target) kind {
	if p.Lacks(t.ns, "sockets") {
		return answers
	}
	local := false
	for _, s := range t.ns.SocketsOn(t.proto, t.at.Port()) {
		switch a := s.Local.Addr(); {
		case takes(s, t.at.Addr()):
			return answers
		case a.IsLoopback():
			local = true
		}
	}
	switch {
	case local:
		return loopback
	case t.svc != nil && misdirected(p, t):
		return elsewhere
	}
	return nothing
}

// takes reports whether a socket takes what is sent to a.
func takes(s *snapshot.Socket, a netip.Addr) bool {
	local := s.Local.Addr().Unmap()
	switch {
	case local == a.Unmap():
		return true
	case !local.IsUnspecified():
		return false
	case local.Is6():
		return a.Is6() || !s.V6Only
	}
	return a.Is4()
}

// misdirected reports whether it is the Service that is wrong: nobody behind
// it listens on the port, no container declares it, and the Pod listens on another.
func misdirected(p *check.Pass, t target) bool {
	if pod := p.PodByName(t.ns.PodName); pod != nil && declares(pod, t) {
		return false
	}
	for _, e := range p.Endpoints(t.svc) {
		ns := p.Network.Pod(e.Pod)
		if ns != nil && e.Port == t.port.Name && slices.ContainsFunc(ns.SocketsOn(t.proto, e.Addr.Port()), func(s *snapshot.Socket) bool { return takes(s, e.Addr.Addr()) }) {
			return false
		}
	}
	return len(listening(t)) > 0
}

func declares(pod *corev1.Pod, t target) bool {
	for _, c := range pod.Spec.Containers {
		for _, cp := range c.Ports {
			if uint16(cp.ContainerPort) == t.at.Port() && protos[check.ProtoOf(cp.Protocol)] == t.proto {
				return true
			}
		}
	}
	return false
}

// listening returns the ports that the Pod listens on for others, sorted.
func listening(t target) []uint16 {
	var out []uint16
	for i := range t.ns.Sockets {
		if s := &t.ns.Sockets[i]; s.Proto == t.proto && takes(s, t.at.Addr()) {
			out = append(out, s.Local.Port())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func finding(p *check.Pass, t target, k kind) check.Finding {
	f := check.Finding{Severity: check.Error, Where: t.ns.String()}
	who := t.ns.PodName
	if t.ns.IsHost() {
		who = t.ns.Node.Name
	}
	ports := strings.Trim(fmt.Sprint(listening(t)), "[]")
	f.Evidence = evidence(t)
	switch k {
	case nothing:
		f.What = text.F("nothing listens on %s port %d in %s", t.proto, t.at.Port(), who)
		f.Fix = check.Fix{What: text.F("start the server of %s, or correct its port", who)}
	case loopback:
		f.What = text.F("the server on %s port %d of %s listens on the loopback address only", t.proto, t.at.Port(), who)
		f.Fix = check.Fix{What: text.F("bind the server to 0.0.0.0 instead of 127.0.0.1")}
	case elsewhere:
		f.Where = "service/" + t.svc.Namespace + "/" + t.svc.Name + ":" + portName(t.port)
		f.What = text.F("it sends to %s port %d, on which none of its Pods listens; they listen on %s", t.proto, t.at.Port(), ports)
		f.Fix = check.Fix{What: text.F("set targetPort to %s", ports), Commands: retarget(t)}
		f.Evidence = append(f.Evidence, p.Object("Service", t.svc.Namespace, t.svc.Name, "targetPort: "+t.port.TargetPort.String()))
		for _, e := range p.Endpoints(t.svc) {
			if ns := p.Network.Pod(e.Pod); ns != nil && e.Port == t.port.Name {
				f.Explains = append(f.Explains, check.Symptom{Check: "not-listening", Where: ns.String()})
			}
		}
	}
	p.Blame(&f, func(b check.Broken) bool {
		end := b.Path.Final
		if b.Request != nil || end.Proto != t.proto || end.Dst.Port() != t.at.Port() {
			return false
		}
		return end.Dst == t.at || k == elsewhere && p.Backs(t.svc, end.Dst)
	})
	return f
}

// retarget returns the command that sends the Service's port to the one port that its Pods listen on.
func retarget(t target) []string {
	ports := listening(t)
	for i := range t.svc.Spec.Ports {
		if len(ports) == 1 && t.svc.Spec.Ports[i].Port == t.port.Port && t.svc.Spec.Ports[i].Protocol == t.port.Protocol {
			patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/ports/%d/targetPort","value":%d}]`, i, ports[0])
			return []string{check.Cmd("kubectl -n %s patch service %s --type=json -p %s", t.svc.Namespace, t.svc.Name, patch)}
		}
	}
	return []string{check.Cmd("kubectl -n %s edit service %s", t.svc.Namespace, t.svc.Name)}
}

func portName(port *corev1.ServicePort) string {
	if port.Name != "" {
		return port.Name
	}
	return fmt.Sprint(port.Port)
}

// evidence returns the sockets of the port, or all that listen where there is none.
func evidence(t target) []snapshot.Evidence {
	var out []snapshot.Evidence
	cmd := "ss -lntup"
	for i := range t.ns.Sockets {
		s := &t.ns.Sockets[i]
		if s.Proto != t.proto || len(out) == 3 {
			continue
		}
		e := check.File(t.ns, "sockets", s.Proto.String()+" "+s.State+" "+s.Local.String(), cmd)
		e.Line = s.Line
		out = append(out, e)
	}
	if len(out) == 0 {
		return []snapshot.Evidence{check.File(t.ns, "sockets", "(none)", cmd)}
	}
	return out
}
