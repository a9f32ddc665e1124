#!/bin/sh
# Collects the network state of this node, or of given network namespaces, into a
# bundle that plumb reads: for places where nothing may be installed. Run it as root:
#
#	sh collect.sh OUT.tar.gz
#	sh collect.sh --objects OUT.tar.gz                  # the Kubernetes objects too, by kubectl
#	sh collect.sh --only-objects OUT.tar.gz             # nothing else: wherever kubectl works
#	sh collect.sh --node NAME --host PATH --netns NAME=PATH ... OUT.tar.gz
#
# It only reads. It uses ip, bridge, ss, nsenter, iptables-save and its kin, nft, ipset, and
# kubectl, each if it is there. What it cannot collect it says in a file NAME.error.
# The Kubernetes objects leave out Secrets, and ConfigMaps but those of the network's own namespaces.
#
# POSIX sh (dash, busybox). Each namespace is collected by a second run of this
# script, inside of it. It writes below a fresh folder of mktemp, and OUT.tar.gz.
set -u # and not -e: a source that fails must not keep the others from being collected
unset IFS TAR_OPTIONS GZIP
LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin
export LC_ALL PATH
umask 077

# path_of NAME: where the program is. Not by command -v: some shells have an ip of their own, which knows no JSON.
path_of() (
	for d in $(echo "$PATH" | tr : ' '); do
		case $d in /*) ;; *) continue ;; esac
		if [ -f "$d/$1" ] && [ -x "$d/$1" ]; then
			echo "$d/$1"
			exit 0
		fi
	done
	exit 1
)

have() { path_of "$1" >/dev/null; }

die() {
	echo "collect.sh: $*" >&2
	exit 2
}

# A program that hangs must not keep the others from being collected.
bounded=
if have timeout && timeout 60 true 2>/dev/null; then bounded='timeout 60 '; fi

# take FILE COMMAND...: what the command prints becomes the file, and what it complains of FILE.error.
take() {
	file=$1
	tool=$2
	shift 2
	if ! program=$(path_of "$tool"); then
		echo "$tool: not found" >"$dir/$file.error"
		return 1
	fi
	$bounded "$program" "$@" >"$dir/$file" 2>"$dir/$file.error"
	status=$?
	if [ $status -eq 0 ]; then
		rm -f "$dir/$file.error"
		return 0
	fi
	case $bounded$status in
	timeout*124 | timeout*143) echo "$tool: did not end within 60 s" >>"$dir/$file.error" ;;
	*) echo "$tool: exit status $status" >>"$dir/$file.error" ;;
	esac
	[ -s "$dir/$file" ] || rm -f "$dir/$file"
	return 1
}

# nothing FILE: an empty file says that there is nothing.
nothing() { : >"$dir/$1"; }

# The settings that decide where packets go; sysctl.go has the same lists.
sysctls="core/somaxconn core/netdev_max_backlog
ipv4/ip_forward ipv4/ip_default_ttl ipv4/ip_no_pmtu_disc ipv4/ip_forward_use_pmtu ipv4/ip_nonlocal_bind
ipv4/ip_local_port_range ipv4/ip_local_reserved_ports ipv4/ip_unprivileged_port_start
ipv4/fib_multipath_hash_policy ipv4/fib_multipath_use_neigh ipv4/fwmark_reflect ipv4/icmp_echo_ignore_all
ipv4/tcp_fwmark_accept ipv4/tcp_l3mdev_accept ipv4/udp_l3mdev_accept ipv4/tcp_mtu_probing ipv4/tcp_max_syn_backlog
ipv4/neigh/default/gc_thresh1 ipv4/neigh/default/gc_thresh2 ipv4/neigh/default/gc_thresh3
ipv4/vs/conntrack ipv4/vs/conn_reuse_mode ipv4/vs/expire_nodest_conn
ipv6/bindv6only ipv6/ip_nonlocal_bind ipv6/fib_multipath_hash_policy ipv6/fwmark_reflect
ipv6/neigh/default/gc_thresh1 ipv6/neigh/default/gc_thresh2 ipv6/neigh/default/gc_thresh3
bridge/bridge-nf-call-iptables bridge/bridge-nf-call-ip6tables bridge/bridge-nf-call-arptables bridge/bridge-nf-filter-vlan-tagged
netfilter/nf_conntrack_max netfilter/nf_conntrack_buckets netfilter/nf_conntrack_tcp_be_liberal netfilter/nf_conntrack_tcp_loose"
dev_sysctls4="forwarding rp_filter accept_local route_localnet src_valid_mark arp_ignore arp_announce arp_filter
proxy_arp proxy_arp_pvlan accept_redirects send_redirects ignore_routes_with_linkdown disable_policy"
dev_sysctls6="forwarding disable_ipv6 accept_ra proxy_ndp ignore_routes_with_linkdown keep_addr_on_down use_tempaddr mtu"

# settings FILE...: the settings as "sysctl -a" prints them, with "/" for "." in the name of a device.
# Not with read: dash reads a byte at a time, and the kernel tells but the first.
settings() {
	grep -s "" /dev/null "$@" | sed 's,^/proc/sys/,,;h;s/:.*//;y,./,/.,;G;s/\n[^:]*:/ = /'
}

