//go:build linux

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/agent/peers"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/tcpconnect"
	"github.com/plumbnet/plumb/probe/tcpretransmit"
	"github.com/plumbnet/plumb/recorder"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// recording is the agent of a node, which records in a folder, with one Pod.
func recording(t *testing.T, client *kube.Client, name string, kinds ...*probe.Kind) (*httptest.Server, *observe.Observer) {
	t.Helper()
	w := watcher(t, name, nil, nil, kinds...)
	w.Apply(observe.Config{Recorder: observe.RecorderConfig{Dir: filepath.Join(t.TempDir(), "record"), Megabytes: 2}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Record(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	_, h := start(t, Options{Collect: node.Options{Node: name}, Kube: client, Observer: w})
	return h, w
}

// watcher is what watches a node with one Pod, which may be nil.
func watcher(t *testing.T, name string, pod *sandbox.NS, p *peers.Peers, kinds ...*probe.Kind) *observe.Observer {
	t.Helper()
	o := node.Options{Node: name, Host: newNS(t, "node-"+name).Path, NetNS: []node.NetNS{}}
	if pod != nil {
		o.NetNS = append(o.NetNS, node.NetNS{Path: pod.Path, Pod: "shop/web-0"})
	}
	places, err := node.NewPlaces(o)
	must(t, err)
	w := observe.New(observe.Options{Version: "v0", Node: name, Kinds: kinds, Places: places, Peers: p, Log: log.New(io.Discard, "", 0)})
	t.Cleanup(w.Close)
	return w
}

// TestFreeze wants one agent's request to keep a window to be bounded, and to be all that its token is good for.
func TestFreeze(t *testing.T) {
	sandbox.Need(t)
	_, client := newAPI(t)
	h, w := recording(t, client, "n")
	eventually(t, "it records", func() bool { s := w.Recorder(); return s != nil && s.Seconds > 0 })
	peer := "Authorization: Bearer " + peerOf + kube.Audience("n")
	now := time.Now()
	window := func(id, why string, from, to time.Duration) string {
		return string(jsonMarshal(t, peers.Window{ID: id, Why: why, From: now.Add(from), To: now.Add(to)}))
	}
	fine := window("a", "asked by m", -time.Minute, time.Minute)
	for _, tt := range []struct {
		name, method, path, header, body string
		code                             int
		says                             string
	}{
		{"without the right", "POST", "/freeze", "Authorization: Bearer " + watch, fine, 403, `resources: ["nodes/episodes"], verbs: ["create"]`},
		{"for another node", "POST", "/freeze", "Authorization: Bearer " + peerOf + kube.Audience("m"), fine, 401, "not valid for audience plumbd/n"},
		{"for the API server", "POST", "/freeze", "Authorization: Bearer scraper", fine, 401, "not valid"},
		{"what else it is good for", "GET", "/episodes", peer, "", 403, "user-peer may not"},
		{"what else it is good for", "GET", "/snapshot", peer, "", 403, "user-peer may not"},
		{"what else it is good for", "GET", "/status", peer, "", 403, "user-peer may not"},
		{"got", "GET", "/freeze", peer, "", 405, "use POST"},
		{"nothing", "POST", "/freeze", peer, "", 400, "body: EOF"},
		{"another field", "POST", "/freeze", peer, `{"dir":"/etc"}`, 400, "unknown field"},
		{"for no reason", "POST", "/freeze", peer, window("a", "", -time.Minute, time.Minute), 400, "why: "},
		{"too long", "POST", "/freeze", peer, window("a", "x", -time.Hour, 0), 400, "want 5m0s at most"},
		{"too late", "POST", "/freeze", peer, window("a", "x", time.Hour, time.Hour+time.Minute), 400, "of about now"},
		{"long ago", "POST", "/freeze", peer, window("a", "x", -time.Hour, -time.Hour+time.Minute), 400, "of about now"},
		{"a file elsewhere", "POST", "/freeze", peer, window("../a", "x", -time.Minute, time.Minute), 422, "want letters"},
		{"one", "POST", "/freeze", peer, fine, 200, "{}"},
		{"too many", "POST", "/freeze", peer, window("b", "x", -time.Minute, time.Minute), 429, "more than 2 windows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body, _ := ask(t, h, tt.method, tt.path, tt.header, tt.body)
			if code != tt.code || !strings.Contains(body, tt.says) {
				t.Errorf("%d %q; want %d, %q", code, body, tt.code, tt.says)
			}
		})
	}
	if list := episodes(t, h); len(list) != 1 || list[0].ID != "a" || list[0].Why != "asked by m" || list[0].Node != "n" {
		t.Errorf("%+v", list)
	}
}

func episodes(t *testing.T, h *httptest.Server) (out []recorder.Episode) {
	t.Helper()
	code, body, _ := ask(t, h, "GET", "/episodes", withGood, "")
	if code != 200 {
		t.Fatal(code, body)
	}
	must(t, json.Unmarshal([]byte(body), &out))
	return out
}

// echo answers on port 80 of a Pod until the test ends.
func echo(t *testing.T, pod *sandbox.NS) {
	t.Helper()
	var l net.Listener
	must(t, pod.Do(func() (err error) { l, err = net.Listen("tcp4", ":80"); return err }))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
}

// chat keeps n connections busy until the test ends.
func chat(t *testing.T, pod *sandbox.NS, n int) {
	t.Helper()
	for range n {
		var c net.Conn
		must(t, pod.Do(func() (err error) { c, err = net.DialTimeout("tcp4", "10.0.0.2:80", 20*time.Second); return err }))
		t.Cleanup(func() { c.Close() })
		go func() {
			for in := bufio.NewReader(c); ; time.Sleep(20 * time.Millisecond) {
				if _, err := c.Write([]byte("x\n")); err != nil {
					return
				}
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
			}
		}()
	}
}

// TestPeersWindow has packets between two Pods of two nodes be lost: the agent of the one that sends them names the other end,
// keeps the window, and has the other end's agent keep the same one. Where the API server is away, it keeps its own.
func TestPeersWindow(t *testing.T) {
	sandbox.Need(t)
	for _, f := range tcpretransmit.Kind.Needs {
		if err := f.Have(); err != nil {
			t.Skip(err)
		}
	}
	for _, away := range []bool{false, true} {
		t.Run(map[bool]string{false: "the API server answers", true: "it is away"}[away], func(t *testing.T) {
			a, client := newAPI(t)
			h, theirs := recording(t, client, "n")
			u, err := url.Parse(h.URL)
			must(t, err)
			port, err := strconv.ParseUint(u.Port(), 10, 16)
			must(t, err)
			a.pods = []corev1.Pod{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))},
				Spec:       corev1.PodSpec{NodeName: "n"},
				Status:     corev1.PodStatus{PodIP: "10.0.0.2", HostIP: u.Hostname()},
			}}
			cluster(t, "window")
			pods := []*sandbox.NS{{Name: "window-0", Path: "/run/netns/window-0"}, {Name: "window-1", Path: "/run/netns/window-1"}}
			p := peers.New(peers.Options{Node: "m", Kube: client, Port: uint16(port), Log: log.New(io.Discard, "", 0)})
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { p.Run(ctx) })
			defer running.Wait()
			defer cancel()
			w := watcher(t, "m", pods[0], p, tcpconnect.Kind, tcpretransmit.Kind)
			rec, err := recorder.Open(recorder.Options{Dir: t.TempDir(), Node: "m", Disk: 16 << 20, Triggered: p.Window})
			must(t, err)
			defer rec.Close()
			rec.Opened(slices.Concat(tcpconnect.Kind.Stats, tcpretransmit.Kind.Stats))
			w.Apply(observe.Config{Recorder: observe.RecorderConfig{Off: true}})
			sub := w.Subscribe(10_000)
			var happened []event.Event
			at := time.Now().Add(-200 * time.Second)
			second := func(t time.Time) { // as Observer.Record, whose clock cannot be turned
				for len(sub.C) > 0 {
					e := <-sub.C
					happened = append(happened, e)
					rec.Event(e)
				}
				var samples []probe.Sample
				w.Samples(func(s probe.Sample) {
					s.Labels = slices.Clone(s.Labels)
					if s.Hist != nil {
						s.Hist = &probe.Hist{Bounds: s.Hist.Bounds, Counts: slices.Clone(s.Hist.Counts), Sum: s.Hist.Sum}
					}
					samples = append(samples, s)
				})
				rec.Second(t, samples)
			}
			echo(t, pods[1])
			chat(t, pods[0], 40)
			eventually(t, "the other agent records", func() bool { s := theirs.Recorder(); return s != nil && s.Seconds > 0 })
			for ; at.Before(time.Now()); at = at.Add(time.Second) {
				second(at)
			}
			a.broken.Store(away)
			must(t, pods[1].Run("", "iptables-nft", "-A", "INPUT", "-j", "DROP"))
			var own, kept []recorder.Episode
			count := func() (named, nameless int) {
				for _, e := range happened {
					switch {
					case e.Kind != "tcpretransmit" || e.Pod != "shop/web-0" || e.Packet.Dst.Addr() != netip.MustParseAddr("10.0.0.2"):
					case e.Peer == "shop/web-1":
						named++
					case e.Peer == "":
						nameless++
					default:
						t.Errorf("%s", e)
					}
				}
				return named, nameless
			}
			defer func() {
				if t.Failed() {
					named, nameless := count()
					t.Logf("%d events are named, %d not; %+v\nhere %+v\nthere %+v", named, nameless, p.State(), own, kept)
				}
			}()
			eventually(t, "an episode, and its events", func() bool {
				time.Sleep(100 * time.Millisecond) // its events come
				at = at.Add(time.Second)
				second(at)
				own, err = rec.Episodes()
				must(t, err)
				kept, err = theirs.Episodes()
				must(t, err)
				named, nameless := count()
				return len(own) > 0 && named+nameless > 0 && (away || len(kept) > 0)
			})
			if own[0].Why != "" || !strings.HasSuffix(own[0].ID, "-m") || own[0].Reasons[0].Pod != "shop/web-0" {
				t.Fatalf("%+v", own)
			}
			named, nameless := count()
			if away {
				if named > 0 || p.State().Failed == 0 || len(kept) > 0 {
					t.Errorf("%d events are named; %+v; %+v", named, p.State(), kept)
				}
				return
			}
			if named == 0 || nameless > 0 {
				t.Errorf("%d events are named, %d not", named, nameless)
			}
			got := kept[0]
			if got.ID != own[0].ID || !got.From.Equal(own[0].From) || !got.To.Equal(own[0].To) || got.Node != "n" || got.Bytes == 0 {
				t.Errorf("there %+v\nhere %+v", got, own[0])
			}
			if want := fmt.Sprintf("asked by m: %s of shop/web-0 was ", own[0].Reasons[0].Metric); !strings.HasPrefix(got.Why, want) || !strings.HasSuffix(got.Why, ", with shop/web-1") {
				t.Error(got.Why)
			}
		})
	}
}
