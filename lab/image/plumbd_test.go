//go:build linux

package image

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// program writes a program for an architecture, without anything in it.
func emptyProgram(t *testing.T, machine elf.Machine) string {
	t.Helper()
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "plumbd")
	if err := os.WriteFile(name, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// both returns images for both architectures, whose plumbd is a program without anything in it.
func both(t *testing.T) []Image {
	t.Helper()
	for _, p := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("the image is made of Debian's packages: ", err)
		}
	}
	r := Release{Name: "plumbd:1", Version: "v1", Revision: "abc", Created: time.Unix(1000, 0)}
	images, err := Plumbd(t.Context(), r, emptyProgram(t, elf.EM_X86_64), emptyProgram(t, elf.EM_AARCH64))
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// made is what both made first.
var made []Image

// programs returns those of one of the images, which are made once for several tests.
func programs(t *testing.T, n int) Layer {
	t.Helper()
	if made == nil {
		made = both(t)
	}
	return made[n].Layers[0]
}

// TestPlumbd makes the image for both architectures, twice, and looks at what is in it.
func TestPlumbd(t *testing.T) {
	images := both(t)
	made = images
	first, _ := archive(t, images...)
	if again, _ := archive(t, both(t)...); !bytes.Equal(first, again) {
		t.Error("made twice, it differs")
	}
	var paths [2][]string
	for i, arch := range []string{"amd64", "arm64"} {
		triplet := []string{"x86_64-linux-gnu", "aarch64-linux-gnu"}[i]
		img := images[i]
		if img.Arch != arch || img.Name != "plumbd:1" || img.Labels["org.opencontainers.image.version"] != "v1" || img.Entrypoint[0] != "/plumbd" || img.Layers[1][0].Path != "/plumbd" {
			t.Errorf("%s: %+v", arch, img.Labels)
		}
		have := map[string]File{}
		size := 0
		for _, f := range img.Layers[0] {
			have[f.Path] = f
			size += len(f.Text)
			if !strings.Contains(f.Path, "/ld-linux-") {
				paths[i] = append(paths[i], strings.ReplaceAll(f.Path, triplet, "TRIPLET"))
			}
		}
		for _, f := range img.Layers[0] {
			whole(t, have, f, []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64}[i])
		}
		for _, want := range append(slices.Clone(saves), "/usr/lib/"+triplet+"/xtables/libxt_statistic.so", "/lib/"+triplet+"/libm.so.6", // the second is for the first
			"/etc/protocols", "/usr/share/doc/libc6/copyright", "/usr/share/doc/libgmp10/copyright", "/var/lib/dpkg/status.d/iptables") {
			if _, ok := have[want]; !ok {
				t.Errorf("%s: %s is missing", arch, want)
			}
		}
		if control := have["/var/lib/dpkg/status.d/libc6"].Text; !strings.Contains(control, "Version: ") || !strings.Contains(control, "Architecture: "+arch) {
			t.Errorf("%s: libc6 is %s", arch, control)
		}
		if size < 5<<20 || size > 14<<20 {
			t.Errorf("%s: the programs and their libraries take %d bytes", arch, size)
		}
	}
	// The dynamic linker apart, they hold the same.
	lib64 := func(list []string) []string {
		return slices.DeleteFunc(list, func(p string) bool { return path.Dir(p) == "/lib64" })
	}
	if diff := cmp.Diff(lib64(paths[0]), lib64(paths[1])); diff != "" {
		t.Errorf("amd64 and arm64 hold different files (-amd64 +arm64):\n%s", diff)
	}
}

// shell are names that an image without a shell has none of.
var shell = regexp.MustCompile(`/(sh|bash|dash|busybox|perl|python[0-9.]*|apt|dpkg)$|\.(h|a|mo|gz)$|/gconv/|/locale/`)

// whole wants a file to be of the image: of its architecture, with all that it needs, and no shell.
func whole(t *testing.T, have map[string]File, f File, machine elf.Machine) {
	t.Helper()
	if shell.MatchString(f.Path) && !strings.HasPrefix(f.Path, "/var/lib/dpkg/status.d/") {
		t.Errorf("%s is not needed", f.Path)
	}
	if f.Link != "" {
		if _, ok := have[path.Join(path.Dir(f.Path), f.Link)]; !ok && have[f.Link].Path == "" {
			t.Errorf("%s leads to %s, which is not there", f.Path, f.Link)
		}
		return
	}
	if !strings.HasPrefix(f.Text, elf.ELFMAG) {
		return
	}
	e, err := elf.NewFile(strings.NewReader(f.Text))
	if err != nil || e.Machine != machine {
		t.Errorf("%s: %v, for %v", f.Path, err, e.Machine)
		return
	}
	libs, err := needed(f.Text)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libs {
		found := slices.ContainsFunc([]string{"", "/lib/*-linux-gnu/", "/usr/lib/*-linux-gnu/"}, func(dir string) bool {
			for p := range have {
				if ok, _ := path.Match(dir+l, p); ok {
					return true
				}
			}
			return false
		})
		if !found {
			t.Errorf("%s needs %s, which is not there", f.Path, l)
		}
	}
}

