//go:build linux

package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// A trouble is what is injected, and where it is to be seen.
type trouble struct {
	name, story string
	inject      func(context.Context, *bench) error // until the context ends; then it is undone
	panels      []string
	alerts      []string
	cgroup      bool // it takes a cgroup of its own
}

// troubles are in the order in which they are injected. Not among them is what only the machine's first network
// namespace has: drops before the protocols, the tables of neighbours.
var troubles = []trouble{
	{name: "rule", story: "a rule of netfilter in shop/web-0 drops datagrams from shop/web-1", inject: ruleDrops,
		panels: []string{"Drops by Pod", "Drops by reason", "Drops by function", "Drops by direction", "Drops of UDP"}, alerts: []string{"PlumbDrops"}},
	{name: "listener", story: "shop/web-0 does not accept connections", inject: neverAccepts,
		panels: []string{"Connections dropped by listeners", "Listeners: queue full to", "TCP: segments sent again, by state", "TCP: connections not made"}, alerts: []string{"PlumbListenOverflows"}},
	{name: "refused", story: "shop/web-1 connects to a port of shop/web-0 where nobody listens", inject: refused,
		panels: []string{"TCP: resets", "TCP: connections not made"}},
	{name: "unread", story: "shop/web-0 does not read its datagrams, and its bytes of TCP late", inject: unread,
		panels: []string{"UDP: datagrams dropped", "UDP: no room in the socket", "TCP: bytes not read", "socketlatency_receive_seconds"}},
	{name: "loss", story: "one of ten segments of TCP to shop/web-0 is lost", inject: loss,
		panels: []string{"TCP: segments sent again", "TCP: segments sent again, by state"}, alerts: []string{"PlumbRetransmits"}},
	{name: "names", story: "a name server in shop/web-0 fails, answers too much, or does not answer, in turn", inject: badServer,
		panels: []string{"dns_lookup_seconds", "dns_answers_total", "dns_timeouts_total", "dns_truncated_total"}, alerts: []string{"PlumbLookupsFail"}},
	{name: "slow-device", story: "the device of shop/web-1 has a rate of 1 Mbit/s", inject: slowDevice,
		panels: []string{"Queues: packets dropped", "qdisc_backlog_bytes"}},
	{name: "unknown-protocol", story: "shop/web-1 sends frames of a protocol that nobody knows", inject: unknownProtocol,
		panels: []string{"Devices: packets dropped"}},
	{name: "reverse-path", story: "shop/web-0 takes no packets that come by another way than answers go (rp_filter)", inject: reversePath,
		panels: []string{"TCP: segments dropped"}},
	{name: "route", story: "a route of node-b comes and goes", inject: routeFlaps, panels: []string{"Changes"}},
	{name: "address", story: "node-a is told in turns that an address is behind node-b, and behind node-c", inject: addressMoves,
		panels: []string{"MAC addresses that move"}, alerts: []string{"PlumbAddressesMove"}},
	{name: "peer", story: "node-b does not answer pings of more than 1,000 bytes", inject: peerLost,
		panels: []string{"Other nodes: not answered"}, alerts: []string{"PlumbPeerLost"}},
	{name: "throttled", story: "a process of shop/web-0 is at its limits of CPU and memory, and writes", inject: throttled, cgroup: true,
		panels: []string{"CPU: held back", "CPU", "Open files", "Memory: limits met", "Read and written"}, alerts: []string{"PlumbThrottled"}},
	{name: "events", story: "a reader of node-a's events does not read", inject: eventsLost,
		panels: []string{"Agent: events lost"}, alerts: []string{"PlumbEventsLost"}},
	{name: "probe", story: "a probe that runs on node-a cannot on node-c", inject: probeBroken,
		panels: []string{"Agent: probes that do not run"}, alerts: []string{"PlumbProbeDown"}},
	{name: "config", story: "node-b is given a configuration that is not valid", inject: configRefused, alerts: []string{"PlumbConfigRefused"}},
	{name: "agent", story: "node-c's agent does not answer", inject: agentDown, alerts: []string{"PlumbAgentDown"}},
	{name: "conntrack", story: "node-b's table of connections is full", inject: conntrackFull,
		panels: []string{"Connection tracking: full to", "Connection tracking: failures"}, alerts: []string{"PlumbConntrackNearlyFull", "PlumbConntrackFailures"}},
}

// between is how often what makes a fault is repeated.
const between = 20 * time.Millisecond