all_settings() {
	set --
	for s in $sysctls; do
		set -- "$@" "/proc/sys/net/$s"
	done
	settings "$@"
	for family in ipv4 ipv6; do
		list=$dev_sysctls4
		[ $family = ipv6 ] && list=$dev_sysctls6
		set --
		for conf in /proc/sys/net/"$family"/conf/*; do
			for s in $list; do
				set -- "$@" "$conf/$s"
			done
		done
		settings "$@"
	done
}

# sum PREFIX ONLY <FILE: adds up the lines, one a CPU, of a file of /proc/net/stat.
sum() {
	read -r names || return 0
	set -- "$1" "$2" "$names"
	rows=
	while read -r row; do
		i=0
		new=
		for hex in $row; do
			i=$((i + 1))
			old=0
			j=0
			for v in $rows; do
				j=$((j + 1))
				[ $j -eq $i ] && old=$v
			done
			new="$new $((old + 0x$hex))"
		done
		rows=$new
	done
	# shellcheck disable=SC2086 # the sums, one word each
	set -- "$1" "$2" "$3" $rows
	prefix=$1
	only=$2
	names=$3
	shift 3
	for n in $names; do
		[ $# -eq 0 ] && break
		case $n in
		entries) ;;
		*) if [ -z "$only" ] || [ "$only" = "$n" ]; then echo "$prefix$n $1"; fi ;;
		esac
		shift
	done
}

counters() {
	for n in count max; do
		f=/proc/sys/net/netfilter/nf_conntrack_$n
		[ -r $f ] && echo "conntrack_$n $(cat $f)"
	done
	[ -r /proc/net/stat/nf_conntrack ] && sum conntrack_ "" </proc/net/stat/nf_conntrack
	[ -r /proc/net/stat/arp_cache ] && sum arp_ table_fulls </proc/net/stat/arp_cache
	[ -r /proc/net/stat/ndisc_cache ] && sum ndisc_ table_fulls </proc/net/stat/ndisc_cache
	return 0
}

# save_program IPTABLES BACKEND: the program that saves the rules of a back end, nft or legacy.
save_program() {
	if have "$1-$2-save"; then
		echo "$1-$2-save"
		return
	fi
	if have "$1-save"; then
		case $("$(path_of "$1-save")" --version 2>/dev/null) in
		*nf_tables*) [ "$2" = nft ] && echo "$1-save" && return ;;
		*) [ "$2" = legacy ] && echo "$1-save" && return ;;
		esac
	fi
	echo "$1-$2-save"
}

firewall() {
	for t in iptables ip6tables; do
		take $t "$(save_program $t nft)"
		names=/proc/net/ip_tables_names
		[ $t = ip6tables ] && names=/proc/net/ip6_tables_names
		if [ ! -e $names ]; then
			nothing $t-legacy
		elif ! held=$(cat $names 2>&1); then
			echo "$held" >"$dir/$t-legacy.error"
		elif [ -z "$held" ]; then
			nothing $t-legacy
		else
			take $t-legacy "$(save_program $t legacy)"
		fi
	done
	# The tables of iptables are in the files above; nft is asked for others.
	if take nft.json nft list tables; then
		if grep -vqE '^table ip6? (filter|nat|mangle|raw|security)$' "$dir/nft.json" ||
			grep -q "is incompatible, use 'nft' tool" "$dir/iptables" "$dir/ip6tables" 2>/dev/null; then
			take nft.json nft -j list ruleset
		else
			nothing nft.json
		fi
	fi
	if have ipset || [ -e /sys/module/ip_set ]; then
		take ipset ipset save
	else
		nothing ipset
	fi
	if [ -e /proc/net/ip_vs ]; then
		take ipvs cat /proc/net/ip_vs
	else
		nothing ipvs
	fi
}

# inside DIR: collects the namespace that this shell is in.
inside() {
	dir=$1
	take addr.json ip -j -d addr
	for v in 4 6; do
		suffix=
		[ $v = 6 ] && suffix=6
		take routes$suffix.json ip -j -d -$v route show table all
		take rules$suffix.json ip -j -d -$v rule
	done
	take nexthops.json ip -j -d nexthop
	take neigh.json ip -j -d neigh
	take fdb.json bridge -j -d fdb
	take vlan.json bridge -j vlan
	take sockets ss -H -O -n -l -t -u -S -e -p
	all_settings >"$dir/sysctl"
	counters >"$dir/stat"
	firewall
}

inode() { stat -L -c %i "$1" 2>/dev/null; }

# heeded FILE: of a resolv.conf the lines that resolvers heed, as in resolv.go, and no others: a Pod may have put
# anything there, or a link to a file of the node's.
# shellcheck disable=SC2086 # nothing, or two words
heeded() { $bounded head -c 65536 "$1" | sed -n '/^\(nameserver\|domain\|search\|options\)[[:blank:]]/s/[[:space:]]*$//p'; }

# resolv_of INODE DIR: the resolv.conf of a container in a namespace, by the first process that tells.
resolv_of() {
	sed -n "s/^$1 //p" "$work/processes" | head -n 4 | while read -r pid; do
		mnt=$(inode "/proc/$pid/ns/mnt") || continue
		case $mnt in "$(inode /proc/1/ns/mnt)" | "$(inode /proc/self/ns/mnt)") continue ;; esac
		file=/proc/$pid/root/etc/resolv.conf
		if [ -f "$file" ] && [ ! -L "$file" ] && [ ! -L "${file%/*}" ]; then
			heeded "$file" >"$2/resolv.conf"
			rm -f "$2/resolv.conf.error"
			return
		fi
		echo "$file is no regular file" >"$2/resolv.conf.error"
	done
}

# resolv_host DIR: those of the node.
resolv_host() {
	if [ -f /etc/resolv.conf ]; then
		heeded /etc/resolv.conf >"$1/resolv.conf"
	else
		echo "/etc/resolv.conf is no regular file" >"$1/resolv.conf.error"
	fi
	if [ -f /run/systemd/resolve/resolv.conf ]; then
		heeded /run/systemd/resolve/resolv.conf >"$1/systemd-resolv.conf"
	fi
}

# nsids: the namespaces that this one has ids for, where they have a name: "0":4026532341,"1":…
nsids() {
	ip=$(path_of ip) || return 0
	sep=
	"$ip" netns list-id 2>/dev/null | sed -n 's/^nsid \([0-9]*\).*name: \([^)]*\)).*/\1 \2/p' | while read -r id name; do
		i=$(inode "/run/netns/$name") || continue
		printf '%s"%s":%s' "$sep" "$id" "$i"
		sep=,
	done
}

