package redact

import "testing"

// TestWordsStay has the arguments of iptables that are words and numbers of its own, as iptables-save prints them.
func TestWordsStay(t *testing.T) {
	r := fresh()
	for _, rule := range []string{
		"-p tcp -m tcp --sport 1024:65535 --dport 80", "-p tcp -m tcp ! --dport 80:90 --tcp-flags FIN,SYN,RST,ACK SYN --tcp-option 2",
		"-p udp -m multiport --dports 53,80:90,443 -m multiport ! --sports 1:1023", "-p ipv6-icmp -m icmp6 --icmpv6-type router-solicitation", "-p icmp -m icmp --icmp-type 3/4",
		"-p sctp -m sctp --chunk-types any DATA:Be,INIT", "-p dccp -m dccp --dccp-types REQUEST,RESPONSE", "-p 47", "! -p 132", "-p esp -m esp --espspi 1:5", "-p ah -m ah --ahspi 500",
		"-m conntrack --ctstate RELATED,ESTABLISHED --ctstatus SEEN_REPLY --ctdir ORIGINAL --ctproto 6", "-m conntrack --ctorigdstport 80:443 --ctexpire 10:20", "-m state --state INVALID",
		"-m mark --mark 0x4000/0x4000", "-m mark ! --mark 0x1", "-m connmark --mark 16384/16384", "-m realm --realm 0x1/0xff", "-m helper --helper ftp-2121",
		"-m statistic --mode random --probability 0.33333333349", "-m statistic --mode nth --every 3 --packet 2", "-m limit --limit 5/min --limit-burst 7", "-m limit --limit 10000/hour",
		"-m hashlimit --hashlimit-above 512kb/s --hashlimit-burst 1mb --hashlimit-mode srcip,dstport --hashlimit-srcmask 24 --hashlimit-htable-expire 10000",
		"-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr", "-m connbytes --connbytes 1000:2000 --connbytes-mode bytes --connbytes-dir both", "-m quota --quota 1000000",
		"-m length --length 0:1500", "-m ttl --ttl-lt 64", "-m hl --hl-eq 255", "-m tos --tos 0x10/0x3f", "-m dscp --dscp 0x2e", "-m dscp --dscp-class AF21", "-m tcpmss --mss 1400:1500",
		"-m pkttype --pkt-type multicast", "-m policy --dir in --pol none", "-m addrtype --dst-type LOCAL,BROADCAST --limit-iface-in", "-m cpu --cpu 1", "-m ecn --ecn-ip-ect 1",
		"-m time --timestart 10:00:00 --timestop 23:59:59 --weekdays Mon,Tue --monthdays 1,15", "-m recent --rcheck --seconds 10800 --hitcount 4 --reap --mask 255.255.255.255 --rsource",
		"-m owner --uid-owner 1000-2000 --gid-owner 0", "-m rpfilter --loose --validmark --invert", "-m socket --transparent --nowildcard", "-m physdev --physdev-is-bridged",
		"-j REJECT --reject-with icmp-port-unreachable", "-j REJECT --reject-with tcp-reset", "-j MARK --set-xmark 0x4000/0x4000", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xf",
		"-j CT --zone 7 --ctevents new,destroy", "-j CT --notrack", "-j TPROXY --on-port 8080 --tproxy-mark 0x1/0x1", "-j TCPMSS --set-mss 1400", "-j TCPMSS --clamp-mss-to-pmtu",
		"-j TOS --set-tos 0x10/0x3f", "-j DSCP --set-dscp-class CS1", "-j TTL --ttl-dec 1", "-j NFQUEUE --queue-balance 0:3 --queue-bypass", "-j LOG --log-level 4", "-j NFLOG --nflog-group 2",
		"-j MASQUERADE --to-ports 1024-65535 --random-fully", "-j REDIRECT --to-ports 8080", "-j TCPOPTSTRIP --strip-options wscale,mss", "-j ACCEPT", "-j RETURN",
	} {
		if got := r.rule(rule); got != rule {
			t.Errorf("%s\nbecame %s", rule, got)
		}
	}
}

// TestNotWords has arguments that such options do not have, which are taken for names and addresses.
func TestNotWords(t *testing.T) {
	r := fresh()
	for _, arg := range []string{
		"corp.example", "shop/web-0", "db1.corp", "10.1.2.3", "10.1.2.3/24", "10.1.2.3:80", "fd00::1", "fd00::1/64", "fd00::1-fd00::9", "2001:db8::1-2001:db8::9", "0a:58:0a:f4:00:02",
		"user@corp", "C:corp/x", "10.1.2.3-10.1.2.9", "a/b", "1.2.3", "5/corporation",
	} {
		for _, option := range []string{"-p", "-m", "--dport", "--ctstate", "--mark", "--limit", "--icmp-type", "--reject-with", "--tcp-flags", "--probability", "--algo"} {
			if got := r.rule(option + " " + arg); got == option+" "+arg {
				t.Errorf("%s comes through", got)
			}
		}
	}
}

// TestWordsOfPrograms is the same of what ip, bridge and nft print under keys that have words of theirs.
func TestWordsOfPrograms(t *testing.T) {
	for _, w := range []string{"802.3ad", "802.1Q", "balance-rr", "active-backup", "UP", "LOWER_UP", "Egress Untagged", "kernel_lo", "host-link", "fq_codel", "6to4", "vlan.1"} {
		if !word.MatchString(w) {
			t.Errorf("%s is no word", w)
		}
	}
	for _, w := range []string{"corp.example", "10.1.2.3", "a.b.c", "shop/web", "fd00::1", "x@y", "10.1.2.3-10.1.2.9", "a word that is much too long to be one", ""} {
		if word.MatchString(w) {
			t.Errorf("%s is a word", w)
		}
	}
}
