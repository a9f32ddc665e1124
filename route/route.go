// Package route says where the objects send a request that comes from outside: by the Ingresses, or the
// Gateways with their HTTPRoutes and TCPRoutes, to ports of Services.
//
// It reads networking.k8s.io/v1 and gateway.networking.k8s.io as they are documented. Both are read
// into [Rule]s of one form, as their precedence is the same: the host, the exact path, the
// longest path, and what else of the request is matched. What they leave to the implementation makes an
// answer [Unknown]. TLSRoutes and GRPCRoutes are not read, and nothing that controllers have of their own.
//
//	https://api.example.com/orders
//	 └ listener of a Gateway, by port, protocol and host ─► HTTPRoutes attached to it ┐
//	 └ all Ingresses of one class ────────────────────────────────────────────────────┴► rule ─► Service, port
package route

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Request is what comes from outside.
type Request struct {
	Scheme  string // "http", "https", "tcp"
	Host    string // in lower case
	Port    uint16
	Path    string            // begins with "/"
	Method  string            // "" is GET
	Headers map[string]string // by names in lower case
	Query   map[string]string
}

// Parse reads a URL: "https://api.example.com/orders?id=7".
func Parse(url string) (Request, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	r := Request{Scheme: strings.ToLower(scheme), Path: "/"}
	port, known := map[string]uint16{"http": 80, "https": 443, "tcp": 0}[r.Scheme]
	if !ok || !known {
		return r, fmt.Errorf("url %q: want http://HOST/PATH or https://HOST/PATH", url)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	host, path, ok := strings.Cut(rest, "/")
	if ok {
		r.Path = "/" + path
	}
	for _, q := range strings.FieldsFunc(query, func(c rune) bool { return c == '&' }) {
		if r.Query == nil {
			r.Query = map[string]string{}
		}
		k, v, _ := strings.Cut(q, "=")
		r.Query[k] = v
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		n, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil || n == 0 {
			return r, fmt.Errorf("url %q: port %q: want 1 to 65535", url, host[i+1:])
		}
		host, port = host[:i], uint16(n)
	}
	r.Host, r.Port = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), ".")), port
	if r.Host == "" || port == 0 || strings.ContainsFunc(r.Host, func(c rune) bool { return c <= ' ' || c > '~' || c == '@' }) {
		return r, fmt.Errorf("url %q: want http://HOST/PATH or https://HOST/PATH", url)
	}
	return r, nil
}

// An Answer says whether something is so.
type Answer uint8

// The answers. Unknown is the zero value.
const (
	Unknown Answer = iota
	Yes
	No
)

// String returns "unknown", "yes" or "no".
func (a Answer) String() string { return [...]string{"unknown", "yes", "no"}[a] }

// An Object names an object of the cluster.
type Object struct{ Kind, Namespace, Name string }

// String returns "Ingress/shop/api", "IngressClass/nginx".
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return snapshot.Key(o.Kind, o.Namespace, o.Name)
}

// An Entry is where requests get in: the Ingresses of one class, or a Gateway.
type Entry struct {
	Object     Object       // an IngressClass, whose name is "" where an Ingress has none; or a Gateway
	Controller string       // "k8s.io/ingress-nginx"; "" where the class is not there
	Addrs      []netip.Addr // in the status; sorted
	Names      []string     // the same, as names; sorted
	Fault      text.Text    // why nobody acts on it
}

// A Rule sends requests to Services.
type Rule struct {
	Object   Object // "Ingress/shop/api"
	Entry    *Entry
	Host     string // "" for any; "*.example.com"
	Path     string
	Type     PathType
	Method   string // "" for any
	Headers  []Pair
	Query    []Pair
	Backends []Backend
	Canary   bool      // it takes a share of what another Ingress's rule is for
	Redirect bool      // it answers by itself that the request is to go elsewhere
	Unclear  text.Text // why it is not known what it does with a request
	Fault    text.Text // why it does nothing

	scheme  string // "" for http and https
	port    uint16 // 0 for any
	catches string // the host of the listener
	fixed   bool   // the default backend of an Ingress, for what no rule takes
	created time.Time
	order   int
}

// A Pair is a header or a parameter that a request must have.
type Pair struct {
	Name, Value string
	Pattern     bool // Value is a regular expression
}

// A PathType says how a rule's path is compared.
type PathType uint8

// The types of paths. Prefix is the zero value: elements between slashes are compared.
const (
	Prefix PathType = iota
	Exact
	Specific // the controller's matter: exact, a prefix, or an expression
	Pattern  // a regular expression
)

// A Backend is a port of a Service, or something else that requests are sent to.
type Backend struct {
	Namespace, Name string
	Port            int32  // 0 where it is named
	PortName        string // of an Ingress
	Weight          int32
	Fault           text.Text // why nothing gets there: requests are answered by 500, or 503
	Unclear         text.Text // why that is not known
}

// Title returns what the rule matches: "api.example.com /orders".
func (r *Rule) Title() string {
	parts := []string{cmp.Or(r.Host, "*")}
	if r.scheme != "tcp" {
		parts = append(parts, r.Path)
	}
	if r.Method != "" {
		parts = append(parts, r.Method)
	}
	for _, h := range slices.Concat(r.Headers, r.Query) {
		parts = append(parts, h.Name+"="+h.Value)
	}
	return strings.Join(parts, " ")
}
