//go:build linux

package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/recorder"
)

const (
	maxWindows = 8               // that wait for their turn
	sendTime   = 5 * time.Second // for one node
	maxAnswer  = 1 << 10         // bytes of why it does not
)

// A Window is what an agent asks of another: to keep what it recorded then.
type Window struct {
	ID   string    `json:"id"`
	Why  string    `json:"why"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Window has the agents of an episode's peers keep the same window. It does not wait for them.
func (p *Peers) Window(e recorder.Episode) {
	if len(e.Peers) == 0 {
		return
	}
	select {
	case p.windows <- e:
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.state.Refused++
	}
}

// send asks, one node after the other, until ctx ends.
func (p *Peers) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-p.windows:
			for _, t := range p.nodes(e.Peers) {
				p.count(t.node, p.sendTo(ctx, t, e))
			}
		}
	}
}

func (p *Peers) count(node string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.state.Windows++
		return
	}
	p.state.Refused++
	p.complain.Do(func() { p.o.Log.Printf("the same window on node %s: %v", node, err) })
}

// nodes returns the other nodes that peers are on, which answers told.
func (p *Peers) nodes(names []string) (out []tenant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	on := map[string]tenant{}
	for _, a := range p.known {
		for _, t := range a.tenants {
			on[t.name] = t
		}
	}
	have := map[string]bool{"": true, p.o.Node: true}
	for _, name := range names {
		if t := on[name]; !have[t.node] && t.host.IsValid() {
			have[t.node] = true
			out = append(out, t)
		}
	}
	return out
}

// client is for agents, whose certificates are their own. What it shows them is good for nothing elsewhere.
var client = &http.Client{
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// sendTo asks one agent, with a token that is good for this agent and for this alone.
func (p *Peers) sendTo(ctx context.Context, t tenant, e recorder.Episode) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	token, err := p.o.Kube.Token(ctx, p.o.Kube.Namespace, kube.PeerAccount, t.node)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Window{e.ID, why(e, t), e.From, e.To})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address(t.host, p.o.Port)+"/freeze", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return fmt.Errorf("%s: %q", resp.Status, strings.TrimSpace(string(said)))
}

func address(host netip.Addr, port uint16) string {
	return net.JoinHostPort(host.String(), strconv.Itoa(int(port)))
}

// why says what the other node's agent saw.
func why(e recorder.Episode, t tenant) string {
	out := "asked by " + e.Node
	if len(e.Reasons) > 0 {
		r := e.Reasons[0]
		out += fmt.Sprintf(": %s of %s was %.3g, usually %.3g", r.Metric, r.Pod, r.Value, r.Usual)
	}
	return out + ", with " + t.name
}
