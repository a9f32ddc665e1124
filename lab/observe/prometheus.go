//go:build linux

package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/deploy/dashboards"
	"github.com/plumbnet/plumb/lab"
)

// faster is how many times faster the time of the rules is: what takes 5 minutes there takes 6 seconds.
const faster = 50

// A server is a Prometheus.
type server struct {
	url  string
	cmd  *exec.Cmd
	said bytes.Buffer
}

// Needs says what is missing for Prometheus.
func Needs() error {
	_, err := exec.LookPath("prometheus")
	return err
}

// startPrometheus starts one on this machine's loopback device, which scrapes the agents, and loads the alert rules.
func startPrometheus(ctx context.Context, dir, agents string, nodes []*lab.Node) (*server, error) {
	rules, err := dashboards.Rules(func(s string) string {
		d, _ := time.ParseDuration(s)
		return fmt.Sprintf("%dms", (d / faster).Milliseconds())
	})
	if err != nil {
		return nil, err
	}
	var config strings.Builder
	fmt.Fprintf(&config, "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [%s/alerts.yaml]\nscrape_configs:\n- job_name: plumb\n  honor_labels: true\n  static_configs:\n", dir)
	for _, n := range nodes {
		fmt.Fprintf(&config, "  - {targets: [%q], labels: {__metrics_path__: /%s, instance: %s}}\n", agents, n.Name, n.Name)
	}
	for name, text := range map[string]string{"alerts.yaml": string(rules), "prometheus.yaml": config.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	s := &server{url: "http://" + addr}
	s.cmd = exec.Command("prometheus", "--config.file="+dir+"/prometheus.yaml", "--storage.tsdb.path="+dir+"/tsdb", "--web.listen-address="+addr, "--log.level=warn")
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		up, err := s.series([]string{`up == 1`})
		if err == nil && up == len(nodes) {
			return s, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			s.stop()
			return nil, fmt.Errorf("prometheus does not scrape %d agents, but %d: %v\n%s", len(nodes), up, err, &s.said)
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// get asks for something of its API.
func (s *server) get(path string, query url.Values, into any) error {
	r, err := http.Get(s.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("prometheus: %s: %s", query.Get("query"), answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// values returns those of the series that queries now return.
func (s *server) values(expr string) (out []float64, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := s.get("/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q", expr, text)
		}
		out = append(out, v)
	}
	return out, nil
}

// series returns how many series queries return.
func (s *server) series(exprs []string) (n int, err error) {
	for _, e := range exprs {
		list, err := s.values(e)
		if err != nil {
			return 0, err
		}
		n += len(list)
	}
	return n, nil
}

// count returns how many of them say something: a series of 0 is there without a fault too, but for a query that asks for it.
func (s *server) count(exprs []string) (n int, err error) {
	for _, e := range exprs {
		list, err := s.values(e)
		if err != nil {
			return 0, err
		}
		for _, v := range list {
			if v > 0 || strings.HasSuffix(e, "== 0") {
				n++
			}
		}
	}
	return n, nil
}

// firing returns the names of the alerts that fire.
func (s *server) firing() (out []string, err error) {
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := s.get("/api/v1/alerts", nil, &data); err != nil {
		return nil, err
	}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			out = append(out, a.Labels["alertname"])
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
