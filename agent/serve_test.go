//go:build linux

package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func keyPEM(t *testing.T, c tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// served is an agent as plumbd runs it, for one token.
type served struct {
	*Server
	url, health string
	stop        context.CancelFunc
	ended       chan error
}

var insecure = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func serveHere(t *testing.T) *served {
	t.Helper()
	sum := sha256.Sum256([]byte("run"))
	s := &served{Server: New(Options{Collect: here(nil, t.TempDir()), RunToken: sum[:], Log: log.New(io.Discard, "", 0)}), ended: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.url, s.health = "https://"+l.Addr().String(), filepath.Join(t.TempDir(), "run/health")
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.Serve(ctx, l, s.health); close(s.ended) }()
	t.Cleanup(func() {
		stop()
		for range s.ended {
		}
	})
	eventually(t, "it serves", func() bool { return Health(context.Background(), s.health) == nil })
	return s
}

// get asks for path; "" where there is no answer.
func (s *served) get(path string) string {
	req, err := http.NewRequest("GET", s.url+path, nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Plumb-Authorization", "Bearer run")
	resp, err := insecure.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// TestHealth wants the file to be root's alone, and its token to be good for nothing else.
func TestHealth(t *testing.T) {
	s := serveHere(t)
	info, err := os.Stat(s.health)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	var tk struct{ Token string }
	data, err := os.ReadFile(s.health)
	must(t, err)
	must(t, jsonUnmarshal(data, &tk))
	if _, err := s.guard.check(context.Background(), tk.Token, right{"get", "snapshot"}); err == nil {
		t.Error("the token of the probes gets a snapshot")
	}
	other := serveHere(t)
	data, err = os.ReadFile(other.health)
	must(t, err)
	var mixed, mine ticket
	must(t, jsonUnmarshal(data, &mixed))
	data, err = os.ReadFile(s.health)
	must(t, err)
	must(t, jsonUnmarshal(data, &mine))
	for _, tt := range []struct {
		name string
		ticket
		says string
	}{
		{"another token", ticket{mine.Address, mixed.Token, mine.Certificate}, "401"},
		{"another agent at the address", ticket{mixed.Address, mine.Token, mine.Certificate}, "certificate"},
		{"no certificate", ticket{mine.Address, mine.Token, nil}, "x509"},
	} {
		file := filepath.Join(t.TempDir(), "health")
		must(t, os.WriteFile(file, jsonMarshal(t, tt.ticket), 0o600))
		if err := Health(context.Background(), file); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	s.stop()
	must(t, <-s.ended)
	if err := Health(context.Background(), s.health); err == nil {
		t.Error("healthy after its end")
	}
}

// TestOldTLS wants TLS 1.1 not to be spoken, and plain text to be refused.
func TestOldTLS(t *testing.T) {
	s := serveHere(t)
	addr := strings.TrimPrefix(s.url, "https://")
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	resp, err := http.Get("http://" + addr + "/healthz")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("plain text: %s", resp.Status)
	}
}

// TestStop ends an agent while a collection is asked for: it is answered, if it ends in time.
func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		free  bool // the collection gets its turn after all
		want  string
	}{
		{"in time", 20 * time.Second, true, "200 "},
		{"too late", 100 * time.Millisecond, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := graceTime
			graceTime = tt.grace
			s := serveHere(t)
			for range maxCollections { // others have the turns
				s.work.turn <- struct{}{}
			}
			answer := make(chan string, 1)
			go func() { answer <- s.get("/snapshot?netns=host") }()
			eventually(t, "it waits", func() bool { _, n := s.work.load(); return n == 1 })
			s.stop()
			eventually(t, "it listens no more", func() bool { return s.get("/healthz") == "" })
			if tt.free {
				<-s.work.turn
			}
			if got := <-answer; !strings.HasPrefix(got, tt.want) || tt.want == "" && strings.HasPrefix(got, "200") {
				t.Errorf("answer %.60q", got)
			}
			must(t, <-s.ended)
			graceTime = old
			eventually(t, "nothing is left", func() bool { run, wait := s.work.load(); return run+wait == 0 })
		})
	}
}
