//go:build linux

package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// A ticket lets a process that may read it ask this agent, and no other, how it is.
type ticket struct {
	Address     string // "127.0.0.1:10270"
	Token       string
	Certificate []byte // DER
}

// admitHealth writes a ticket that only root can read, for probes that run in the agent's container.
func (s *Server) admitHealth(file string, addr net.Addr, cert tls.Certificate) error {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	t := ticket{net.JoinHostPort(host, port), rand.Text(), cert.Certificate[0]}
	s.guard.health = sha256.Sum256([]byte(t.Token))
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	// A file of its own, and renamed: who reads sees all of it, and one that stands there with other rights is not filled.
	f, err := os.CreateTemp(filepath.Dir(file), "health-*")
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close(), os.Rename(f.Name(), file))
}

// Health asks the agent that wrote file how it is.
func Health(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var t ticket
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	cert, err := x509.ParseCertificate(t.Certificate)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+t.Address+"/healthz", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.Token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(why)))
	}
	return nil
}
