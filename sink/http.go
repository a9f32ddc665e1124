package sink

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// An HTTP is where a server is, and how it knows us.
type HTTP struct {
	URL          string `json:"url"`
	CAFile       string `json:"caFile,omitempty"`       // of the authority that signed its certificate, where that is not one of the machine's
	User         string `json:"user,omitempty"`         // basic authentication
	PasswordFile string `json:"passwordFile,omitempty"` // its password is in this file
	TokenFile    string `json:"tokenFile,omitempty"`    // or a bearer token in this one
}

func (c *HTTP) validate(name string) error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s.url: want http:// or https:// and a host", name) // it may hold a password: it is not shown
	case u.User != nil:
		return fmt.Errorf("%s.url: want no user in it, but %[1]s.user and %[1]s.passwordFile", name)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%s.url: want neither ? nor # in it", name)
	case (c.User == "") != (c.PasswordFile == ""):
		return fmt.Errorf("%s.user: want it and passwordFile, or neither", name)
	case c.User != "" && c.TokenFile != "":
		return fmt.Errorf("%s.tokenFile: want it or user, not both", name)
	case (c.User != "" || c.TokenFile != "") && u.Scheme != "https" && !loopback(u.Hostname()):
		return fmt.Errorf("%s.url: want https://, as a secret is sent there", name)
	case c.CAFile != "" && u.Scheme != "https":
		return fmt.Errorf("%s.caFile: want it with https:// only", name)
	}
	return errors.Join(absolute(name+".caFile", c.CAFile), absolute(name+".passwordFile", c.PasswordFile), absolute(name+".tokenFile", c.TokenFile))
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// answerTime is how long a server has for its answer.
const answerTime = 10 * time.Second

// A poster sends batches of JSON to one address.
type poster struct {
	url    string
	c      HTTP
	header http.Header
	again  func(status int) bool // whether it is worth trying again
	client *http.Client
}

// newPoster returns a poster to c.URL, which path is added to where it has none.
func newPoster(name string, c HTTP, path string, again func(int) bool) (*poster, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxConnsPerHost = 1
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%s.caFile: %w", name, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s.caFile: %s: no certificate in it", name, c.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s.url: %w", name, err)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = path
	}
	return &poster{
		url: u.String(), c: c, again: again,
		header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}, "User-Agent": {"plumbd"}},
		client: &http.Client{
			Transport: t, Timeout: answerTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret is for this server
		},
	}, nil
}

// post sends a body of n events, and returns what the server answers.
func (p *poster) post(ctx context.Context, body []byte, n int) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // to memory
	_ = z.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, &b)
	if err != nil {
		return nil, err
	}
	req.Header = p.header.Clone()
	if err := p.authenticate(req); err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode/100 == 2 {
		return answer, err
	}
	err = fmt.Errorf("%s: %s: %.200q", p.url, resp.Status, strings.TrimSpace(string(answer)))
	if p.again(resp.StatusCode) {
		return nil, &later{retryAfter(resp.Header.Get("Retry-After")), err}
	}
	return nil, &refusal{n, err}
}

func (p *poster) authenticate(req *http.Request) error {
	switch {
	case p.c.User != "":
		password, err := secret(p.c.PasswordFile)
		if err != nil {
			return fmt.Errorf("passwordFile: %w", err)
		}
		req.SetBasicAuth(p.c.User, password)
	case p.c.TokenFile != "":
		token, err := secret(p.c.TokenFile)
		if err != nil {
			return fmt.Errorf("tokenFile: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// retryAfter reads a header that has seconds or a date (RFC 9110, 10.2.3); 0 for none.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// Close gives up the connection.
func (p *poster) Close() error {
	p.client.CloseIdleConnections()
	return nil
}
