//go:build linux

// Package peers knows who is at the other end of what happens on a node: it asks the API server which Pod, or else which
// Service, has an address, where an event names one that is not of this node, and what Kubernetes did to those of an episode. It asks little, keeps no event for longer than a
// second, and remembers no more than the last answers.
package peers

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/recorder"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
)

const (
	waitTime   = time.Second      // that an event waits for a name
	held       = time.Minute      // an answer holds so long: the address may be another Pod's then
	heldPublic = 10 * time.Minute // that there is none, of an address that may be anyone's: clients of the world outside
	maxKnown   = 4096             // addresses, of some 200 bytes each
	maxWaiting = 256              // events
	ownTime    = 10 * time.Second // between two looks which addresses this node has
	skew       = 2 * time.Second  // by which clocks may differ
	unservable = time.Hour        // that Services or Events are not asked for, where the API server will not tell them
)

// Of its time the API server gives this node no more than a share, and at once no more than a burst: the answer for an address
// is looked for among all Pods, and then all Services, which takes it microseconds in a small cluster and some 20 ms where there are 100,000.
// 5,000 nodes that are all in trouble are 10 of its CPUs at the most, and mostly none. After no answer there is none for a minute.
const (
	share = 500
	burst = 500 * time.Millisecond
	debt  = time.Minute / share
)

// Options say what Peers work with.
type Options struct {
	Node string       // this one
	Kube *kube.Client // who is asked
	Port uint16       // that the agents of other nodes listen on, as this one
	Log  *log.Logger
}

// Peers name who has an address beyond this node.
type Peers struct {
	o         Options
	questions chan question
	windows   chan recorder.Episode
	complain  rate.Sometimes // in the log, of windows that another node does not keep

	mu    sync.Mutex
	over  bool
	known map[netip.Addr]answer
	left  time.Duration // of the API server's time
	since time.Time
	own   map[netip.Addr]bool // this node's addresses
	looks time.Time           // when these were read
	state State

	services time.Time // until when these are not asked for; Run's alone

	news chan news
	deaf time.Time       // until when Events are not asked for; it and told are tellNews' alone
	told map[string]bool // Events, each as often as it had come
}

// A State is how Peers are. Its counters only rise.
type State struct {
	Named   uint64 `json:"named"`   // addresses that the API server named
	None    uint64 `json:"none"`    // that are no Pod's, and no Service's
	Failed  uint64 `json:"failed"`  // questions that it did not answer
	Unasked uint64 `json:"unasked"` // that were one too many
	Windows uint64 `json:"windows"` // that other nodes keep, since this one asked for it
	Refused uint64 `json:"refused"` // that they do not, or could not be asked for
	Err     string `json:"error,omitempty"`
	Blind   string `json:"services,omitempty"` // why no Service is named
	Deaf    string `json:"events,omitempty"`   // why it is not told what Kubernetes did
}

// A question is an event's that waits for a name.
type question struct {
	at    time.Time
	pod   string
	addrs []netip.Addr
	tell  func(string)
	until time.Time
}

// An answer is who has an address.
type answer struct {
	when    time.Time // it was asked for
	tenants []tenant
}

// A tenant has an address for a time.
type tenant struct {
	name     string     // "shop/web-0", the node's where the address is its own, or a Service's
	node     string     // "" of a Service
	host     netip.Addr // of the node
	from, to time.Time  // zero for always, and for still
}

// New returns Peers. They ask nobody before Run.
func New(o Options) *Peers {
	return &Peers{o: o, questions: make(chan question, maxWaiting), windows: make(chan recorder.Episode, maxWindows), known: map[netip.Addr]answer{}, left: burst, since: time.Now(), complain: rate.Sometimes{Interval: 10 * time.Minute},
		news: make(chan news, maxNews), told: map[string]bool{}}
}

// Name tells who but pod had one of the addresses at that time, "" where that is not known: at once where nobody
// need be asked, or nobody can be, and else within a second, from another goroutine.
func (p *Peers) Name(at time.Time, pod string, addrs []netip.Addr, tell func(string)) {
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	q := question{at, pod, addrs, tell, time.Now().Add(waitTime)}
	name, unknown := p.recall(q)
	if name == "" && unknown && p.wait(q) {
		return
	}
	tell(name)
}

// recall returns who it is, as far as that is known, and whether an address is not.
func (p *Peers) recall(q question) (name string, unknown bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range q.addrs {
		known, ok := p.fresh(a)
		if !ok {
			unknown = true
			continue
		}
		if name := known.name(q); name != "" {
			return name, false
		}
	}
	return "", unknown
}

