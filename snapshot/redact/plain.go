package redact

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// statWord is a line of counters.
var statWord = regexp.MustCompile(`^[a-z0-9_]{1,64}\s+[0-9]{1,20}$`)

// statLine keeps a counter, whose name is the kernel's.
func statLine(line string) string {
	if !statWord.MatchString(line) {
		return lostLine(line)
	}
	return line
}

// lostLine stands for a line that is not understood; an empty one stays empty.
func lostLine(line string) string {
	if strings.TrimSpace(line) == "" {
		return ""
	}
	return lost
}

// Settings whose value is a number or numbers stay, and those that choose among what a kernel has.
// Two hold secrets (tcp_fastopen_key, stable_secret), and others may hold names.
var (
	settingValue  = regexp.MustCompile(`^[0-9 \t,-]*$`)
	settingWords  = regexp.MustCompile(`^net\.(core\.default_qdisc|ipv4\.tcp_(available_|allowed_)?congestion_control|ipv4\.tcp_available_ulp)$`)
	settingWord   = regexp.MustCompile(`^[a-z0-9_ \t-]*$`)
	settingSecret = regexp.MustCompile(`(_key|_secret)$`)
	// ofDevice are the settings of one device.
	ofDevice = regexp.MustCompile(`^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.)(.*)(\.[a-z0-9_-]+)$`)
	setting  = regexp.MustCompile(`^net\.[a-z0-9_.-]+$`)
)

// sysctlLine redacts the device in the name of a setting. What is no setting of the network, or
// has a value that may tell something, becomes an empty line.
func (r *redactor) sysctlLine(line string) string {
	name, value, ok := strings.Cut(line, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || !strings.HasPrefix(name, "net.") || settingSecret.MatchString(name) {
		return ""
	}
	if !settingValue.MatchString(value) && !(settingWords.MatchString(name) && settingWord.MatchString(value)) {
		return ""
	}
	if m := ofDevice.FindStringSubmatch(name); m != nil {
		dev := strings.ReplaceAll(m[2], "/", ".") // sysctl prints "/" for a "."
		name = m[1] + strings.ReplaceAll(r.iface(dev), ".", "/") + m[3]
	} else if !setting.MatchString(name) {
		return ""
	}
	return name + " = " + value
}

// socketLine redacts a line of ss: its columns, the processes and "v6only"; the rest, such as
// the cgroup, which tells the Pod, is left out.
func (r *redactor) socketLine(line string) string {
	f := strings.Fields(line)
	switch {
	case len(f) == 0 || f[0] == "Netid":
		return ""
	case len(f) < 5:
		return lost
	}
	for i, w := range f[:4] {
		if i < 2 && !socketWords[w] || i > 1 && !isNumber(w) {
			f[i] = lost
		}
	}
	out := append(f[:4:4], r.socketAddr(f[4]))
	if len(f) > 5 {
		out = append(out, r.socketAddr(f[5]))
	}
	if users := processes(line); len(users) > 0 {
		for i, u := range users {
			users[i] = `("` + r.name(u) + `")`
		}
		out = append(out, "users:("+strings.Join(users, ",")+")")
	}
	for _, w := range f[5:] {
		if w == "v6only:0" || w == "v6only:1" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// socketWords are what ss prints in its first two columns.
var socketWords = set(`tcp udp sctp dccp raw mptcp icmp6 u_str u_dgr u_seq p_raw p_dgr nl v_str v_dgr ??? UNCONN LISTEN ESTAB SYN-SENT SYN-RECV FIN-WAIT-1
	FIN-WAIT-2 TIME-WAIT CLOSE-WAIT LAST-ACK CLOSED CLOSING`)

// processes returns the names in users:(("nginx",pid=1,fd=3),("nginx",pid=2,fd=3)), each once.
func processes(line string) []string {
	_, rest, ok := strings.Cut(line, "users:(")
	var out []string
	for ok {
		var name string
		if _, rest, ok = strings.Cut(rest, `("`); !ok {
			break
		}
		if name, rest, ok = strings.Cut(rest, `"`); ok && (len(out) == 0 || out[len(out)-1] != name) {
			out = append(out, name)
		}
	}
	return out
}

// socketAddr redacts "10.0.0.1:80", "*:81", "[fe80::1]%eth0:546" or "0.0.0.0%eth0:53".
func (r *redactor) socketAddr(text string) string {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || !isPort(text[i+1:]) {
		return lost
	}
	host, port := text[:i], text[i:]
	host, dev, zoned := strings.Cut(host, "%")
	end := ""
	if inner, ok := strings.CutSuffix(dev, "]"); ok {
		dev, end = inner, "]"
	}
	if zoned {
		dev = "%" + r.iface(dev)
	}
	if host == "*" {
		return host + dev + end + port
	}
	inner, bracket := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	if err != nil {
		return lost
	}
	host = r.addr(a).String()
	if bracket {
		host = "[" + host
	}
	if closed {
		host += "]"
	}
	return host + dev + end + port
}

// ipvsLine redacts a line of /proc/net/ip_vs, whose addresses are in hexadecimal, or of "ipvsadm-save -n".
func (r *redactor) ipvsLine(line string) string {
	f := strings.Fields(line)
	for i, w := range f {
		f[i] = r.ipvsWord(w)
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	return indent + strings.Join(f, " ")
}

// ipvsWords are the words of those formats, beside numbers and options.
var ipvsWords = set(`TCP UDP SCTP FWM Prot LocalAddress:Port Scheduler Flags -> RemoteAddress:Port Forward Weight ActiveConn InActConn IP Virtual Server version
	Masq Local Tunnel Route rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos persistent ops 00000000 FFFFFFFF`)

func (r *redactor) ipvsWord(w string) string {
	if host, port, ok := strings.Cut(w, ":"); ok && len(port) == 4 {
		if to, ok := r.hexAddr(host); ok && only(port, "0123456789ABCDEF") {
			return to + ":" + port
		}
	}
	bracketed := strings.HasPrefix(w, "[") && strings.Contains(w, "]:")
	switch {
	case ipvsWords[w], plain(w), len(w) == 2 && w[0] == '-':
		return w
	case bracketed || strings.Contains(w, ":"):
		if inner, port, _ := strings.Cut(w, "]:"); bracketed && r.isAddr(inner[1:]) && len(port) <= 5 && only(port, "0123456789ABCDEF") {
			to, _ := r.one(inner[1:])
			return "[" + to + "]:" + port
		}
		return r.address(w)
	case strings.HasPrefix(w, "("):
		return "()"
	}
	return r.value(w)
}

// isPort reports whether a text is a port's number, or "*".
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil || text == "*"
}