if [ "${1-}" = --inside ]; then
	if [ ! -d "$2" ] || [ -n "$(ls -A "$2")" ]; then
		die "--inside is for the script itself"
	fi
	inside "$2"
	ids=$(nsids)
	path=
	case ${5-} in /run/*[!A-Za-z0-9/_.:-]*) ;; /run/*) path="\"path\":\"$5\"," ;; esac
	printf '{"inode":%s,"pod":"%s",%s"nsids":{%s}}\n' "$3" "$4" "$path" "$ids" >"$2/netns.json"
	exit 0
fi

node=$(uname -n)
host=/proc/1/ns/net
given=
state=1
objects=
out=
newline='
'
while [ $# -gt 0 ]; do
	case $1 in
	--objects) objects=1 ;;
	--only-objects) objects=1 state= ;;
	--node | --host | --netns)
		[ $# -gt 1 ] || die "$1 needs a value"
		case $1 in
		--node) node=$2 ;;
		--host) host=$2 ;;
		--netns) given="$given$2$newline" ;;
		esac
		shift
		;;
	-h | --help)
		sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	-*) die "unknown option $1: see sh collect.sh --help" ;;
	*)
		[ -z "$out" ] || die "one file to write, not two: $out and $1"
		out=$1
		;;
	esac
	shift
done
[ -n "$out" ] || die "say which file to write: sh collect.sh OUT.tar.gz"
[ -r "$0" ] || die "save this script to a file first: it runs itself in each namespace"
for tool in tar gzip stat sed; do
	have $tool || die "$tool is not there, and nothing works without it"
done
work=$(mktemp -d) || die "no folder for temporary files"
[ -d "$work" ] || die "mktemp made no folder"
trap 'rm -rf "$work"' EXIT
trap 'exit 2' INT TERM HUP

# clean NAME: with nothing in it that means something to a shell, to JSON or in a path; and not too long.
clean() { printf %.200s "$1" | tr -c 'A-Za-z0-9._-' _; }

# folder NAME: a name that is fit for the folder of a namespace.
folder() (
	name=$(clean "$1")
	case $name in
	"" | .* | -* | *.error | node.json) name=_$name ;;
	esac
	echo "$name"
)

# pod_of INODE: the Pod of a namespace, "shop/web-0", where containerd or CRI-O have left a record of it.
pod_of() {
	while read -r i pod; do
		if [ "$i" = "$1" ]; then
			echo "$pod"
			return
		fi
	done <"$work/pods"
}

find_pods() {
	for f in /run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json \
		/run/containers/storage/overlay-containers/*/userdata/config.json; do
		[ -r "$f" ] || continue
		name=$(sed -n 's/.*"io\.kubernetes\.\(cri\.sandbox-name\|pod\.name\)": *"\([^"]*\)".*/\2/p' "$f" | head -n 1)
		space=$(sed -n 's/.*"io\.kubernetes\.\(cri\.sandbox-namespace\|pod\.namespace\)": *"\([^"]*\)".*/\2/p' "$f" | head -n 1)
		path=$(sed -n 's/.*{"type": *"network", *"path": *"\([^"]*\)"}.*/\1/p' "$f" | head -n 1)
		case $path in "" | /proc/*) continue ;; esac
		case $space$name in *[!A-Za-z0-9.-]*) continue ;; esac # no name that Kubernetes allows
		if [ -n "$name" ] && [ -n "$space" ] && i=$(inode "$path"); then
			echo "$i $space/$name"
		fi
	done >"$work/pods"
}

# collect NAME PATH POD: collects one namespace, once.
seen=' '
collect() {
	i=$(inode "$2") || i=
	if [ -z "$i" ]; then
		[ -n "$given" ] || [ "$1" = host ] && echo "$2: cannot be opened" >>"$nodedir/$1.error"
		return
	fi
	case $seen in *" $i "*) return ;; esac
	seen="$seen$i "
	space=$nodedir/$1
	while [ -e "$space" ]; do space=$space-2; done
	if ! mkdir "$space" 2>"$space.error"; then
		return
	fi
	if [ "$i" = "$here" ]; then
		sh "$0" --inside "$space" "$i" "$3" "$2"
	elif have nsenter; then
		nsenter --net="$2" sh "$0" --inside "$space" "$i" "$3" "$2" 2>"$space.error" || echo "nsenter: exit status $?" >>"$space.error"
	elif [ "${2#/run/netns/}" != "$2" ]; then
		ip netns exec "${2#/run/netns/}" sh "$0" --inside "$space" "$i" "$3" "$2" 2>"$space.error" || echo "ip netns exec: exit status $?" >>"$space.error"
	else
		echo "nsenter: not found" >"$space.error"
	fi
	[ -s "$space.error" ] || rm -f "$space.error"
	if [ "$1" = host ]; then resolv_host "$space"; else resolv_of "$i" "$space"; fi
}

if [ -n "$state" ]; then
	[ "$(id -u)" = 0 ] || echo "collect.sh: not root: much will be missing" >&2
	nodedir=$work/bundle/nodes/$(folder "$node")
	mkdir -p "$nodedir" || die "cannot write to $work"
	taken=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	here=$(inode /proc/self/ns/net)
	find_pods
	# The processes, each with the namespace that it is in.
	# shellcheck disable=SC2012 # one ls for all; the names are ours
	ls -l /proc/[0-9]*/ns/net 2>/dev/null | sed -n 's/.* \/proc\/\([0-9]*\)\/ns\/net -> net:\[\([0-9]*\)\]$/\2 \1/p' | sort -n -k 2 >"$work/processes"
	collect host "$host" ""
	if [ -n "$given" ]; then
		printf %s "$given" >"$work/given"
		while IFS= read -r n; do
			collect "$(folder "${n%%=*}")" "${n#*=}" "" </dev/null
		done <"$work/given"
	else
		for path in /run/netns/* /run/netns/.[!.]* /run/netns/..?* /run/docker/netns/*; do
			[ -e "$path" ] || continue
			pod=$(pod_of "$(inode "$path")")
			name=$(folder "${path##*/}")
			[ -n "$pod" ] && name=pod-$(clean "$pod" | tr _ -)
			collect "$name" "$path" "$pod"
		done
		# One process of each namespace that has no name.
		sort -u -k 1,1 "$work/processes" >"$work/unnamed"
		while read -r i pid; do
			pod=$(pod_of "$i")
			name=net-$i
			[ -n "$pod" ] && name=pod-$(clean "$pod" | tr _ -)
			collect "$name" "/proc/$pid/ns/net" "$pod" </dev/null
		done <"$work/unnamed"
	fi
	printf '{"name":"%s","kernel":"%s","taken":"%s"}\n' "$(clean "$node")" "$(clean "$(uname -r)")" "$taken" >"$nodedir/node.json"