// fresh returns what was last known of an address, and whether that still holds. It is known of some that they are no Pod's.
func (p *Peers) fresh(a netip.Addr) (answer, bool) {
	if !a.IsGlobalUnicast() {
		return answer{}, true
	}
	known, ok := p.known[a]
	hold := held
	if known.tenants == nil && public(a) {
		hold = heldPublic
	}
	return known, ok && time.Since(known.when) < hold
}

var shared = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address may be anyone's in the world.
func public(a netip.Addr) bool { return !a.IsPrivate() && !shared.Contains(a) }

// name returns who but the Pod of the question had the address, "" for nobody.
func (a answer) name(q question) string {
	var best tenant
	for _, t := range a.tenants {
		began, ended := t.from.Add(-skew), t.to.Add(skew)
		if t.name == q.pod || q.at.Before(began) || !t.to.IsZero() && q.at.After(ended) || t.from.Before(best.from) {
			continue
		}
		best = t
	}
	return best.name
}

// wait has a question wait for its turn, unless that is for nothing.
func (p *Peers) wait(q question) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over && slices.ContainsFunc(q.addrs, p.may) {
		select {
		case p.questions <- q:
			return true
		default:
		}
	}
	p.state.Unasked++
	return false
}

// may reports whether the API server may be asked for an address. Those that may be anyone's leave half of the burst to the others.
func (p *Peers) may(a netip.Addr) bool {
	if public(a) {
		return p.budget() > burst/2
	}
	return p.budget() > 0
}

// budget returns how much of its time the API server may yet be taken.
func (p *Peers) budget() time.Duration {
	now := time.Now()
	p.left = min(burst, p.left+now.Sub(p.since)/share)
	p.since = now
	return p.left
}

// Run asks, until ctx ends.
func (p *Peers) Run(ctx context.Context) {
	var sending sync.WaitGroup
	sending.Go(func() { p.send(ctx) })
	sending.Go(func() { p.tellNews(ctx) })
	defer sending.Wait()
	for {
		select {
		case q := <-p.questions:
			p.find(ctx, q)
		case <-ctx.Done():
			p.end()
			return
		}
	}
}

// end tells those who wait that nobody asks any more.
func (p *Peers) end() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	for {
		select {
		case q := <-p.questions:
			q.tell("")
		default:
			return
		}
	}
}

// find asks for a question's addresses until one is named.
func (p *Peers) find(ctx context.Context, q question) {
	name, unknown := p.recall(q) // another has asked in the meantime
	for _, a := range q.addrs {
		if name != "" || !unknown {
			break
		}
		p.ask(ctx, a, q.until)
		name, _ = p.recall(q)
	}
	q.tell(name)
}

