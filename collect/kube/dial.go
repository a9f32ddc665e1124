package kube

import (
	"context"
	"net"
	"time"
)

// headStart is what the API server's own address gets before others are tried: one packet may be lost.
const headStart = 1200 * time.Millisecond

// dialFunc is [net.Dialer.DialContext].
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// orElse returns a dialer that tries others where an address does not answer in time. A Pod reaches the
// API server by the address of a Service, which kube-proxy translates, and is to be heard also where
// kube-proxy is what is wrong. Who answers must show the certificate of the address that was asked for.
func orElse(dial dialFunc, others []string) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		first, cancel := context.WithTimeout(ctx, headStart)
		defer cancel()
		conn, err := dial(first, network, address)
		for _, o := range others {
			if err == nil || ctx.Err() != nil {
				break
			}
			next, cancel := context.WithTimeout(ctx, headStart)
			if c, e := dial(next, network, o); e == nil {
				conn, err = c, nil
			}
			cancel()
		}
		return conn, err
	}
}
