package netfilter

// A module is a match or target that is known: its options, and what makes it out of them.
type module struct {
	opts   map[string]int8 // the number of arguments
	match  func(p *ruleParser, r *rule, o []opt) match
	target func(p *ruleParser, r *rule, o []opt) target
}

// optional is the arity of an option that may have an argument.
const optional = -1

func (m *module) arity(name string) (int8, bool) {
	if m == nil {
		return 0, false
	}
	n, ok := m.opts[name]
	return n, ok
}

// matchModules are the matches that are known, by the name that -m gives.
var matchModules = map[string]*module{
	"tcp": {match: newTCP, opts: map[string]int8{"--sport": 1, "--source-port": 1, "--dport": 1, "--destination-port": 1,
		"--tcp-flags": 2, "--syn": 0, "--tcp-option": 1}},
	"udp":     portsModule,
	"udplite": portsModule,
	"sctp": {match: newSCTP, opts: map[string]int8{"--sport": 1, "--source-port": 1, "--dport": 1, "--destination-port": 1,
		"--chunk-types": 2}},
	"dccp": {match: newDCCP, opts: map[string]int8{"--sport": 1, "--source-port": 1, "--dport": 1, "--destination-port": 1,
		"--dccp-types": 1, "--dccp-option": 1}},
	"multiport": {match: newMultiport, opts: map[string]int8{"--sports": 1, "--source-ports": 1, "--dports": 1,
		"--destination-ports": 1, "--ports": 1, "--port": 1}},
	"icmp":      {match: newICMP, opts: map[string]int8{"--icmp-type": 1}},
	"icmp6":     icmp6Module,
	"icmpv6":    icmp6Module,
	"ipv6-icmp": icmp6Module,

	"conntrack": {match: newConntrack, opts: map[string]int8{"--ctstate": 1, "--ctproto": 1, "--ctorigsrc": 1, "--ctorigdst": 1,
		"--ctreplsrc": 1, "--ctrepldst": 1, "--ctorigsrcport": 1, "--ctorigdstport": 1, "--ctreplsrcport": 1,
		"--ctrepldstport": 1, "--ctstatus": 1, "--ctexpire": 1, "--ctdir": 1}},
	"state":    {match: newConntrack, opts: map[string]int8{"--state": 1}},
	"mark":     {match: newMark, opts: map[string]int8{"--mark": 1}},
	"connmark": {match: newConnmark, opts: map[string]int8{"--mark": 1}},
	"helper":   {match: newHelper, opts: map[string]int8{"--helper": 1}},

	"comment":   {opts: map[string]int8{"--comment": 1}},
	"nfacct":    {opts: map[string]int8{"--nfacct-name": 1}}, // counts, and always matches
	"statistic": {match: newStatistic, opts: map[string]int8{"--mode": 1, "--probability": 1, "--every": 1, "--packet": 1}},
	"set": {match: newSetMatch, opts: map[string]int8{"--match-set": 2, "--return-nomatch": 0, "--update-counters": 0,
		"--update-subcounters": 0, "--packets-eq": 1, "--packets-lt": 1, "--packets-gt": 1, "--bytes-eq": 1,
		"--bytes-lt": 1, "--bytes-gt": 1}},

	"addrtype": {match: newAddrType, opts: map[string]int8{"--src-type": 1, "--dst-type": 1, "--limit-iface-in": 0, "--limit-iface-out": 0}},
	"iprange":  {match: newIPRange, opts: map[string]int8{"--src-range": 1, "--dst-range": 1}},
	"mac":      {match: newMAC, opts: map[string]int8{"--mac-source": 1}},
	"physdev": {match: newPhysdev, opts: map[string]int8{"--physdev-in": 1, "--physdev-out": 1, "--physdev-is-in": 0,
		"--physdev-is-out": 0, "--physdev-is-bridged": 0}},
	"rpfilter": {match: newRPFilter, opts: map[string]int8{"--loose": 0, "--validmark": 0, "--accept-local": 0, "--invert": 0}},
	"socket":   {match: newSocket, opts: map[string]int8{"--transparent": 0, "--nowildcard": 0, "--restore-skmark": 0}},
	"owner":    {match: newOwner, opts: map[string]int8{"--uid-owner": 1, "--gid-owner": 1, "--socket-exists": 0, "--suppl-groups": 0}},
	"pkttype":  {match: newPktType, opts: map[string]int8{"--pkt-type": 1}},
	"policy": {match: newPolicy, opts: map[string]int8{"--dir": 1, "--pol": 1, "--strict": 0, "--reqid": 1, "--spi": 1,
		"--proto": 1, "--mode": 1, "--tunnel-src": 1, "--tunnel-dst": 1, "--next": 0}},

	"length": {match: newLength, opts: map[string]int8{"--length": 1}},
	"ttl":    {match: newTTL, opts: map[string]int8{"--ttl-eq": 1, "--ttl": 1, "--ttl-lt": 1, "--ttl-gt": 1}},
	"hl":     {match: newTTL, opts: map[string]int8{"--hl-eq": 1, "--hl": 1, "--hl-lt": 1, "--hl-gt": 1}},
	"tos":    {match: newTOS, opts: map[string]int8{"--tos": 1}},
	"dscp":   {match: newDSCP, opts: map[string]int8{"--dscp": 1, "--dscp-class": 1}},
	"tcpmss": {match: newTCPMSS, opts: map[string]int8{"--mss": 1}},
	"frag": {match: newNever, opts: map[string]int8{"--fragid": 1, "--fraglen": 1, "--fragres": 0, "--fragfirst": 0,
		"--fragmore": 0, "--fraglast": 0}},
	"hbh": {match: newNever, opts: map[string]int8{"--hbh-len": 1, "--hbh-opts": 1}},
	"dst": {match: newNever, opts: map[string]int8{"--dst-len": 1, "--dst-opts": 1}},
	"rt": {match: newNever, opts: map[string]int8{"--rt-type": 1, "--rt-segsleft": 1, "--rt-len": 1, "--rt-0-res": 0,
		"--rt-0-addrs": 1, "--rt-0-not-strict": 0}},
	"srh": {match: newNever, opts: map[string]int8{"--srh-next-hdr": 1, "--srh-hdr-len-eq": 1, "--srh-segs-left-eq": 1}},

	"recent": {match: newRecent, opts: map[string]int8{"--set": 0, "--rcheck": 0, "--update": 0, "--remove": 0, "--seconds": 1,
		"--reap": 0, "--hitcount": 1, "--rttl": 0, "--name": 1, "--mask": 1, "--rsource": 0, "--rdest": 0}},
	"limit": {match: newLimit, opts: map[string]int8{"--limit": 1, "--limit-burst": 1}},
	"hashlimit": {match: newHashlimit, opts: map[string]int8{"--hashlimit-upto": 1, "--hashlimit": 1, "--hashlimit-above": 1,
		"--hashlimit-burst": 1, "--hashlimit-mode": 1, "--hashlimit-srcmask": 1, "--hashlimit-dstmask": 1,
		"--hashlimit-name": 1, "--hashlimit-htable-size": 1, "--hashlimit-htable-max": 1, "--hashlimit-htable-expire": 1,
		"--hashlimit-htable-gcinterval": 1, "--hashlimit-rate-match": 0, "--hashlimit-rate-interval": 1}},
	"quota":     {match: unknowable("what is left of -m quota was not collected", likely), opts: map[string]int8{"--quota": 1}},
	"connlimit": {match: newConnlimit, opts: map[string]int8{"--connlimit-upto": 1, "--connlimit-above": 1, "--connlimit-mask": 1, "--connlimit-saddr": 0, "--connlimit-daddr": 0}},
	"connbytes": {match: unknowable("how much a connection has sent is not known", even), opts: map[string]int8{"--connbytes": 1, "--connbytes-dir": 1, "--connbytes-mode": 1}},
	"connlabel": {match: unknowable("the labels of connections were not collected", even), opts: map[string]int8{"--label": 1, "--set": 0}},
	"string":    {match: unknowable("what a packet carries is not known (-m string)", unlikely), opts: map[string]int8{"--algo": 1, "--from": 1, "--to": 1, "--string": 1, "--hex-string": 1, "--icase": 0}},
	"time": {match: unknowable("the time at which a packet meets -m time is not known", even), opts: map[string]int8{"--datestart": 1, "--datestop": 1,
		"--timestart": 1, "--timestop": 1, "--monthdays": 1, "--weekdays": 1, "--kerneltz": 0, "--contiguous": 0, "--utc": 0, "--localtz": 0}},
	"u32":      {match: unknowable("what a packet carries is not known (-m u32)", even), opts: map[string]int8{"--u32": 1}},
	"bpf":      {match: unknowable("a BPF program is not understood (-m bpf)", even), opts: map[string]int8{"--object-pinned": 1, "--bytecode": 1}},
	"cgroup":   {match: unknowable("the cgroup of a process is not known", even), opts: map[string]int8{"--cgroup": 1, "--path": 1}},
	"cpu":      {match: unknowable("the CPU that handles a packet is not known", even), opts: map[string]int8{"--cpu": 1}},
	"realm":    {match: unknowable("the realm of a route is not known", even), opts: map[string]int8{"--realm": 1}},
	"devgroup": {match: unknowable("the group of a device is not known", even), opts: map[string]int8{"--src-group": 1, "--dst-group": 1}},
	"ipv6header": {match: unknowable("the extension headers of a packet are not known", even), opts: map[string]int8{"--header": 1,
		"--soft": 0}},
	"ecn": {match: unknowable("whether a connection uses ECN is not known", even), opts: map[string]int8{"--ecn-tcp-cwr": 0, "--ecn-tcp-ece": 0,
		"--ecn-ip-ect": 1}},
	"esp": {match: unknowable("the SPI of a packet is not known", even), opts: map[string]int8{"--espspi": 1}},
	"ah":  {match: unknowable("the SPI of a packet is not known", even), opts: map[string]int8{"--ahspi": 1, "--ahlen": 1, "--ahres": 0}},
}

