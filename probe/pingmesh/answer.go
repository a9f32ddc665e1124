//go:build linux

package pingmesh

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/plumbnet/plumb/probe"
)

// rate is how many datagrams a second each address answers: eight nodes send one each.
const rate = 64

// answers are the sockets that answer other nodes' datagrams. Nobody else is answered, nor with more than he sent: who
// poses as a node has that node sent no more than he sends himself.
type answers struct {
	mu      sync.Mutex
	allowed map[netip.Addr]bool
	sockets map[netip.Addr]*net.UDPConn
	done    sync.WaitGroup
}

// serve answers on the addresses that the node has by the configuration, from now on. One that it has not yet is tried again.
func (a *answers) serve(env *probe.Env, host probe.Place, targets []probe.Target) {
	allowed, own := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, t := range targets {
		if t.Node == env.Node {
			own[t.Addr] = true
		} else {
			allowed[t.Addr] = true
		}
	}
	a.mu.Lock()
	a.allowed = allowed
	if a.sockets == nil {
		a.sockets = map[netip.Addr]*net.UDPConn{}
	}
	for addr, c := range a.sockets {
		if !own[addr] {
			c.Close()
			delete(a.sockets, addr)
		}
	}
	var missing []netip.Addr
	for addr := range own {
		if a.sockets[addr] == nil {
			missing = append(missing, addr)
		}
	}
	a.mu.Unlock()
	for _, addr := range missing {
		a.listen(env, host, addr)
	}
}

func (a *answers) listen(env *probe.Env, host probe.Place, addr netip.Addr) {
	var c *net.UDPConn
	err := env.Places.In(host, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
		return err
	})
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets[addr] = c
	a.done.Go(func() {
		a.answer(c)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.sockets[addr] == c { // it has failed
			c.Close()
			delete(a.sockets, addr)
		}
	})
}

// answer sends back what comes, until the socket is closed.
func (a *answers) answer(c *net.UDPConn) {
	b := make([]byte, small)
	second, left := time.Time{}, 0
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if now := time.Now(); now.Sub(second) >= time.Second {
			second, left = now, rate
		}
		a.mu.Lock()
		ok := a.allowed[from.Addr().Unmap()]
		a.mu.Unlock()
		if ok && left > 0 {
			left--
			_, _ = c.WriteToUDPAddrPort(b[:n], from)
		}
	}
}

func (a *answers) close() {
	a.mu.Lock()
	for _, c := range a.sockets {
		c.Close()
	}
	a.sockets = nil
	a.mu.Unlock()
	a.done.Wait()
}
