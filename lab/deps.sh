#!/bin/sh
# Installs the Debian packages that the lab and the demo use, where they are
# missing. Needs root for that; without, it says what is missing.
# "deps.sh cluster" includes those of the real cluster, "deps.sh test" those of all tests,
# "deps.sh observe" Prometheus, "deps.sh kernels" what runs other kernels, "deps.sh generate" the compiler of the probes' programs.
set -eu

missing=
need() { # need PROGRAM PACKAGE
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need ip iproute2 # and bridge, ss
need nsenter util-linux
need sysctl procps
need iptables-nft-save iptables
need nft nftables
need ipset ipset
need conntrack conntrack
need ping iputils-ping
case ${1-} in
cluster | test)
	need containerd containerd # and ctr
	need runc runc
	need ethtool ethtool
	;;
esac
if [ "${1-}" = test ]; then
	need busybox busybox-static # its sh is one of those that the collector script is tested with
	need zsh zsh         # completion is tested in it
	need fish fish       # and in it
fi
case ${1-} in
observe | test) need promtool prometheus ;; # and the server itself
esac
if [ "${1-}" = generate ]; then
	need clang-14 clang-14 # another version's output differs
	need llvm-strip-14 llvm-14
	[ -e /usr/include/bpf/bpf_helpers.h ] || missing="$missing libbpf-dev"
fi
if [ "${1-}" = kernels ]; then
	need qemu-system-x86_64 qemu-system-x86
	need busybox busybox-static
	need depmod kmod
	need xz xz-utils
	need ipvsadm ipvsadm
fi

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "these Debian packages are missing:$missing" >&2
	exit 1
fi
echo "installing:$missing" >&2
# shellcheck disable=SC2086 # one word a package
{
	apt-get update -qq || true
	DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -qq -y --no-install-recommends $missing
} >/dev/null
