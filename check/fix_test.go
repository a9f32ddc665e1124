package check

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"a device", "flannel.1", "flannel.1"},
		{"a device and its peer", "eth0@if7", "eth0@if7"},
		{"a range", "fd00:10:244::/64", "fd00:10:244::/64"},
		{"a sysctl", "net.ipv4.ip_forward=1", "net.ipv4.ip_forward=1"},
		{"nothing", "", "''"},
		{"a space", "eth 0", "'eth 0'"},
		{"a second command", "eth0;reboot", "'eth0;reboot'"},
		{"a command inside", "$(reboot)", "'$(reboot)'"},
		{"a quote", "it's", `'it'\''s'`},
		{"a new line", "a\nreboot", "'a\nreboot'"},
		{"a glob", "*", "'*'"},
		{"a home", "~root", "'~root'"},
		{"not ASCII", "ethé", "'ethé'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Quote(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCmd(t *testing.T) {
	if got, want := Cmd("ip link set %s mtu %s", "eth0;reboot", 1400), "ip link set 'eth0;reboot' mtu 1400"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestQuoteRule(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "FORWARD -d 10.244.1.0/24 -j DROP", "FORWARD -d 10.244.1.0/24 -j DROP"},
		{"a list", "-m conntrack --ctstate RELATED,ESTABLISHED", "-m conntrack --ctstate RELATED,ESTABLISHED"},
		{"not", "-m set ! --match-set known src", "-m set ! --match-set known src"},
		{"a comment", `-m comment --comment "a b" -j DROP`, `-m comment --comment 'a b' -j DROP`},
		{"a comment in one word", `--comment "ab"`, `--comment ab`},
		{"a command in a comment", `--comment "$(reboot)"`, `--comment '$(reboot)'`},
		{"a backquote", "--comment `reboot`", "--comment '`reboot`'"},
		{"an escaped quote", `--comment "a \"b\" \\"`, `--comment 'a "b" \'`},
		{"an open quote", `--comment "a b`, `--comment 'a b'`},
		{"nothing", " ", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := QuoteRule(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzQuote asks a shell what it reads.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"eth0", "", "a b", "it's", "$(x)", `\`, "!", "-n", "a\n"} {
		f.Add(s)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Skip("no shell")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no argument holds a NUL")
		}
		out, err := exec.Command(sh, "-c", "printf '[%s]' "+Quote(s)).Output()
		if err != nil || string(out) != "["+s+"]" {
			t.Errorf("%q is read as %q: %v", s, out, err)
		}
	})
}
