package redact

// The options of iptables and its extensions, by what their arguments are. Those that are
// in none of these have numbers, words of theirs, or what is taken for a name.
var (
	addrOptions = set(`-s -d --source --destination --src --dst --to-source --to-destination --to --src-range --dst-range --ctorigsrc --ctorigdst --ctreplsrc
		--ctrepldst --tunnel-src --tunnel-dst --on-ip --gateway --rt-0-addrs`)
	devOptions   = set(`-i -o --in-interface --out-interface --physdev-in --physdev-out --oif`)
	nameOptions  = set(`-A -j -g --jump --goto --name --hashlimit-name --nfacct-name --rateest-name --label --led-trigger-id --path --selctx`)
	proseOptions = set(`--comment --log-prefix --nflog-prefix --ulog-prefix`)
	setOptions   = set(`--match-set --add-set --del-set --map-set`)
	// secret are the options whose arguments are dropped; what they match is not known to a diagnosis anyway.
	secret = set(`--string --hex-string --u32 --bytecode --object-pinned`)
	// ownWords are the options whose arguments are words or numbers of iptables.
	ownWords = set(`-p -m --protocol --match -c --set-counters --sport --dport --source-port --destination-port --sports --dports --source-ports --destination-ports --ports --port
		--tcp-flags --tcp-option --chunk-types --dccp-types --dccp-option --icmp-type --icmpv6-type --ctstate --state --ctproto --ctorigsrcport --ctorigdstport
		--ctreplsrcport --ctrepldstport --ctstatus --ctexpire --ctdir --mark --helper --mode --probability --every --packet --packets-eq --packets-lt --packets-gt
		--bytes-eq --bytes-lt --bytes-gt --src-type --dst-type --pkt-type --dir --pol --reqid --spi --proto --length --ttl-eq --ttl --ttl-lt
		--ttl-gt --hl-eq --hl --hl-lt --hl-gt --tos --dscp --dscp-class --mss --fragid --fraglen --seconds --hitcount --mask --limit --limit-burst --hashlimit-upto
		--hashlimit --hashlimit-above --hashlimit-burst --hashlimit-mode --hashlimit-srcmask --hashlimit-dstmask --hashlimit-htable-size --hashlimit-htable-max
		--hashlimit-htable-expire --hashlimit-htable-gcinterval --hashlimit-rate-interval --quota --connlimit-upto --connlimit-above --connlimit-mask --connbytes
		--connbytes-dir --connbytes-mode --algo --from --datestart --datestop --timestart --timestop --monthdays --weekdays --cpu --realm --src-group --dst-group
		--header --ecn-ip-ect --espspi --ahspi --ahlen --reject-with --to-ports --set-mark --set-xmark --and-mark --or-mark --xor-mark --nfmask --ctmask
		--left-shift-mark --right-shift-mark --ctevents --expevents --zone --zone-orig --zone-reply --on-port --tproxy-mark --set-mss --set-tos --and-tos --or-tos
		--xor-tos --set-dscp --set-dscp-class --ttl-set --ttl-dec --ttl-inc --hl-set --hl-dec --hl-inc --log-level --nflog-group --nflog-range --nflog-size
		--nflog-threshold --queue-num --queue-balance --set-class --type --strip-options --ecn-tcp-cwr --ecn-tcp-ece --led-delay --rateest-interval`)
	// targets are the names of targets, which no chain has.
	targets = set(`ACCEPT DROP RETURN REJECT DNAT SNAT MASQUERADE REDIRECT NETMAP MARK CONNMARK CT NOTRACK TPROXY TCPMSS TOS DSCP TTL HL LOG NFLOG ULOG SET CLASSIFY
		TRACE AUDIT SECMARK CONNSECMARK CHECKSUM IDLETIMER LED RATEEST TEE HMARK TCPOPTSTRIP ECN SYNPROXY NFQUEUE QUEUE CLUSTERIP`)
)