fi

# get FILE ARGUMENTS...: adds what "kubectl get" prints to a file.
get() {
	file=$dir/$1
	shift
	if ! kubectl --request-timeout=60s get "$@" -o json >>"$file" 2>>"$file.error"; then
		echo "kubectl get $*: failed" >>"$file.error"
	fi
	[ -s "$file" ] || rm -f "$file"
	grep -q . "$file.error" || rm -f "$file.error"
}

if [ -n "$objects" ]; then
	have kubectl || die "kubectl is not there: leave out --objects"
	dir=$work/bundle/objects
	mkdir -p "$dir"
	for kind in pods nodes services endpoints endpointslices.discovery.k8s.io namespaces daemonsets.apps deployments.apps \
		replicasets.apps statefulsets.apps networkpolicies.networking.k8s.io ingresses.networking.k8s.io \
		ingressclasses.networking.k8s.io; do
		get "${kind%%.*}.json" "$kind" --all-namespaces
	done
	# Kinds that a cluster need not have: then it has none of their objects.
	custom=$(kubectl --request-timeout=60s api-resources -o name 2>/dev/null) || custom=
	for kind in gatewayclasses.gateway.networking.k8s.io gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io \
		tcproutes.gateway.networking.k8s.io referencegrants.gateway.networking.k8s.io clusternetworkpolicies.policy.networking.k8s.io adminnetworkpolicies.policy.networking.k8s.io \
		baselineadminnetworkpolicies.policy.networking.k8s.io ciliumnetworkpolicies.cilium.io ciliumclusterwidenetworkpolicies.cilium.io \
		networkpolicies.crd.projectcalico.org globalnetworkpolicies.crd.projectcalico.org; do
		file=${kind%%.*}.json
		case $kind in *.crd.projectcalico.org) file=calico$file ;; esac
		if echo "$custom" | grep -qx pods && ! echo "$custom" | grep -qx "$kind"; then
			echo '{"apiVersion":"v1","kind":"List","items":[]}' >"$dir/$file"
			continue
		fi
		get "$file" "$kind" --all-namespaces
	done
	for space in kube-system kube-flannel calico-system; do
		get configmaps.json configmaps --namespace $space
	done
fi

# Not straight into the file: half a bundle is worse than none.
if ! (cd "$work/bundle" && tar -cf - ./*) >"$work/tar" || ! gzip -c "$work/tar" >"$work/tar.gz" || ! cat "$work/tar.gz" >"$out"; then
	die "cannot write $out"
fi
echo "collect.sh: wrote $out" >&2