// lay writes the files of a layer below a new root.
func lay(t *testing.T, layers ...Layer) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range slices.Concat(layers...) {
		to := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case f.Link != "":
			err = os.Symlink(f.Link, to)
		case f.From != "":
			var b []byte
			if b, err = os.ReadFile(f.From); err == nil {
				err = os.WriteFile(to, b, 0o755)
			}
		default:
			err = os.WriteFile(to, []byte(f.Text), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// saved has rules in both back ends, sets, and tables of nftables' own, and prints them by the
// machine's programs and then by those below the root that it is given.
const saved = `set -e
root=$1
mount -t proc proc /proc
mkdir $root/proc
mount --bind /proc $root/proc
iptables-nft -A FORWARD -p tcp -m multiport --dports 80,443 -m comment --comment "a b" -j ACCEPT
iptables-nft -t nat -A POSTROUTING -s 10.0.0.0/8 -m statistic --mode random --probability 0.5 -j MASQUERADE --random-fully
iptables-nft -A INPUT -p sctp --dport 5 -j REJECT --reject-with icmp-host-prohibited
ip6tables-nft -A INPUT -p icmpv6 --icmpv6-type echo-request -m limit --limit 5/min -j ACCEPT
iptables-legacy -t nat -A PREROUTING -p udp --dport 53 -m conntrack --ctstate NEW -j DNAT --to-destination 10.0.0.1:5353
iptables-legacy -A INPUT -p esp -m mark --mark 0x1/0x1 -j DROP
ip6tables-legacy -A FORWARD -m addrtype --dst-type LOCAL -j RETURN
ipset create s hash:ip,port
ipset add s 10.0.0.1,tcp:80
ipset add s 10.0.0.1,sctp:81
nft -f - <<EOF
table inet t {
	set v { type inet_proto . inet_service; elements = { tcp . 80, gre . 1, 200 . 2 }; }
	chain c { type filter hook forward priority 0; policy drop; meta l4proto esp accept; tcp dport ssh ct state established jump d; }
	chain d { ip dscp ef counter; log prefix "x"; }
}
EOF
for in in env "chroot $root"; do
	echo "=== $in"
	for p in iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save "ipset save" "nft -j list ruleset"; do
		echo "== $p"
		$in /usr/sbin/$p 2>&1 | grep -v '^# \(Generated\|Completed\)'
	done
done
`

// TestPlumbdPrograms wants the image's programs to print what the machine's do.
func TestPlumbdPrograms(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if architecture != "amd64" {
		t.Skip("this machine runs no programs for amd64")
	}
	cmd := exec.Command("sh", "-c", saved, "sh", lay(t, programs(t, 0)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, printed, _ := strings.Cut(string(out), "=== env\n")
	machine, image, ok := strings.Cut(printed, "=== chroot")
	for _, s := range []string{"--dports 80,443", "-j DNAT", "tcp:80", `"gre"`, "--icmpv6-type", "--dst-type LOCAL"} {
		if !strings.Contains(machine, s) {
			t.Fatalf("the rules have no %q:\n%s", s, machine)
		}
	}
	_, image, _ = strings.Cut(image, "\n") // the end of its title
	if diff := cmp.Diff(machine, image); diff != "" || !ok {
		t.Errorf("(-machine +image):\n%s", diff)
	}
}

// TestPlumbdARM runs the programs for arm64, by qemu.
func TestPlumbdARM(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("programs for arm64 need qemu-user-static: ", err)
	}
	root := lay(t, programs(t, 1))
	for _, tt := range []struct{ program, args, want string }{
		{"iptables-nft-save", "--version", "(nf_tables)"},
		{"ip6tables-nft-save", "--version", "(nf_tables)"},
		{"iptables-legacy-save", "--version", "(legacy)"},
		{"ip6tables-legacy-save", "--version", "(legacy)"},
		{"xtables-legacy-multi", "iptables -m statistic -m conntrack -j DNAT --help", "DNAT target options"}, // extensions load
		{"ipset", "--version", "protocol version"},
		{"nft", "--version", "Unable to initialize Netlink socket"}, // with which nft begins; qemu has none of netfilter's
	} {
		t.Run(tt.program, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, qemu, append([]string{"-L", root, filepath.Join(root, "usr/sbin", tt.program)}, strings.Fields(tt.args)...)...)
			cmd.Env = []string{"XTABLES_LIBDIR=" + filepath.Join(root, "usr/lib/aarch64-linux-gnu/xtables")}
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestPlumbdRefuses gives it what is no plumbd.
func TestPlumbdRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", text + "-not-there", "no such file"},
		{"a script", text, "text: "},
		{"another machine's", emptyProgram(t, elf.EM_MIPS), "want amd64 or arm64"},
		{"not static", "/usr/sbin/nft", "is not static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Plumbd(t.Context(), Release{Cache: t.TempDir()}, tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestNeeds wants what lacks a file or a library to be said.
func TestNeeds(t *testing.T) {
	p := programs(t, 0)
	files := func(without string) []pack {
		return []pack{{name: "x", files: slices.DeleteFunc(slices.Clone(p), func(f File) bool { return strings.HasPrefix(path.Base(f.Path), without) })}}
	}
	if _, err := needs(newTree(files("-"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ without, want string }{
		{"nft", "no package has /usr/sbin/nft"},
		{"xtables-nft-multi", "no package has /usr/sbin/xtables-nft-multi"},
		{"libmnl", "no package has the library libmnl.so.0"},
		{"ld-linux-x86-64", "no package has the library ld-linux-x86-64.so.2"},
	} {
		if _, err := needs(newTree(files(tt.without))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("without %s: %v", tt.without, err)
		}
	}
	if _, err := (apt{t.TempDir(), "amd64"}).get(t.Context(), "install", "no-such-package-as-this"); err == nil {
		t.Error("got a package that there is not")
	}
	if got := fmt.Sprint(install.FindStringSubmatch("Inst libgmp10 (2:6.2.1+dfsg1-1.1 Debian:12.15/oldstable [arm64]) []")[1:]); got != "[libgmp10 2:6.2.1+dfsg1-1.1 arm64]" {
		t.Error(got)
	}
}
