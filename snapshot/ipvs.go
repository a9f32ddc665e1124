package snapshot

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// A Virtual is a virtual service of IPVS.
type Virtual struct {
	Proto packet.Proto
	At    netip.AddrPort // not valid of one by firewall mark
	Is6   bool           // of one by firewall mark it is not known
	To    []Real
	Line  int // in the file "ipvs", from 1
}

// A Real is a real server of a virtual service.
type Real struct {
	At     netip.AddrPort
	Weight int // 0: it gets no new connections
	Line   int
}

var ipvsProtos = map[string]packet.Proto{"-t": packet.TCP, "-u": packet.UDP, "--sctp-service": packet.SCTP, "TCP": packet.TCP, "UDP": packet.UDP, "SCTP": packet.SCTP}

// parseIPVS reads what "ipvsadm-save -n" prints, or /proc/net/ip_vs, where addresses of IPv4 and ports are hexadecimal
// (ip_vs_info_seq_show of net/netfilter/ipvs/ip_vs_ctl.c).
func parseIPVS(in io.Reader) (out []Virtual, err error) {
	err = lines(in, "ipvs", func(n int, line string) error {
		f := strings.Fields(line)
		if len(f) < 2 {
			return nil
		}
		switch f[0] {
		case "-A", "-a": // -A -t 10.96.0.10:53 -s rr; -a -t 10.96.0.10:53 -r 10.244.0.2:53 -m -w 1; -A -f 1 -6 -s rr
			return saved(&out, f, n)
		case "TCP", "UDP", "SCTP":
			at, err := hexAddrPort(f[1])
			out = append(out, Virtual{Proto: ipvsProtos[f[0]], At: at, Is6: strings.HasPrefix(f[1], "["), Line: n})
			return err
		case "FWM":
			out = append(out, Virtual{Line: n})
		case "->":
			if f[1] == "RemoteAddress:Port" || len(out) == 0 || len(f) < 4 {
				return nil
			}
			at, err := hexAddrPort(f[1])
			weight, _ := strconv.Atoi(f[3])
			return out[len(out)-1].add(Real{at, weight, n}, err)
		}
		return nil
	})
	return out, err
}

func (v *Virtual) add(r Real, err error) error {
	if err == nil {
		v.To = append(v.To, r)
	}
	return err
}

// saved reads a line of ipvsadm-save.
func saved(out *[]Virtual, f []string, n int) error {
	if len(f) < 3 {
		return nil
	}
	if f[0] == "-A" {
		v := Virtual{Proto: ipvsProtos[f[1]], Is6: strings.HasPrefix(f[2], "["), Line: n}
		var err error
		if f[1] != "-f" {
			v.At, err = netip.ParseAddrPort(f[2])
		}
		*out = append(*out, v)
		return err
	}
	if len(*out) == 0 {
		return nil
	}
	r := Real{Weight: 1, Line: n}
	var err error
	for i := 3; i+1 < len(f); i++ {
		switch f[i] {
		case "-r":
			r.At, err = netip.ParseAddrPort(f[i+1])
		case "-w":
			r.Weight, _ = strconv.Atoi(f[i+1])
		}
	}
	return (*out)[len(*out)-1].add(r, err)
}

// hexAddrPort reads "0A60000A:0035" or "[fd00:…]:0035", whose port is hexadecimal too.
func hexAddrPort(s string) (netip.AddrPort, error) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address and port", s)
	}
	port, err := strconv.ParseUint(s[at+1:], 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no port", s[at+1:])
	}
	if strings.HasPrefix(s, "[") {
		a, err := netip.ParseAddr(strings.Trim(s[:at], "[]"))
		return netip.AddrPortFrom(a, uint16(port)), err
	}
	n, err := strconv.ParseUint(s[:at], 16, 32)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s[:at])
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), uint16(port)), nil
}

// opaqueIPVS says where packets meet virtual services, whose choice is not understood: IPVS works at LOCAL_IN and
// LOCAL_OUT (net/netfilter/ipvs/ip_vs_core.c). One by firewall mark is of either family.
func opaqueIPVS(all []Virtual) (out []netfilter.Opaque) {
	for _, is6 := range []bool{false, true} {
		n := 0
		for i := range all {
			if v := &all[i]; v.Is6 == is6 || v.Proto == 0 {
				n++
			}
		}
		if n == 0 {
			continue
		}
		for _, hook := range []netfilter.Hook{netfilter.LocalIn, netfilter.LocalOut} {
			out = append(out, netfilter.Opaque{Hook: hook, Is6: is6, What: fmt.Sprintf("IPVS: %d virtual services: not understood yet", n)})
		}
	}
	return out
}