// again repeats something until ctx ends.
func again(ctx context.Context, f func() error) error {
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		if err := f(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pods returns shop/web-0 and shop/web-1, and an address of the first.
func (b *bench) pods(port uint16) (to, from *sandbox.NS, addr string) {
	p := b.lab.Pod("shop/web-0")
	return p.NS, b.lab.Pod("shop/web-1").NS, netip.AddrPortFrom(p.IP, port).String()
}

// rule adds one of iptables until its end is called.
func rule(ns *sandbox.NS, spec string) (end func(), err error) {
	words := strings.Fields(spec)
	if err := ns.Run("", append([]string{"iptables", "-A"}, words...)...); err != nil {
		return nil, err
	}
	return func() { _ = ns.Run("", append([]string{"iptables", "-D"}, words...)...) }, nil
}

// flood sends some datagrams again and again.
func flood(ctx context.Context, from *sandbox.NS, to string, size int) error {
	var c net.Conn
	if err := from.Do(func() (err error) { c, err = net.Dial("udp", to); return err }); err != nil {
		return err
	}
	defer c.Close()
	data := make([]byte, size)
	return again(ctx, func() error {
		for range 10 {
			_, _ = c.Write(data) // where it is refused, that is what is wanted
		}
		return nil
	})
}

func ruleDrops(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(7777)
	end, err := rule(to, "INPUT -p udp --dport 7777 -j DROP")
	if err != nil {
		return err
	}
	defer end()
	return flood(ctx, from, addr, 100)
}

func routeFlaps(ctx context.Context, b *bench) error {
	return again(ctx, func() error {
		return b.lab.Nodes[1].NS.Run("", "sh", "-ec", "ip route add 10.99.0.0/24 dev lo; ip route del 10.99.0.0/24")
	})
}

func addressMoves(ctx context.Context, b *bench) error {
	const mac, device = "02:00:00:00:00:77", "flannel.1"
	ns, i := b.lab.Nodes[0].NS, 0
	defer func() { _ = ns.Run("", "bridge", "fdb", "del", mac, "dev", device) }()
	return again(ctx, func() error {
		i++
		return ns.Run("", "bridge", "fdb", "replace", mac, "dev", device, "dst", b.lab.Nodes[1+i%2].IP.String())
	})
}

func peerLost(ctx context.Context, b *bench) error {
	end, err := rule(b.lab.Nodes[1].NS, "INPUT -p icmp --icmp-type echo-request -m length --length 1000:65535 -j DROP")
	if err != nil {
		return err
	}
	defer end()
	<-ctx.Done()
	return nil
}

func neverAccepts(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(7001)
	var fd int
	err := to.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 7001}), unix.Listen(fd, 1))
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return again(ctx, func() error {
		d := net.Dialer{Timeout: 1500 * time.Millisecond} // longer than the first SYN is waited for
		go func() {
			_ = from.Do(func() error {
				c, err := d.DialContext(ctx, "tcp", addr)
				if err == nil {
					context.AfterFunc(ctx, func() { c.Close() })
				}
				return err
			})
		}()
		time.Sleep(5 * between)
		return nil
	})
}

func refused(ctx context.Context, b *bench) error {
	_, from, addr := b.pods(7002)
	return again(ctx, func() error {
		return from.Do(func() error {
			c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
			if err == nil {
				c.Close()
				return fmt.Errorf("%s: somebody listens there", addr)
			}
			return nil
		})
	})
}

func unread(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(7003)
	var c net.PacketConn
	var l net.Listener
	err := to.Do(func() (err error) {
		if c, err = net.ListenPacket("udp4", ":7003"); err != nil {
			return err
		}
		l, err = net.Listen("tcp4", ":7003")
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	defer l.Close()
	if err := c.(*net.UDPConn).SetReadBuffer(4096); err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			go readLate(c)
		}
	}()
	var s net.Conn
	if err := from.Do(func() (err error) { s, err = net.Dial("tcp4", addr); return err }); err != nil {
		return err
	}
	defer s.Close()
	go func() { _, _ = io.Copy(s, zeros{}) }()
	return flood(ctx, from, addr, 1000)
}

