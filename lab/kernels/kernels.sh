#!/bin/sh
# kernels.sh [--doc]: runs the tests of the probes and of what they stand on, on this machine's kernel and on
# Debian's 6.1 and 6.12, the latter in QEMU's software emulation, with this machine's file system to read. Prints what
# runs where and what has failed; --doc writes it to doc/kernels.md too. It ends with 1 where a test failed, with 2
# where it could not find out. LIMIT is for how many seconds a kernel may run all tests.
#
# It installs nothing. The packages are unpacked below ~/.cache/plumb-lab/kernels, and what is there is not asked for again.
set -eu
cd "$(dirname "$0")/../.."

LIMIT=${LIMIT:-1800}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/plumb-lab/kernels
here=$PWD/lab/kernels
mkdir -p "$cache"
cache=$(realpath "$cache")
work=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$work"' EXIT

die() {
	echo "kernels: $*" >&2
	exit 2
}

# The folders of modules that are kept of a package: of some 4,000 files those that a network of namespaces can ask for.
kept='net lib crypto arch fs/9p fs/netfs fs/fscache drivers/block drivers/net drivers/virtio'

# fetch NAME PACKAGES: the newest package that PACKAGES, an expression, matches, unpacked as $cache/NAME.
fetch() {
	[ "$(cat "$cache/$1/kept" 2>/dev/null)" != "$kept" ] || return 0
	package=$(apt-cache search --names-only "$2" | cut -d' ' -f1 | sort -V | tail -1)
	[ -n "$package" ] || die "apt knows no package $2: it takes the archive of Debian 12 and its security updates among apt's sources, and \"apt-get update\""
	echo "kernels: getting $package" >&2
	(cd "$work" && apt-get -q -q -o APT::Sandbox::User=root download "$package") || die "apt-get cannot get $package"
	root=$work/$1
	version=${package#linux-image-}
	mkdir "$root"
	# shellcheck disable=SC2046 # one word a folder
	dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$root" --wildcards "./boot/vmlinuz-*" "./lib/modules/*/modules.*" \
		$(for d in $kept; do echo "./lib/modules/*/kernel/$d/*"; done) 2>"$work/tar" || true # not every kernel has each of them
	[ -e "$root/boot/vmlinuz-$version" ] || die "$package has no kernel: $(cat "$work/tar")"
	find "$root" -name '*.ko.xz' -exec xz -d {} +
	depmod -b "$root" "$version"
	mv "$root/boot/vmlinuz-$version" "$root/vmlinuz"
	echo "$kept" >"$root/kept"
	rm -rf "${cache:?}/$1" "$work/$package"_*.deb
	mv "$root" "$cache/$1"
}

# initramfs NAME: busybox, and the modules that it takes to reach this machine's files; all others are among those.
initramfs() {
	version=$(ls "$cache/$1/lib/modules")
	dir=$work/initramfs
	mkdir -p "$dir/bin" "$dir/sbin" "$dir/modules" "$dir/lib/modules" "$dir/mnt" "$dir/proc"
	cp "$(command -v busybox)" "$dir/bin/busybox"
	ln -s ../bin/busybox "$dir/sbin/modprobe" # by which the kernel loads what is asked of it
	ln -s "/mnt$cache/$1/lib/modules/$version" "$dir/lib/modules/$version"
	for m in virtio_pci 9pnet_virtio 9p; do
		modprobe -d "$cache/$1" -S "$version" --show-depends "$m" >>"$dir/depends" || die "$version has no module $m"
	done
	awk '/^insmod / && !seen[$2]++ { print $2 }' "$dir/depends" | while read -r ko; do
		cp "$ko" "$dir/modules/"
		basename "$ko"
	done >"$dir/modules/order"
	cp "$here/init" "$dir/init"
	(cd "$dir" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/$1.gz"
	rm -rf "$dir"
}

# boot NAME: runs the tests on a kernel of the cache, and prints its console. The processors take turns on one thread: at
# once, they run into the breakpoints that the kernel writes over its code to turn tracepoints on.
boot() {
	initramfs "$1"
	timeout -k 5 $((LIMIT + 120)) qemu-system-x86_64 -accel tcg,thread=single -cpu max -m 1500 -smp 2 -nographic -no-reboot -nic none \
		-netdev hubport,id=n,hubid=0 -device virtio-net-pci,netdev=n,romfile= \
		-kernel "$cache/$1/vmlinuz" -initrd "$work/$1.gz" -append "console=ttyS0 quiet panic=-1 plumb.run=$here/run.sh plumb.dir=$work plumb.limit=$LIMIT" \
		-fsdev local,id=r,path=/,security_model=none,readonly=on,multidevs=remap -device virtio-9p-pci,fsdev=r,mount_tag=hostroot \
		</dev/null 2>&1 | sed -u 's%\r%%g'
}

# each NAME COMMAND...: keeps what a run prints, and shows how far it is.
each() {
	name=$1
	start=$(date +%s)
	shift
	"$@" | tee "$cache/$name.log" | sed -u -n -e "s/^ *--- FAIL: /$name: FAIL: /p" \
		-e "s/^@exit \(.*\) 0 \(.*\)/$name: \1: ok, \2 s/p" -e "s/^@exit \(.*\) \(.*\) \(.*\)/$name: \1: FAILED with status \2, \3 s/p" >&2
	echo "kernels: $name: $(($(date +%s) - start)) s; all that it printed: $cache/$name.log" >&2
}

for p in qemu-system-x86_64 busybox depmod modprobe xz dpkg-deb; do
	command -v "$p" >/dev/null || die "$p is missing; \"sh lab/deps.sh kernels\" installs it"
done
fetch 6.1 '^linux-image-6\.1\.0-[0-9]+-amd64$'
fetch 6.12 '^linux-image-6\.12\.[0-9]+\+deb12-amd64$'

export CGO_ENABLED=0
echo "kernels: building the tests" >&2
packages='./probe/... ./agent/observe ./kernel/...'
# shellcheck disable=SC2086 # one word a pattern
{
	go test -c -o "$work/" $packages >/dev/null || die "the tests do not build"
	go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Name}} {{.Dir}}{{end}}' $packages | sort >"$work/list"
}
go build -o "$work/" ./cmd/plumbd || die "plumbd does not build"

each here sh "$here/run.sh" "$work" "$LIMIT"
each 6.1 boot 6.1
each 6.12 boot 6.12
status=0
awk -f "$here/table.awk" "$work/list" "$cache/6.1.log" "$cache/6.12.log" "$cache/here.log" >"$work/table" || status=$?
cat "$work/table"
if [ "${1-}" = --doc ] && [ $status = 0 ]; then
	cat "$here/head.md" "$work/table" >doc/kernels.md
fi
exit $status