var portsModule = &module{match: newPorts, opts: map[string]int8{"--sport": 1, "--source-port": 1, "--dport": 1, "--destination-port": 1}}

var icmp6Module = &module{match: newICMP, opts: map[string]int8{"--icmpv6-type": 1}}

// longestTarget is the length of "TCPOPTSTRIP", and "CONNSECMARK".
const longestTarget = 11

// targetModules are the targets that are known, by the name that -j gives.
var targetModules = map[string]*module{
	"ACCEPT": {target: verdict(Accept)},
	"DROP":   {target: verdict(Drop)},
	"RETURN": {target: newReturn},
	"REJECT": {target: newReject, opts: map[string]int8{"--reject-with": 1}},

	"DNAT":       {target: newDNAT, opts: map[string]int8{"--to-destination": 1, "--random": 0, "--persistent": 0}},
	"SNAT":       {target: newSNAT, opts: map[string]int8{"--to-source": 1, "--random": 0, "--random-fully": 0, "--persistent": 0}},
	"MASQUERADE": {target: newMasquerade, opts: map[string]int8{"--to-ports": 1, "--random": 0, "--random-fully": 0}},
	"REDIRECT":   {target: newRedirect, opts: map[string]int8{"--to-ports": 1, "--random": 0}},
	"NETMAP":     {target: newNetmap, opts: map[string]int8{"--to": 1}},

	"MARK": {target: newMarkTarget, opts: map[string]int8{"--set-mark": 1, "--set-xmark": 1, "--and-mark": 1, "--or-mark": 1, "--xor-mark": 1}},
	"CONNMARK": {target: newConnmarkTarget, opts: map[string]int8{"--set-mark": 1, "--set-xmark": 1, "--and-mark": 1, "--or-mark": 1,
		"--xor-mark": 1, "--save-mark": 0, "--restore-mark": 0, "--mask": 1, "--nfmask": 1, "--ctmask": 1,
		"--left-shift-mark": 1, "--right-shift-mark": 1}},
	"CT": {target: newCT, opts: map[string]int8{"--notrack": 0, "--helper": 1, "--ctevents": 1, "--expevents": 1,
		"--timeout": 1, "--zone": 1, "--zone-orig": 1, "--zone-reply": 1}},
	"NOTRACK": {target: newCT},
	"TPROXY":  {target: newTProxy, opts: map[string]int8{"--on-port": 1, "--on-ip": 1, "--tproxy-mark": 1}},
	"TCPMSS":  {target: newTCPMSSTarget, opts: map[string]int8{"--set-mss": 1, "--clamp-mss-to-pmtu": 0}},
	"TOS":     {target: newTOSTarget, opts: map[string]int8{"--set-tos": 1, "--and-tos": 1, "--or-tos": 1, "--xor-tos": 1}},
	"DSCP":    {target: newDSCPTarget, opts: map[string]int8{"--set-dscp": 1, "--set-dscp-class": 1}},
	"TTL":     {target: newTTLTarget, opts: map[string]int8{"--ttl-set": 1, "--ttl-dec": 1, "--ttl-inc": 1}},
	"HL":      {target: newTTLTarget, opts: map[string]int8{"--hl-set": 1, "--hl-dec": 1, "--hl-inc": 1}},

	"LOG": {target: harmless, opts: map[string]int8{"--log-level": 1, "--log-prefix": 1, "--log-tcp-sequence": 0,
		"--log-tcp-options": 0, "--log-ip-options": 0, "--log-uid": 0, "--log-macdecode": 0}},
	"NFLOG": {target: harmless, opts: map[string]int8{"--nflog-group": 1, "--nflog-prefix": 1, "--nflog-range": 1,
		"--nflog-size": 1, "--nflog-threshold": 1}},
	"ULOG": {target: harmless, opts: map[string]int8{"--ulog-nlgroup": 1, "--ulog-prefix": 1, "--ulog-cprange": 1,
		"--ulog-qthreshold": 1}},
	"SET": {target: harmless, opts: map[string]int8{"--add-set": 2, "--del-set": 2, "--map-set": 2, "--exist": 0, "--timeout": 1,
		"--map-mark": 0, "--map-prio": 0, "--map-queue": 0}},
	"CLASSIFY":    {target: harmless, opts: map[string]int8{"--set-class": 1}},
	"TRACE":       {target: harmless},
	"AUDIT":       {target: harmless, opts: map[string]int8{"--type": 1}},
	"SECMARK":     {target: harmless, opts: map[string]int8{"--selctx": 1}},
	"CONNSECMARK": {target: harmless, opts: map[string]int8{"--save": 0, "--restore": 0}},
	"CHECKSUM":    {target: harmless, opts: map[string]int8{"--checksum-fill": 0}},
	"IDLETIMER":   {target: harmless, opts: map[string]int8{"--timeout": 1, "--label": 1, "--alarm": 0, "--send_nl_msg": optional}},
	"LED":         {target: harmless, opts: map[string]int8{"--led-trigger-id": 1, "--led-delay": 1, "--led-always-blink": 0}},
	"RATEEST":     {target: harmless, opts: map[string]int8{"--rateest-name": 1, "--rateest-interval": 1, "--rateest-ewmalog": 1}},
	"TEE":         {target: harmless, opts: map[string]int8{"--gateway": 1, "--oif": 1}},
	"HMARK":       {target: unreadable("a hash decides the mark (HMARK)")},
	"TCPOPTSTRIP": {target: harmless, opts: map[string]int8{"--strip-options": 1}},
	"ECN":         {target: harmless, opts: map[string]int8{"--ecn-tcp-remove": 0, "--ecn-tcp-cwr": 1, "--ecn-tcp-ece": 1, "--ecn-ip-ect": 1}},

	"SYNPROXY":  {target: unreadable("the kernel answers in place of the server (SYNPROXY)")},
	"NFQUEUE":   {target: unreadable("a process decides (NFQUEUE)")},
	"QUEUE":     {target: unreadable("a process decides (QUEUE)")},
	"CLUSTERIP": {target: unreadable("a hash decides whether this node takes it (CLUSTERIP)")},
}