// readLate reads some bytes now and then.
func readLate(c net.Conn) {
	buf := make([]byte, 100)
	for {
		time.Sleep(200 * time.Millisecond)
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func loss(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(7004)
	end, err := rule(to, "INPUT -p tcp --dport 7004 -m statistic --mode random --probability 0.1 -j DROP")
	if err != nil {
		return err
	}
	defer end()
	if err := b.lab.Listen(to, "tcp", ":7004"); err != nil {
		return err
	}
	defer func() { _ = b.lab.Unlisten(to, "tcp", ":7004") }()
	probe := lab.Probe{From: from, To: netip.MustParseAddrPort(addr), Proto: 6, Size: 1, Timeout: 2 * time.Second}
	return again(ctx, func() error {
		b.lab.ProbeAll([]lab.Probe{probe, probe, probe, probe})
		return nil
	})
}

// badServer has shop/web-1 ask for names. By the message's number, the server fails (SERVFAIL), cuts its answer off, or says nothing.
func badServer(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(53)
	var server net.PacketConn
	if err := to.Do(func() (err error) { server, err = net.ListenPacket("udp4", ":53"); return err }); err != nil {
		return err
	}
	defer server.Close()
	go func() {
		for m := make([]byte, 512); ; {
			n, client, err := server.ReadFrom(m)
			if err != nil {
				return
			}
			switch m[2] |= 0x80; m[1] % 3 { // an answer
			case 0:
				m[3] |= 2
			case 1:
				m[2] |= 2
			default:
				continue
			}
			_, _ = server.WriteTo(m[:n], client)
		}
	}()
	var c net.Conn
	if err := from.Do(func() (err error) { c, err = net.Dial("udp4", addr); return err }); err != nil {
		return err
	}
	defer c.Close()
	query := []byte("\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x04shop\x00\x00\x01\x00\x01") // A of api.shop
	return again(ctx, func() error {
		query[1]++
		_, err := c.Write(query)
		return err
	})
}

func slowDevice(ctx context.Context, b *bench) error {
	_, from, addr := b.pods(7005)
	if err := from.Run("", strings.Fields("tc qdisc add dev eth0 root tbf rate 1mbit burst 10kb latency 50ms")...); err != nil {
		return err
	}
	defer func() { _ = from.Run("", "tc", "qdisc", "del", "dev", "eth0", "root") }()
	return flood(ctx, from, addr, 1000)
}

// unknownProtocol sends frames of a type that is for experiments (IEEE 802, 0x88b5), to all.
func unknownProtocol(ctx context.Context, b *bench) error {
	_, from, _ := b.pods(0)
	return from.Do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: 0xb588, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
		return again(ctx, func() error { return unix.Sendto(fd, make([]byte, 64), 0, to) })
	})
}

// reversePath has shop/web-0 look for shop/web-1 behind a bridge of its own.
func reversePath(ctx context.Context, b *bench) error {
	to, from, addr := b.pods(7006)
	there := b.lab.Pod("shop/web-1").IP.String()
	if err := lab.IPBatch(to, "link add br9 type bridge\nlink set br9 up\nroute add "+there+" dev br9\n"); err != nil {
		return err
	}
	defer func() { _ = lab.IPBatch(to, "link del br9\n") }()
	if err := b.lab.Sysctl(to, map[string]string{"net.ipv4.conf.eth0.rp_filter": "1"}); err != nil {
		return err
	}
	defer func() { _ = b.lab.Sysctl(to, map[string]string{"net.ipv4.conf.eth0.rp_filter": "0"}) }()
	return flood(ctx, from, addr, 100)
}

func eventsLost(ctx context.Context, b *bench) error {
	o := b.agents["node-a"]
	sub := o.Subscribe(0)
	defer o.Leave(sub)
	return ruleDrops(ctx, b)
}

func probeBroken(ctx context.Context, b *bench) error {
	b.agents["node-c"].Apply(b.config(true))
	defer b.agents["node-c"].Apply(b.config(false))
	<-ctx.Done()
	return nil
}

func configRefused(ctx context.Context, b *bench) error {
	o := b.agents["node-b"]
	o.Refuse(errors.New("it is not valid"))
	defer o.Apply(b.config(false))
	<-ctx.Done()
	return nil
}

func agentDown(ctx context.Context, b *bench) error {
	b.agents["node-c"].stop(true)
	defer b.agents["node-c"].stop(false)
	<-ctx.Done()
	return nil
}

func conntrackFull(ctx context.Context, b *bench) error {
	f, _ := fault.Named("conntrack-full")
	if err := f.Inject(b.lab); err != nil {
		return err
	}
	defer func() { _ = b.lab.Node("node-b").NS.Run("", "conntrack", "-F") }()
	<-ctx.Done()
	return nil
}
