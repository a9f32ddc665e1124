//go:build linux

package agent

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	maxConns     = 256             // at once; each takes some 50 kB
	headerTime   = 5 * time.Second // for the TLS handshake, and for the header of a request
	idleTime     = time.Minute     // between two requests
	writeTime    = 5 * time.Minute // for a request and its answer, whatever it is
	maxHeader    = 64 << 10        // bytes
	certLife     = 10 * 365 * 24 * time.Hour
	maxAddresses = 64 // addresses that it names: a node of kube-proxy in IPVS mode has thousands
)

// graceTime is how long requests have to end in, when the agent is told to; a variable for the tests.
var graceTime = 10 * time.Second

// Serve answers requests until ctx ends, and lets those that are in hand come to their end. The
// file, which [Health] reads, lets kubelet's probes in.
func (s *Server) Serve(ctx context.Context, l net.Listener, healthFile string) error {
	cert, err := newCertificate(s.o.Collect.Node)
	if err != nil {
		return err
	}
	if err := s.admitHealth(healthFile, l.Addr(), cert); err != nil {
		return err
	}
	requests, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var protocols http.Protocols
	protocols.SetHTTP1(true) // whose deadlines are the connection's
	server := &http.Server{
		Handler: s, Protocols: &protocols, MaxHeaderBytes: maxHeader,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: headerTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		ErrorLog:    log.New(io.Discard, "", 0), // of handshakes that fail, which anyone can have it write
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
		defer cancel()
		err := server.Shutdown(end)
		giveUp()
		stopped <- cmp.Or(server.Close(), err)
	}()
	err = server.ServeTLS(netutil.LimitListener(l, maxConns), "", "")
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// newCertificate makes a certificate that is this process's alone: it keeps listeners out. Who
// the agent is the API server knows, which connects to the Pod that it scheduled.
func newCertificate(node string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "plumbd"}, DNSNames: []string{"localhost", node},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	addrs, _ := net.InterfaceAddrs() // without them it names the loopback addresses
	for _, a := range addrs {
		if p, ok := a.(*net.IPNet); ok && !p.IP.IsLoopback() && len(t.IPAddresses) < maxAddresses {
			t.IPAddresses = append(t.IPAddresses, p.IP)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
