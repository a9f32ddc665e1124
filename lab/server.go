//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The protocol of the lab's servers. A TCP client sends 8 bytes, how much it
// will send and how much it wants (big endian), then that much. The server
// answers with a greeting of greetingLen bytes that holds the client's address as the
// server saw it, then that much. A UDP server answers each datagram with the
// greeting, filled up to the length of the datagram.
const greetingLen = 64

// A server is one listening socket and the goroutines that serve it.
type server struct{ c io.Closer }

func (s *server) close() { s.c.Close() }

// greeting says who the client is, with the first 8 bytes of what it sent.
func greeting(client netip.AddrPort, id []byte) []byte {
	b := make([]byte, greetingLen)
	copy(b, id)
	copy(b[8:], netip.AddrPortFrom(client.Addr().Unmap(), client.Port()).String())
	return b
}

// parseGreeting returns the client's address that a greeting holds.
func parseGreeting(b []byte) (netip.AddrPort, error) {
	if len(b) < greetingLen {
		return netip.AddrPort{}, fmt.Errorf("lab: greeting of %d bytes", len(b))
	}
	return netip.ParseAddrPort(strings.TrimRight(string(b[8:greetingLen]), "\x00"))
}

// Listen opens a server in a namespace: network is "tcp" or "udp", addr as in
// package net (":8080" takes both families).
func (l *Lab) Listen(ns *sandbox.NS, network, addr string) error {
	return l.listen(ns, network, addr, func(_ *sandbox.NS, c net.Conn) { answerTCP(c) })
}

// listen is Listen with what becomes of TCP connections.
func (l *Lab) listen(ns *sandbox.NS, network, addr string, tcp func(*sandbox.NS, net.Conn)) error {
	var c io.Closer
	err := ns.Do(func() (err error) {
		if network == "tcp" {
			var ln net.Listener
			if ln, err = net.Listen("tcp", addr); err == nil {
				c = ln
				go serveTCP(ln, func(c net.Conn) { tcp(ns, c) })
			}
			return err
		}
		var pc net.PacketConn
		if pc, err = (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", addr); err == nil {
			c = pc
			if err = packetInfo(pc.(*net.UDPConn)); err != nil {
				return err
			}
			go l.serveUDP(ns, pc.(*net.UDPConn))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: listen %s %s: %w", ns.Name, network, addr, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers[ns.Name+" "+network+" "+addr] = &server{c}
	return nil
}

// Unlisten closes what Listen opened with the same arguments.
func (l *Lab) Unlisten(ns *sandbox.NS, network, addr string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ns.Name + " " + network + " " + addr
	s := l.servers[key]
	if s == nil {
		return fmt.Errorf("lab: nothing listens: %s", key)
	}
	s.close()
	delete(l.servers, key)
	return nil
}

func serveTCP(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

func answerTCP(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	up, down := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
	if _, err := io.CopyN(io.Discard, c, int64(min(up, 1<<20))); err != nil {
		return
	}
	client := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	c.Write(append(greeting(client, head[:]), make([]byte, min(down, 1<<20))...))
	io.Copy(io.Discard, c) // the client closes first
}

// serveUDP answers from the address that a datagram was sent to, as DNS servers do; a query as a name server.
func (l *Lab) serveUDP(ns *sandbox.NS, c *net.UDPConn) {
	buf, oob := make([]byte, 1<<16), make([]byte, 128)
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error that came back for an earlier answer
		}
		to := bytes.Clone(answerFrom(oob[:oobn]))
		if _, _, ok := question(buf[:n]); ok {
			q := bytes.Clone(buf[:n])
			go func() { c.WriteMsgUDPAddrPort(l.answer(ns, q), to, from) }()
			continue
		}
		out := greeting(from, buf[:min(n, 8)])
		if n > len(out) {
			out = append(out, make([]byte, n-len(out))...)
		}
		c.WriteMsgUDPAddrPort(out, to, from)
	}
}

// packetInfo asks the kernel to say which address each datagram was sent to.
func packetInfo(c *net.UDPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var end error
	err = rc.Control(func(fd uintptr) {
		if end = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); end != nil {
			end = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	return errors.Join(err, end)
}

// answerFrom turns the control message that says where a datagram went to into one that says where the answer comes from.
func answerFrom(oob []byte) []byte {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 || len(msgs[0].Data) < 12 {
		return nil
	}
	d := msgs[0].Data
	if msgs[0].Header.Level == unix.IPPROTO_IPV6 {
		if len(d) < 20 {
			return nil
		}
		return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(d[:16])})
	}
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(d[8:12])})
}

// listenAll opens the servers of Pods, nodes and outside hosts.
func (l *Lab) listenAll() error {
	var g errgroup.Group
	g.SetLimit(2)
	open := func(ns *sandbox.NS, addrs ...string) {
		g.Go(func() error {
			for _, a := range addrs {
				network, addr, _ := strings.Cut(a, " ")
				if err := l.Listen(ns, network, addr); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, n := range l.Nodes {
		open(n.NS, "tcp :10250", "tcp :10256", "udp :9100", "tcp 127.0.0.1:10248")
		for _, p := range n.Pods {
			if p.App == "coredns" {
				open(p.NS, "tcp :53", "udp :53", "tcp :9153", "tcp :8181")
				continue
			}
			open(p.NS, "tcp :8080", "udp :8080")
		}
	}
	open(l.Nodes[0].NS, "tcp :6443")
	open(l.Outside, "tcp :80", "udp :80", "tcp :443", "udp :53")
	open(l.Office, "tcp :80", "udp :80")
	return g.Wait()
}
