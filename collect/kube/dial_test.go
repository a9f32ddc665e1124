package kube

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestOrElse(t *testing.T) {
	down := errors.New("nobody is there")
	for _, c := range []struct {
		name, up string
		others   []string
		want     string // the addresses that were tried
		err      error
	}{
		{"its own address", "10.96.0.1:443", []string{"192.0.2.1:6443"}, "10.96.0.1:443", nil},
		{"another", "192.0.2.2:6443", []string{"192.0.2.1:6443", "192.0.2.2:6443"}, "10.96.0.1:443 192.0.2.1:6443 192.0.2.2:6443", nil},
		{"none", "", []string{"192.0.2.1:6443"}, "10.96.0.1:443 192.0.2.1:6443", down},
		{"no others", "", nil, "10.96.0.1:443", down},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tried []string
			dial := orElse(func(_ context.Context, _, address string) (net.Conn, error) {
				tried = append(tried, address)
				if address != c.up {
					return nil, down
				}
				conn, _ := net.Pipe()
				return conn, nil
			}, c.others)
			conn, err := dial(t.Context(), "tcp", "10.96.0.1:443")
			if !errors.Is(err, c.err) || (conn != nil) != (err == nil) {
				t.Errorf("%v, %v", conn, err)
			}
			if got := strings.Join(tried, " "); got != c.want {
				t.Errorf("tried %s, want %s", got, c.want)
			}
		})
	}
}
