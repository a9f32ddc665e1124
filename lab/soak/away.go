//go:build linux

package soak

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A server is one that can go away and come back, at the same address.
type onOff struct {
	addr    string
	handler http.Handler
	tls     bool
	s       *httptest.Server
}

func (o *onOff) on() error {
	var l net.Listener
	err := until(context.Background(), 10*time.Second, func() (err error) { l, err = net.Listen("tcp", o.addr); return err })
	if err != nil {
		return err
	}
	o.addr = l.Addr().String()
	o.s = httptest.NewUnstartedServer(o.handler)
	o.s.Listener.Close()
	o.s.Listener = l
	o.s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if o.tls {
		o.s.StartTLS()
	} else {
		o.s.Start()
	}
	return nil
}

func (o *onOff) off() {
	o.s.CloseClientConnections()
	o.s.Close()
}

// pushed counts the events that a Loki was given.
type pushed struct {
	mu   sync.Mutex
	have map[[2]string]bool // each once, though it may have been sent again
	bad  error
}

func (p *pushed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Streams []struct{ Values [][2]string }
	}
	z, err := gzip.NewReader(r.Body)
	if err == nil {
		err = json.NewDecoder(z).Decode(&body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.bad = err
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, s := range body.Streams {
		for _, v := range s.Values {
			p.have[v] = true
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// loki: see [Parts].
func loki(ctx context.Context, b *bench) (string, error) {
	got := &pushed{have: map[[2]string]bool{}}
	server := &onOff{addr: "127.0.0.1:0", handler: got}
	if err := server.on(); err != nil {
		return "", err
	}
	defer func() { server.off() }()
	ns, end, err := newPod("soak/loud", "soak-loud")
	if err != nil {
		return "", err
	}
	defer end()
	dir, rec := b.recorder()
	// The file is given the same events.
	rec += "sinks: [{loki: {url: \"http://" + server.addr + "\"}}, {file: {path: " + filepath.Join(b.dir, "events.json") + ", megabytes: 1024}}]\n"
	a, err := b.start(ctx, rec)
	if err != nil {
		return "", err
	}
	loud, quiet := context.WithCancel(ctx)
	var noise sync.WaitGroup
	noise.Go(func() {
		for i := 0; pause(loud, 40*time.Millisecond); i++ {
			_ = ns.Do(func() error { return refused(1000 + i%1000) })
		}
	})
	defer noise.Wait()
	defer quiet()
	sink := func(result string) float64 {
		return a.now().sum("plumb_agent_sink_events_total", `sink="loki"`, `result="`+result+`"`)
	}
	if err := until(ctx, startTime, func() error { return want(sink("written") > 0, "Loki has nothing") }); err != nil {
		return "", err
	}
	server.off()
	pause(ctx, pick(b, 5*time.Minute, 3*time.Second))
	waited, before := a.now().sum("plumb_agent_sink_waiting"), sink("written")
	if err := server.on(); err != nil {
		return "", err
	}
	pause(ctx, 2*time.Second)
	quiet()
	noise.Wait()
	if err := a.reloaded(ctx, "probes: {off: [all]}\n"+rec); err != nil { // others on this machine do not rest
		return "", err
	}
	var came, had, lost, put float64
	err = until(ctx, 2*time.Minute, func() error {
		m, err := a.scrape(ctx)
		had, lost = sink("written"), sink("full")+sink("failed")
		put = m.sum("plumb_agent_sink_events_total", `sink="file"`)
		got.mu.Lock()
		defer got.mu.Unlock()
		came = float64(len(got.have))
		return errors.Join(err, got.bad, want(m.sum("plumb_agent_sink_waiting") == 0 && put == had+lost && came == had,
			"%g events were for Loki, %g wait, %g are written, %g lost; it has %g", put, m.sum("plumb_agent_sink_waiting"), had, lost, came))
	})
	_, _, readErr := b.readable(dir)
	err = errors.Join(err, want(waited > 0 && had > before, "%g events waited while it was away; it had %g before, and %g after", waited, before, had))
	return fmt.Sprintf("%g events: %g waited when it came back, %g it has, which are those that are counted as written, and %g are counted as lost: that is all of them", put, waited, came, lost), errors.Join(err, readErr)
}

// cluster answers what an agent asks an API server.
func cluster(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`
	if strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		answer = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,"user":{"username":"soak"},"audiences":["plumbd/soak"]}}`
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// inCluster has a plumbd be a Pod of a cluster with such an API server. What ask returns is plumbd's answer to who shows a token.
func (b *bench) inCluster(api *httptest.Server) (in func(*exec.Cmd), ask func(path, token string) (*http.Response, error), err error) {
	const account = "/run/secrets/kubernetes.io/serviceaccount"
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	err = errors.Join(os.MkdirAll(account, 0o755), os.MkdirAll("/run/plumb", 0o755),
		os.WriteFile(filepath.Join(account, "ca.crt"), ca, 0o644), os.WriteFile(filepath.Join(account, "token"), []byte("soak"), 0o600))
	if err != nil {
		return nil, nil, err
	}
	b.after = func() { os.RemoveAll(account) }
	host, port, _ := net.SplitHostPort(api.Listener.Addr().String())
	listen := fmt.Sprintf("127.0.0.1:%d", b.port+1)
	in = func(c *exec.Cmd) {
		c.Args = append(c.Args, "--listen", listen)
		c.Env = append(os.Environ(), "KUBERNETES_SERVICE_HOST="+host, "KUBERNETES_SERVICE_PORT="+port)
	}
	agents := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 10 * time.Second, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its certificate is its own
	ask = func(path, token string) (*http.Response, error) {
		req, err := http.NewRequest(http.MethodGet, "https://"+listen+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		return agents.Do(req)
	}
	return in, ask, nil
}

// apiserver: see [Parts].
func apiserver(ctx context.Context, b *bench) (string, error) {
	server := &onOff{addr: "127.0.0.1:0", handler: http.HandlerFunc(cluster), tls: true}
	if err := server.on(); err != nil {
		return "", err
	}
	defer func() { server.off() }()
	in, ask, err := b.inCluster(server.s)
	if err != nil {
		return "", err
	}
	dir, rec := b.recorder()
	a, err := b.start(ctx, rec, in)
	if err != nil {
		return "", err
	}
	n := 0
	status := func() (int, error) { // with a token that nobody has shown before
		n++
		resp, err := ask("/status", fmt.Sprintf("token-%d", n))
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	answers := func(code int) error {
		return until(ctx, startTime, func() error {
			got, err := status()
			return errors.Join(err, want(got == code, "/status is answered with %d, want %d", got, code))
		})
	}
	if err := answers(http.StatusOK); err != nil {
		return "", err
	}
	before, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	server.off()
	if err := answers(http.StatusServiceUnavailable); err != nil {
		return "", err
	}
	seconds, asked := a.now().sum("plumb_agent_recorder_seconds_total"), 0
	for end := time.Now().Add(pick(b, time.Minute, 2*time.Second)); time.Now().Before(end); asked++ {
		if code, err := status(); err != nil || code != http.StatusServiceUnavailable {
			return "", fmt.Errorf("while it is away: %d, %v", code, err)
		}
		pause(ctx, 50*time.Millisecond)
	}
	grown := a.now().sum("plumb_agent_recorder_seconds_total") - seconds
	if err := server.on(); err != nil {
		return "", err
	}
	err = answers(http.StatusOK)
	_, _, readErr := b.readable(dir)
	return fmt.Sprintf("while it was away %d questions were refused with 503, metrics were served and %g seconds recorded; then 200 again; before and after: %v", asked, grown, before),
		errors.Join(err, readErr, want(grown > 1, "%g seconds recorded while it was away", grown), a.back(ctx, before))
}

// flows: see [Parts].
func flows(ctx context.Context, b *bench) (string, error) {
	const cap = 128 << 20
	enter, used, err := b.capped(cap)
	if err != nil {
		return "", err
	}
	t, err := newTraffic()
	defer t.end()
	if err != nil {
		return "", err
	}
	dir, rec := b.recorder()
	file := filepath.Join(b.dir, "events.json")
	a, err := b.start(ctx, "sinks: [{file: {path: "+file+", megabytes: 4}}]\n"+rec, enter)
	if err != nil {
		return "", err
	}
	before, err := a.settled(ctx)
	if err != nil {
		return "", err
	}
	cpu := a.now().sum("plumb_agent_cpu_seconds_total")
	limited, stop := context.WithTimeout(ctx, pick(b, 10*time.Minute, 3*time.Second))
	defer stop()
	began := time.Now()
	rate := pick(b, 10_000, 1000)
	err = t.run(limited, rate)
	took := time.Since(began).Seconds()
	m, scrapeErr := a.scrape(ctx)
	sent, sentErr := t.resets()
	if err := errors.Join(err, scrapeErr, sentErr); err != nil {
		return "", err
	}
	cpu = m.sum("plumb_agent_cpu_seconds_total") - cpu
	connections, resets := m.sum("plumb_tcpconnect_seconds_count", `pod="client"`), m.sum("plumb_tcpreset_resets_total", `pod="client"`, `direction="tx"`)
	lost := m.sum("plumb_agent_events_lost_total", `probe="tcpconnect"`, `stage="table"`)
	made, failed := t.made.Load(), t.failed.Load()
	peak, kills := used()
	err = a.back(ctx, before)
	_, seconds, readErr := b.readable(dir)
	return fmt.Sprintf("%d connections in %.0f s, %.0f a second (%d more failed); the probes counted %.0f and %.0f that were not measured, and %.0f resets of the %d that the kernel sent; the agent took %.1f %% of a core; its cgroup had %d MiB at most, nothing was killed; before and after: %v; %d seconds recorded",
			made, took, float64(made)/took, failed, connections, lost, resets, sent, 100*cpu/took, peak>>20, before, seconds),
		errors.Join(err, readErr, want(failed == 0 && float64(made) >= .99*took*float64(rate), "the machine is too slow: %d connections in %.0f s, %d a second were to be", made, took, rate),
			want(connections+lost == float64(made) && resets == float64(sent), "not all were counted"), want(kills == 0, "%d processes were killed for want of memory", kills), want(peak > 0 && peak <= cap, "%d bytes of memory", peak))
}