// ask asks for one address, if there is time for that.
func (p *Peers) ask(ctx context.Context, a netip.Addr, until time.Time) {
	p.mu.Lock()
	before, ok := p.fresh(a)
	own := !ok && p.isOwn(a)
	if own {
		p.remember(a, nil)
	}
	may := !ok && !own && p.may(a)
	p.mu.Unlock()
	if !may || !time.Now().Before(until) {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	found, err := p.look(ctx, a, before.tenants)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spent(start, err); err != nil {
		return
	}
	for addr, list := range found {
		p.remember(addr, list)
	}
	if found[a] == nil {
		p.state.None++
		return
	}
	p.state.Named++
}

// spent takes what a question took from the time that is left, all of it where the API server did not answer.
func (p *Peers) spent(start time.Time, err error) {
	p.left = max(-debt, p.left-time.Since(start))
	if err == nil {
		p.state.Err = ""
		return
	}
	p.left = -debt
	p.state.Failed++
	if err.Error() != p.state.Err {
		p.o.Log.Printf("what the API server knows: %v", err)
	}
	p.state.Err = err.Error()
}

// answers are who has the addresses that were asked for, and those of the other family, which cannot be asked for.
type answers map[netip.Addr][]tenant

// look asks who has an address: a Pod, or else a Service. What was a Service's will be one's again.
func (p *Peers) look(ctx context.Context, a netip.Addr, before []tenant) (answers, error) {
	service := len(before) == 1 && isService(before[0].name)
	if service {
		if found, err := p.serving(ctx, a); err != nil || found[a] != nil {
			return found, err
		}
	}
	pods, err := p.pods(ctx, a, before)
	if err != nil {
		return nil, err
	}
	found := answers{a: tenants(pods, a)}
	for i := range pods {
		for _, ip := range pods[i].Status.PodIPs {
			if other, err := netip.ParseAddr(ip.IP); err == nil && other != a && !pods[i].Spec.HostNetwork {
				found[other] = tenants(pods, other)
			}
		}
	}
	if found[a] != nil || service {
		return found, nil
	}
	return p.serving(ctx, a)
}

func isService(name string) bool {
	_, _, ok := event.SplitService(name)
	return ok
}

// serving asks for the Service with a cluster address. It returns none where the API server will not tell.
func (p *Peers) serving(ctx context.Context, a netip.Addr) (answers, error) {
	found := answers{a: nil}
	if time.Now().Before(p.services) {
		return found, nil
	}
	list, err := p.o.Kube.ServicesBy(ctx, "", "spec.clusterIP="+a.String())
	if refused(err) {
		p.services = time.Now().Add(unservable)
		p.blind(err.Error())
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	p.blind("")
	for i := range list {
		s := &list[i]
		t := tenant{name: event.Service(s.Namespace, s.Name), from: s.CreationTimestamp.Time}
		for _, ip := range s.Spec.ClusterIPs {
			if addr, err := netip.ParseAddr(ip); err == nil {
				found[addr] = append(found[addr], t)
			}
		}
	}
	return found, nil
}

// refused reports whether the API server will not pick Services by their address: it may not for this agent, or cannot before 1.31.
func refused(err error) bool {
	var forbidden *kube.Forbidden
	var status *kube.StatusError
	return errors.As(err, &forbidden) || errors.As(err, &status) && status.Code == http.StatusBadRequest
}

// blind notes why no Service is named, "" where one would be.
func (p *Peers) blind(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why != "" && why != p.state.Blind {
		p.o.Log.Printf("addresses of Services have no names: %v", why)
	}
	p.state.Blind = why
}

// isOwn reports whether an address is this node's.
func (p *Peers) isOwn(a netip.Addr) bool {
	if time.Since(p.looks) > ownTime {
		p.looks, p.own = time.Now(), map[netip.Addr]bool{}
		addrs, _ := net.InterfaceAddrs() // without them they are asked for, and this node is named
		for _, x := range addrs {
			if prefix, err := netip.ParsePrefix(x.String()); err == nil {
				p.own[prefix.Addr()] = true
			}
		}
	}
	return p.own[a]
}

// remember keeps an answer.
func (p *Peers) remember(a netip.Addr, list []tenant) {
	for old, known := range p.known {
		if len(p.known) < maxKnown {
			break
		}
		if time.Since(known.when) > held {
			delete(p.known, old)
		}
	}
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	p.known[a] = answer{time.Now(), list}
}

// pods asks for the Pods with an address. The one that had it is asked for by its name, which is no search.
func (p *Peers) pods(ctx context.Context, a netip.Addr, before []tenant) ([]corev1.Pod, error) {
	if len(before) == 1 && !isService(before[0].name) {
		if namespace, name := event.Split(before[0].name); namespace != "" {
			pods, err := p.o.Kube.PodsBy(ctx, namespace, "metadata.name="+name)
			if now := tenants(pods, a); err != nil || len(now) > 0 && now[0].to.IsZero() {
				return pods, err
			}
		}
	}
	return p.o.Kube.PodsBy(ctx, "", "status.podIP="+a.String())
}

// tenants returns who of the Pods has an address; of those on a node's own network, the node.
func tenants(pods []corev1.Pod, a netip.Addr) (out []tenant) {
	for i := range pods {
		pod := &pods[i]
		if !slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return same(ip.IP, a) }) && !same(pod.Status.PodIP, a) {
			continue
		}
		t := tenant{name: pod.Namespace + "/" + pod.Name, node: pod.Spec.NodeName, from: pod.CreationTimestamp.Time, to: ended(pod)}
		t.host, _ = netip.ParseAddr(pod.Status.HostIP)
		if pod.Spec.HostNetwork {
			t.name, t.from, t.to = t.node, time.Time{}, time.Time{}
		}
		if !slices.ContainsFunc(out, func(have tenant) bool { return have.name == t.name }) {
			out = append(out, t)
		}
	}
	return out
}

func same(s string, a netip.Addr) bool {
	b, err := netip.ParseAddr(s)
	return err == nil && a == b
}

// ended returns when a Pod's containers had all ended, zero for one that runs. It keeps its address in the API, and has it no more.
func ended(pod *corev1.Pod) (at time.Time) {
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return at
	}
	at = pod.CreationTimestamp.Time
	for _, c := range pod.Status.ContainerStatuses {
		if e := c.State.Terminated; e != nil && e.FinishedAt.After(at) {
			at = e.FinishedAt.Time
		}
	}
	return at
}

// Forget gives up the memory that answers take.
func (p *Peers) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}

// State returns how they are.
func (p *Peers) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}
