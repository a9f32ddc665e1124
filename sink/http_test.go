package sink

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
)

// A request is what a server was sent.
type request struct {
	path, auth, tenant, kind, body string
}

// server returns a server that answers with status and body, and what it was sent.
func server(t *testing.T, start func(http.Handler) *httptest.Server, status int, body string, header ...string) (*httptest.Server, *[]request) {
	t.Helper()
	var got []request
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("not compressed: %v", err)
			return
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Error(err)
		}
		got = append(got, request{r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Scope-OrgID"), r.Header.Get("Content-Type"), string(data)})
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s, &got
}

func open(t *testing.T, c Config) event.Sink {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

const lokiGolden = `{"streams":[` +
	`{"stream":{"kind":"conntrack","node":"node-a"},"values":[["1772600768089000000","{\"time\":\"2026-03-04T05:06:08.089Z\",\"kind\":\"conntrack\",\"node\":\"node-a\",\"detail\":{\"what\":\"table full, \\\"dropping\\\"\"}}"]]},` +
	`{"stream":{"kind":"packetloss","namespace":"shop","node":"node-a"},"values":[` +
	`["1772600766089000000","{\"time\":\"2026-03-04T05:06:06.089Z\",\"kind\":\"packetloss\",\"node\":\"node-a\",\"namespace\":\"shop\",\"pod\":\"web-1\",\"by\":\"address\",\"proto\":\"icmp\",\"src\":\"10.0.0.9\",\"dst\":\"10.0.0.8\"}"],` +
	`["1772600767089000000","{\"time\":\"2026-03-04T05:06:07.089Z\",\"kind\":\"packetloss\",\"node\":\"node-a\",\"namespace\":\"shop\",\"pod\":\"web-0\",\"peer\":\"shop/api-1\",\"by\":\"netns\",\"proto\":\"tcp\",\"src\":\"10.0.0.1:40000\",\"dst\":\"[fd00::2]:80\",\"size\":60,\"detail\":{\"reason\":\"NETFILTER_DROP\"}}"]]}]}`

func TestLoki(t *testing.T) {
	srv, got := server(t, httptest.NewServer, http.StatusNoContent, "")
	s := open(t, Config{Loki: &Loki{HTTP: HTTP{URL: srv.URL, User: "plumb", PasswordFile: write(t, "s3cret\n")}, Tenant: "team-a"}})
	if err := s.Write(t.Context(), examples); err != nil {
		t.Fatal(err)
	}
	want := []request{{"/loki/api/v1/push", "Basic cGx1bWI6czNjcmV0", "team-a", "application/json", lokiGolden}}
	if diff := cmp.Diff(want, *got, cmp.AllowUnexported(request{})); diff != "" {
		t.Error(diff)
	}
}

const otlpGolden = `{"resourceLogs":[` +
	`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"plumbd"}},{"key":"k8s.node.name","value":{"stringValue":"node-a"}}]},"scopeLogs":[{"scope":{"name":"plumb"},"logRecords":[` +
	`{"timeUnixNano":"1772600767089000000","observedTimeUnixNano":"1772600767089000000","eventName":"packetloss",` +
	`"body":{"stringValue":"05:06:07.089 packetloss node-a shop/web-0 tcp 10.0.0.1:40000 \u003e [fd00::2]:80 (shop/api-1) reason=NETFILTER_DROP"},` +
	`"attributes":[{"key":"k8s.namespace.name","value":{"stringValue":"shop"}},{"key":"k8s.pod.name","value":{"stringValue":"web-0"}},{"key":"plumb.peer","value":{"stringValue":"shop/api-1"}},{"key":"plumb.by","value":{"stringValue":"netns"}},` +
	`{"key":"network.transport","value":{"stringValue":"tcp"}},{"key":"source.address","value":{"stringValue":"10.0.0.1"}},{"key":"source.port","value":{"intValue":"40000"}},` +
	`{"key":"destination.address","value":{"stringValue":"fd00::2"}},{"key":"destination.port","value":{"intValue":"80"}},{"key":"plumb.reason","value":{"stringValue":"NETFILTER_DROP"}}]}]}]},` +
	`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"plumbd"}}]},"scopeLogs":[{"scope":{"name":"plumb"},"logRecords":[` +
	`{"timeUnixNano":"1772600767089000000","observedTimeUnixNano":"1772600767089000000","eventName":"changes","body":{"stringValue":"05:06:07.089 changes"},"attributes":[]}]}]}]}`

func TestOTLP(t *testing.T) {
	srv, got := server(t, httptest.NewServer, http.StatusOK, `{"partialSuccess":{}}`)
	s := open(t, Config{OTLP: &OTLP{HTTP{URL: srv.URL + "/own/path", TokenFile: write(t, "t0ken")}}})
	if err := s.Write(t.Context(), []event.Event{examples[0], {Time: at, Kind: "changes"}}); err != nil {
		t.Fatal(err)
	}
	want := []request{{"/own/path", "Bearer t0ken", "", "application/json", otlpGolden}}
	if diff := cmp.Diff(want, *got, cmp.AllowUnexported(request{})); diff != "" {
		t.Error(diff)
	}
}

// TestAnswers has a server say no in every way, and wants the right conclusion.
func TestAnswers(t *testing.T) {
	const again, lost = "again", "lost"
	for _, row := range []struct {
		name         string
		status       int
		body         string
		header       []string
		loki, otlp   string
		after        time.Duration
		lokiN, otlpN int
		want         string
	}{
		{"no content", 204, "", nil, "", "", 0, 0, 0, ""},
		{"some refused", 200, `{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too large"}}`, nil, "", lost, 0, 0, 2, "too large"},
		{"the number as a number", 200, `{"partialSuccess":{"rejectedLogRecords":1}}`, nil, "", lost, 0, 0, 1, "1 refused"},
		{"a proxy's page", 200, `<html>`, nil, "", "", 0, 0, 0, ""},
		{"too old", 400, "entry too far behind\nfor stream", nil, lost, lost, 0, 3, 3, `400 Bad Request: "entry too far behind\nfor stream"`},
		{"no rights", 401, "", nil, lost, lost, 0, 3, 3, "401"},
		{"elsewhere", 307, "", []string{"Location", "http://127.0.0.1:1/"}, lost, lost, 0, 3, 3, "307"},
		{"too many", 429, "limit", []string{"Retry-After", "17"}, again, again, 17 * time.Second, 0, 0, "limit"},
		{"too many, until long ago", 429, "", []string{"Retry-After", "Wed, 04 Mar 2026 05:06:07 GMT"}, again, again, 0, 0, 0, "429"},
		{"too many, for what", 429, "", []string{"Retry-After", "-1"}, again, again, 0, 0, 0, "429"},
		{"broken", 500, strings.Repeat("x", 5000), nil, again, lost, 0, 0, 3, "500"},
		{"away", 503, "", nil, again, again, 0, 0, 0, "503"},
	} {
		srv, _ := server(t, httptest.NewServer, row.status, row.body, row.header...)
		for _, c := range []struct {
			c    Config
			want string
			n    int
		}{
			{Config{Loki: &Loki{HTTP: HTTP{URL: srv.URL}}}, row.loki, row.lokiN},
			{Config{OTLP: &OTLP{HTTP{URL: srv.URL}}}, row.otlp, row.otlpN},
		} {
			t.Run(row.name+"/"+c.c.Name(), func(t *testing.T) {
				err := open(t, c.c).Write(t.Context(), examples)
				var r *refusal
				var l *later
				switch {
				case c.want == "" && err == nil:
					return
				case c.want == lost && errors.As(err, &r) && r.n == c.n:
				case c.want == again && errors.As(err, &l) && l.after == row.after:
				default:
					t.Fatalf("%v, want %q", err, c.want)
				}
				if !strings.Contains(err.Error(), row.want) || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q, want %q", err, row.want)
				}
			})
		}
	}
}

func TestTLS(t *testing.T) {
	srv, got := server(t, httptest.NewTLSServer, http.StatusNoContent, "")
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	ca := write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	if err := open(t, Config{Loki: &Loki{HTTP: HTTP{URL: srv.URL, CAFile: ca}}}).Write(t.Context(), examples); err != nil || len(*got) != 1 {
		t.Errorf("%v, %d requests", err, len(*got))
	}
	if err := open(t, Config{Loki: &Loki{HTTP: HTTP{URL: srv.URL}}}).Write(t.Context(), examples); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that is not known: %v", err)
	}
}

