//go:build linux

package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"sigs.k8s.io/yaml"

	"github.com/plumbnet/plumb/manifest"
)

// maxScrapes is how many scrapes are answered at once: two Prometheus servers, and someone who looks.
const maxScrapes = 4

// Metrics answers scrapes.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerForTransactional(o, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError})
}

// A WebConfig is where metrics are served beside the agent's own port, for a Prometheus that has no token of Kubernetes.
type WebConfig struct {
	Listen string `json:"listen"` // "127.0.0.1:9477"; "" for nowhere
	File   string `json:"file"`   // TLS and users, as Prometheus' exporters have it (exporter-toolkit, web-config.yml)
}

// faults says what is wrong with it. What is served is for those alone who can show who they are, unless it is served to this machine only.
func (w WebConfig) faults() (out []manifest.Fault) {
	if w.Listen == "" {
		if w.File != "" {
			out = append(out, manifest.Fault{Path: "web.file", Why: "without web.listen it is for nothing"})
		}
		return out
	}
	host, port, err := net.SplitHostPort(w.Listen)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return append(out, manifest.Fault{Path: "web.listen", Why: fmt.Sprintf("%q: want an address and a port, such as 127.0.0.1:9477", w.Listen)})
	}
	if w.File == "" {
		if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
			out = append(out, manifest.Fault{Path: "web.listen", Why: fmt.Sprintf("%q is not of this machine alone: it takes a web.file with users or client certificates", w.Listen)})
		}
		return out
	}
	if err := checkWeb(w.File); err != nil {
		out = append(out, manifest.Fault{Path: "web.file", Why: err.Error()})
	}
	return out
}

// checkWeb wants a file that asks those who connect who they are.
func checkWeb(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c struct {
		Users map[string]string `json:"basic_auth_users"`
		TLS   struct {
			Client string `json:"client_auth_type"`
		} `json:"tls_server_config"`
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(c.Users) == 0 && c.TLS.Client != "RequireAndVerifyClientCert" {
		return fmt.Errorf("%s: neither basic_auth_users nor tls_server_config.client_auth_type RequireAndVerifyClientCert: anyone could read", file)
	}
	return nil
}

// site is what serves a WebConfig.
type site struct {
	config WebConfig
	server *http.Server
}

// apply serves what is wanted, and no more what was.
func (s *site) apply(c WebConfig, h http.Handler, log *slog.Logger) error {
	if c == s.config && s.server != nil {
		return nil
	}
	s.close()
	if c.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("web.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	s.config = c
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	server := s.server
	go func() {
		err := web.Serve(l, server, &web.FlagConfig{WebConfigFile: &c.File}, log)
		if !errors.Is(err, http.ErrServerClosed) {
			log.Error("web", "err", err)
		}
	}()
	return nil
}

func (s *site) close() {
	if s.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	*s = site{}
}
