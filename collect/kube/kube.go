// Package kube talks to the Kubernetes API server: it lists the objects that plumb reads,
// finds plumb's agents and reaches them through the server's proxy, and asks the server who
// a caller is and what he may. Only the kinds and fields that plumb needs are asked for, and
// what may be secret is dropped before anything else sees it.
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/connrotation"
)

// Options say which cluster to talk to, as kubectl's flags of the same names do.
type Options struct {
	Kubeconfig string        // a file; "" for $KUBECONFIG or ~/.kube/config, and within a Pod its own
	Context    string        // "" for the current one
	Namespace  string        // "" for the context's
	Timeout    time.Duration // of one request; 0 for 30 s
}

// A Client talks to one API server.
type Client struct {
	Context   string // of the kubeconfig; "" within a Pod
	Server    string // "https://10.0.0.1:6443"
	Namespace string // the one that names without a namespace are in
	base      *url.URL
	http      *http.Client
	timeout   time.Duration

	disconnect func() // closes all connections; nil where nobody asks for that
}

// ErrNoConfig means that there is neither a kubeconfig nor a cluster that this runs in.
var ErrNoConfig = errors.New("no kubeconfig, and not in a Pod")

// Connect reads the configuration. It sends nothing yet.
func Connect(o Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: o.Context,
		Context:        api.Context{Namespace: o.Namespace},
	})
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, ErrNoConfig
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	c, err := newClient(config, o.Timeout)
	if err != nil {
		return nil, err
	}
	c.Namespace, _, err = loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if raw, err := loader.RawConfig(); err == nil {
		c.Context = cmp.Or(o.Context, raw.CurrentContext)
	}
	return c, nil
}

// InCluster connects from within a Pod, as the Pod's ServiceAccount. Others are addresses
// (host:port) of the API server to try where that of its Service does not answer.
func InCluster(others ...string) (*Client, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	dialer := connrotation.NewDialer(connrotation.DialFunc(orElse((&net.Dialer{KeepAlive: 30 * time.Second}).DialContext, others)))
	config.Dial = dialer.DialContext
	c, err := newClient(config, 0)
	if err != nil {
		return nil, err
	}
	c.disconnect = dialer.CloseAll
	if name, err := os.ReadFile(accountNamespace); err == nil {
		c.Namespace = strings.TrimSpace(string(name))
	}
	return c, nil
}

// accountNamespace is where kubelet says which namespace a Pod is in, beside its token.
const accountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func newClient(config *rest.Config, timeout time.Duration) (*Client, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "plumb"
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: server %q: %w", config.Host, err)
	}
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return &Client{Server: base.String(), Namespace: metav1.NamespaceDefault, base: base, http: h, timeout: cmp.Or(timeout, 30*time.Second)}, nil
}

// Disconnect closes all connections of a client that is in a Pod. Requests that use them fail.
func (c *Client) Disconnect() {
	if c.disconnect != nil {
		c.disconnect()
	}
}

// A Forbidden error means that the server does not let this user do something, and names the
// rule of RBAC that would.
type Forbidden struct {
	Verb, Group, Resource, Namespace, Name string
	Message                                string // of the server
}

// Error names the rule that is missing.
func (e *Forbidden) Error() string { return fmt.Sprintf("forbidden: needs %s", e.Rule()) }

// Rule returns what the user lacks, as a line of a Role: `apiGroups: [""], resources: ["pods"], verbs: ["list"]`.
func (e *Forbidden) Rule() string {
	rule := fmt.Sprintf("apiGroups: [%q], resources: [%q], verbs: [%q]", e.Group, e.Resource, e.Verb)
	if e.Name != "" {
		rule += fmt.Sprintf(", resourceNames: [%q]", e.Name)
	}
	if e.Namespace != "" {
		rule += " in namespace " + e.Namespace
	}
	return rule
}

// A StatusError is any other answer that is not the one asked for.
type StatusError struct {
	Code     int // of HTTP
	Message  string
	Continue string // where a list that grew too old may go on
	Agent    bool   // it is the answer of an agent, to which the API server passed the request
}

// Error gives the server's message.
func (e *StatusError) Error() string {
	who := "the API server"
	if e.Agent {
		who = "plumbd"
	}
	return fmt.Sprintf("%s answers %d: %s", who, e.Code, e.Message)
}

// notFound reports whether err says that there is no such object, or no such kind.
func notFound(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// A target is what a request is about, in the terms of RBAC.
type target struct {
	verb      string // "list", "get", "create", "delete"
	group     string // "" for the core
	version   string // "v1"
	namespace string // "" for all, and for what has none
	resource  string // "pods", "pods/proxy"
	name      string
}

// path returns the path at the API server.
func (t target) path() string {
	resource, sub, _ := strings.Cut(t.resource, "/")
	parts := []string{"apis", t.group, t.version}
	if t.group == "" {
		parts = []string{"api", t.version}
	}
	if t.namespace != "" {
		parts = append(parts, "namespaces", t.namespace)
	}
	parts = append(parts, resource)
	if t.name != "" {
		parts = append(parts, t.name)
	}
	if sub != "" {
		parts = append(parts, sub)
	}
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return "/" + strings.Join(parts, "/")
}

var methods = map[string]string{"list": http.MethodGet, "get": http.MethodGet, "create": http.MethodPost, "delete": http.MethodDelete}

// The media types of the API.
const (
	typeJSON     = "application/json"
	typeProtobuf = "application/vnd.kubernetes.protobuf"
)

// do sends one request. The caller closes the body of the answer, which is one of 2xx.
func (c *Client) do(ctx context.Context, t target, query url.Values, accept string, body []byte) (*http.Response, error) {
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") // of a server behind a path
	u = *u.JoinPath(t.path())
	u.RawQuery = query.Encode()
	var in io.Reader
	if body != nil {
		in = strings.NewReader(string(body))
	}
	req, err := http.NewRequestWithContext(ctx, methods[t.verb], u.String(), in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if body != nil {
		req.Header.Set("Content-Type", typeJSON)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unwrapURL(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.failed(t, resp)
}

// unwrapURL drops the URL, which is long and says little, from an error of net/http.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the API server cannot be asked: %w", u.Err)
	}
	return err
}

// maxStatus bounds what is read of an answer that tells of a failure, in bytes.
const maxStatus = 16 << 10

// failed turns an answer that is not of 2xx into an error.
func (c *Client) failed(t target, resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	message := strings.TrimSpace(string(data))
	var status metav1.Status
	if json.Unmarshal(data, &status) == nil && status.Message != "" {
		message = status.Message
	}
	if resp.StatusCode == http.StatusForbidden {
		return &Forbidden{t.verb, t.group, t.resource, t.namespace, t.name, message}
	}
	return &StatusError{Code: resp.StatusCode, Message: cmp.Or(message, http.StatusText(resp.StatusCode)), Continue: status.Continue}
}

// call sends in, where it is not nil, and decodes the answer into out.
func (c *Client) call(ctx context.Context, t target, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	resp, err := c.do(ctx, t, nil, typeJSON, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, maxPage)).Decode(out)
}