// TestSecretIsReadAnew has a token renewed, and then gone.
func TestSecretIsReadAnew(t *testing.T) {
	srv, got := server(t, httptest.NewServer, http.StatusNoContent, "")
	token := write(t, "old")
	s := open(t, Config{OTLP: &OTLP{HTTP{URL: srv.URL, TokenFile: token}}})
	for _, next := range []string{"old", "new"} {
		if err := os.WriteFile(token, []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), examples[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if (*got)[0].auth != "Bearer old" || (*got)[1].auth != "Bearer new" {
		t.Errorf("%+v", *got)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	err := s.Write(t.Context(), examples[:1])
	if _, again := verdict(err, 1); !again || !strings.Contains(err.Error(), "tokenFile: ") {
		t.Errorf("%v", err)
	}
	user := open(t, Config{OTLP: &OTLP{HTTP{URL: srv.URL, User: "u", PasswordFile: token}}})
	if err := user.Write(t.Context(), examples[:1]); err == nil || !strings.Contains(err.Error(), "passwordFile: ") {
		t.Errorf("%v", err)
	}
}

// TestDeadServers has nobody answer, somebody hang up, and somebody never answer.
func TestDeadServers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	for name, url := range map[string]string{"nobody": closed, "hangs up": hangsUp.URL, "silent": silent.URL} {
		p, err := openLoki(Loki{HTTP: HTTP{URL: url}})
		if err != nil {
			t.Fatal(err)
		}
		p.client.Timeout = 50 * time.Millisecond
		err = p.Write(t.Context(), examples)
		if lost, again := verdict(err, 3); err == nil || !again || lost != 3 {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Write(ctx, examples); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}
}

// TestBadTimes has a time that JSON cannot say lose its batch, and not hold up the others for ever.
func TestBadTimes(t *testing.T) {
	bad := []event.Event{{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Kind: "x"}}
	for _, c := range []Config{
		{Loki: &Loki{HTTP: HTTP{URL: "http://127.0.0.1:1"}}},
		{File: &File{Path: write(t, "")}},
	} {
		err := open(t, c).Write(t.Context(), bad)
		if lost, again := verdict(err, 1); lost != 1 || again {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
}

// BenchmarkLoki says what a batch costs to encode.
func BenchmarkLoki(b *testing.B) {
	batch := make([]event.Event, batchSize)
	for i := range batch {
		batch[i] = examples[0]
		batch[i].Pod = fmt.Sprintf("shop/web-%d", i%100)
	}
	for b.Loop() {
		body, err := lokiBody(batch)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(body)))
	}
}
