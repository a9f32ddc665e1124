package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Names of what the manifest in deploy/ makes.
const (
	Namespace      = "plumb"         // of the agents, unless the manifest was changed
	AgentImage     = "plumbd:v0.1.0" // that "make image" makes, and deploy/plumb.yaml runs
	AgentSelector  = "app.kubernetes.io/name=plumbd"
	ClientAccount  = "plumb-cli"           // the ServiceAccount that a person's token is made for
	PeerAccount    = "plumb-peer"          // that an agent's token for another agent is made for
	AgentPortName  = "https"               // of the agents' container port
	TokenHeader    = "Plumb-Authorization" // the API server's proxy keeps Authorization to itself
	AgentHeader    = "Plumb-Agent"         // that every answer of an agent has, with its version
	tokenLifetime  = 10 * time.Minute      // the shortest that the API server gives
	maxProxyStatus = 4 << 10
)

// An Agent is one plumbd.
type Agent struct {
	Node      string
	Namespace string
	Pod       string
	Port      int32
	Ready     bool
	Why       string // why it is not ready: "Pending: 0/3 nodes are available …"
	job       string // that runs it, of one that [Client.RunOn] made
}

// Agents finds the agents in a namespace, by node: those of all nodes, or with a name that of one, as the API server remembers it.
func (c *Client) Agents(ctx context.Context, namespace, node string) ([]Agent, error) {
	query := url.Values{"labelSelector": {AgentSelector}, "limit": {fmt.Sprint(pageSize)}}
	if node != "" {
		query.Set("fieldSelector", "spec.nodeName="+node)
		query.Set("resourceVersion", "0")
	}
	t := target{verb: "list", version: "v1", namespace: namespace, resource: "pods"}
	var out []Agent
	for {
		page, err := c.page(ctx, t, typeProtobuf, query)
		if err != nil {
			return nil, err
		}
		var list corev1.PodList
		if err := unmarshal(page, &list); err != nil {
			return nil, err
		}
		for i := range list.Items {
			out = append(out, newAgent(&list.Items[i]))
		}
		if list.Continue == "" || len(out) > maxObjects {
			slices.SortFunc(out, func(a, b Agent) int { return strings.Compare(a.Node, b.Node) })
			return out, nil
		}
		query.Set("continue", list.Continue)
	}
}

func newAgent(p *corev1.Pod) Agent {
	a := Agent{Node: p.Spec.NodeName, Namespace: p.Namespace, Pod: p.Name}
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == AgentPortName {
				a.Port = port.ContainerPort
			}
		}
	}
	a.Why = string(p.Status.Phase)
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil:
			a.Ready, a.Why = true, ""
			return a
		case c.Status == corev1.ConditionFalse && c.Message != "":
			a.Why = string(p.Status.Phase) + ": " + c.Message
		}
	}
	if p.DeletionTimestamp != nil {
		a.Why = "being deleted"
	}
	return a
}

// Gone reports whether the API server says that an agent which was asked is no more.
func Gone(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound && !s.Agent
}

// Audience is that of the tokens which the agent of a node takes: worth nothing at the API server,
// nor to the agent of another node, to which an agent that was sent one could show it.
func Audience(node string) string { return "plumbd/" + node }

// Token makes a token for the agent of a node, good for ten minutes, of a ServiceAccount in the namespace:
// [ClientAccount] or [PeerAccount].
func (c *Client) Token(ctx context.Context, namespace, account, node string) (string, error) {
	t := target{verb: "create", version: "v1", namespace: namespace, resource: "serviceaccounts/token", name: account}
	in := authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{Audiences: []string{Audience(node)}, ExpirationSeconds: ptr.To(int64(tokenLifetime.Seconds()))},
	}
	var out authenticationv1.TokenRequest
	if err := c.call(ctx, t, in, &out); err != nil {
		return "", fmt.Errorf("a token for the agents: %w", err)
	}
	return out.Status.Token, nil
}

// Proxy sends a request to an agent by way of the API server, with the token. The caller
// closes the body. An answer of the agent that is not of 2xx is a [StatusError].
func (c *Client) Proxy(ctx context.Context, a Agent, token, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	t := target{version: "v1", namespace: a.Namespace, resource: "pods/proxy", name: fmt.Sprintf("https:%s:%d", a.Pod, a.Port)}
	u := c.base.JoinPath(t.path(), path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(TokenHeader, "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unwrapURL(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.Header.Get(AgentHeader) != "" { // its own word, not the API server's
		why, _ := io.ReadAll(io.LimitReader(resp.Body, maxProxyStatus))
		return nil, &StatusError{Code: resp.StatusCode, Message: strings.TrimSpace(string(why)), Agent: true}
	}
	t.verb = map[string]string{http.MethodGet: "get", http.MethodPost: "create"}[method]
	return nil, c.failed(t, resp)
}
