#!/bin/bash
# Records what real software writes into iptables, as root:
#
#	apt-get install --no-install-recommends firewalld ufw docker.io   # with services kept from starting
#	lab/agree/wild/record.sh
#
# Each program runs in network, mount and PID namespaces of its own, with its
# /run and configuration on a tmpfs, and ends with them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tmp=${tmp:-$(mktemp -d)} # kept from the outer run in the inner ones
trap 'rm -rf "$tmp"' EXIT

private() { # name: a tmpfs over /run, and devices to speak of
	mount --make-rprivate /
	mount -t tmpfs tmpfs /run
	ip link set lo up
	for d in in0 out0; do
		ip link add "$d" type veth peer name "p$d"
		ip link set "$d" up
		ip link set "p$d" up
	done
	ip addr add 10.1.0.1/16 dev in0
	ip addr add 10.2.0.1/16 dev out0
	ip addr add fd00:1::1/32 dev in0 nodad
	ip addr add fd00:2::1/32 dev out0 nodad
	ip route add default via 10.2.0.2
}

config() { # dir...: a copy of each that may be changed
	for d; do
		mkdir -p "/run/copy$d"
		cp -a "$d/." "/run/copy$d"
		mount --bind "/run/copy$d" "$d"
	done
}

save() { # name
	mkdir -p "$here/testdata/$1"
	cd "$here/testdata/$1"
	iptables-save >iptables
	ip6tables-save >ip6tables
	ipset save >ipset
	nft -j list ruleset >nft.json
	for f in iptables ip6tables ipset; do [ -s $f ] || rm $f; done
	[ "$1" = firewalld-nft ] || rm nft.json
}

ufw_rules() {
	private
	config /etc/ufw /etc/default
	ufw allow 22/tcp
	ufw allow from 10.0.0.0/8 to any port 53 proto udp
	ufw limit 2222/tcp
	ufw deny 25/tcp
	ufw route allow in on in0 out on out0
	ufw --force enable
	save ufw
}

firewalld_rules() { # backend, name
	private
	config /etc/firewalld
	sed -i "s/^FirewallBackend=.*/FirewallBackend=$1/" /etc/firewalld/firewalld.conf
	mkdir -p /run/dbus
	dbus-daemon --system --nopidfile --fork
	firewalld --nofork >/run/firewalld.log 2>&1 &
	for _ in $(seq 100); do firewall-cmd --state 2>/dev/null && break || sleep 0.2; done
	firewall-cmd --zone=internal --add-interface=in0
	firewall-cmd --zone=public --add-interface=out0
	firewall-cmd --zone=public --add-service=http
	firewall-cmd --zone=public --add-masquerade
	firewall-cmd --zone=public --add-forward-port=port=8080:proto=tcp:toport=80:toaddr=10.1.0.2
	firewall-cmd --zone=public --add-rich-rule='rule family="ipv4" source address="10.2.66.0/24" reject'
	firewall-cmd --zone=public --add-rich-rule='rule family="ipv6" source address="fd00:2:66::/48" drop'
	save "$2"
}

docker_rules() {
	private
	CGO_ENABLED=0 go build -o "$tmp/pause" "$tmp/pause.go"
	tar -C "$tmp" -cf "$tmp/pause.tar" pause
	export DOCKER_HOST=unix:///run/docker.sock
	dockerd --data-root /run/lib --exec-root /run/exec --pidfile /run/docker.pid -s vfs -H "$DOCKER_HOST" >/run/docker.log 2>&1 &
	for _ in $(seq 100); do docker version >/dev/null 2>&1 && break || sleep 0.2; done
	docker import "$tmp/pause.tar" pause:1
	docker network create --subnet 172.18.0.0/16 -o com.docker.network.bridge.name=br-app app
	docker run -d --name web -p 8080:80 pause:1 /pause
	docker run -d --name db --network app -p 127.0.0.1:5432:5432 -p 53:53/udp pause:1 /pause
	save docker
	docker kill web db
	find /sys/fs/cgroup -depth -path '*/docker*' -type d -exec rmdir {} + 2>/dev/null || true
}

flannel_rules() {
	private
	(cd "$tmp/flannel" && ./flannel)
	save flannel
}

case "${1:-all}" in
all)
	cat >"$tmp/pause.go" <<-'GO'
		package main

		import "time"

		func main() { time.Sleep(time.Hour) }
	GO
	mkdir "$tmp/flannel"
	cat >"$tmp/flannel/main.go" <<-'GO'
		package main

		import (
			"context"
			"time"

			"github.com/flannel-io/flannel/pkg/ip"
			"github.com/flannel-io/flannel/pkg/lease"
			"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
			"net"
		)

		func net4(s string) ip.IP4Net { _, n, _ := net.ParseCIDR(s); return ip.FromIPNet(n) }
		func net6(s string) ip.IP6Net { _, n, _ := net.ParseCIDR(s); return ip.FromIP6Net(n) }

		func main() {
			ctx, m := context.Background(), &iptables.IPTablesManager{}
			m.Init(ctx)
			l := &lease.Lease{EnableIPv4: true, EnableIPv6: true, Subnet: net4("10.1.0.0/24"), IPv6Subnet: net6("fd00:1::/64")}
			m.SetupAndEnsureMasqRules(ctx, net4("10.1.0.0/16"), l.Subnet, net4("10.1.0.0/16"), net6("fd00:1::/32"), l.IPv6Subnet, net6("fd00:1::/32"), l, 60, false)
			m.SetupAndEnsureForwardRules(ctx, net4("10.1.0.0/16"), net6("fd00:1::/32"), 60)
			time.Sleep(3 * time.Second) // the rules are written by goroutines
		}
	GO
	(
		cd "$tmp/flannel"
		go mod init record
		go get github.com/flannel-io/flannel@v0.28.10
		go mod tidy
		go build -o flannel .
	) >"$tmp/log" 2>&1 || cat "$tmp/log"
	export tmp
	for job in ufw_rules "firewalld_rules iptables firewalld" "firewalld_rules nftables firewalld-nft" docker_rules flannel_rules; do
		timeout 120 unshare -n -m -p -f --mount-proc --kill-child "$0" $job
	done
	;;
*) trap - EXIT && "$@" ;;
esac
