package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// again is how long to wait after the API server did not answer, or ended its answer at once.
const again = time.Second

// An object is a Pod, a Namespace or a NetworkPolicy.
type object[T any] interface {
	*T
	metav1.Object
}

// A cache holds what the API server has said.
type cache struct {
	mu         sync.Mutex
	pods       map[string]corev1.Pod // nil: not heard of yet
	namespaces map[string]corev1.Namespace
	policies   map[string]networkingv1.NetworkPolicy
	changed    chan struct{} // has room for one
}

func newCache() *cache { return &cache{changed: make(chan struct{}, 1)} }

// world returns what is known, and whether all kinds have been heard of.
func (c *cache) world() (World, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := World{slices.Collect(maps.Values(c.pods)), slices.Collect(maps.Values(c.namespaces)), slices.Collect(maps.Values(c.policies))}
	return w, c.pods != nil && c.namespaces != nil && c.policies != nil
}

// tell says that something has changed.
func (c *cache) tell() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// A server is the API server, as an enforcer asks it: by HTTP and JSON, without a client library.
type server struct {
	url    string
	client *http.Client
	log    func(format string, args ...any)
}

// follow keeps one of the cache's maps as the API server has it, until the context ends.
func follow[T any, P object[T]](ctx context.Context, s *server, c *cache, path string, kept *map[string]T) {
	for ctx.Err() == nil {
		version, err := list[T, P](ctx, s, c, path, kept)
		for err == nil {
			begun := time.Now()
			version, err = watch[T, P](ctx, s, c, path, version, kept)
			if time.Since(begun) < again {
				sleep(ctx, again)
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.log("%s: %v", path, err)
		sleep(ctx, again)
	}
}

// list asks for all objects, and returns the version from which they can be watched.
func list[T any, P object[T]](ctx context.Context, s *server, c *cache, path string, kept *map[string]T) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := s.get(ctx, path)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var l struct {
		Metadata metav1.ListMeta
		Items    []T
	}
	if err := json.NewDecoder(body).Decode(&l); err != nil {
		return "", err
	}
	m := map[string]T{}
	for _, o := range l.Items {
		m[P(&o).GetNamespace()+"/"+P(&o).GetName()] = o
	}
	c.mu.Lock()
	*kept = m
	c.mu.Unlock()
	c.tell()
	return l.Metadata.ResourceVersion, nil
}

// watch follows changes until the API server ends the answer, and returns the version that was reached.
func watch[T any, P object[T]](ctx context.Context, s *server, c *cache, path, version string, kept *map[string]T) (string, error) {
	body, err := s.get(ctx, path+"?watch=1&allowWatchBookmarks=true&timeoutSeconds=240&resourceVersion="+version)
	if err != nil {
		return "", err
	}
	defer body.Close()
	for d := json.NewDecoder(body); ; {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return version, nil
		} else if err != nil {
			return "", err
		}
		if e.Type == "ERROR" {
			return "", fmt.Errorf("watch: %s", e.Object)
		}
		var o T
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return "", err
		}
		version = P(&o).GetResourceVersion()
		if e.Type == "BOOKMARK" {
			continue
		}
		c.mu.Lock()
		if key := P(&o).GetNamespace() + "/" + P(&o).GetName(); e.Type == "DELETED" {
			delete(*kept, key)
		} else {
			(*kept)[key] = o
		}
		c.mu.Unlock()
		c.tell()
	}
}

// get returns the body of an answer.
func (s *server) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	r, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		defer r.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(r.Body, 1000))
		return nil, fmt.Errorf("%s: %s", r.Status, b)
	}
	return r.Body, nil
}

// The paths of what an enforcer has to know.
const (
	podsPath       = "/api/v1/pods"
	namespacesPath = "/api/v1/namespaces"
	policiesPath   = "/apis/networking.k8s.io/v1/networkpolicies"
)

// watchAll follows all kinds until the context ends.
func (s *server) watchAll(ctx context.Context, c *cache) {
	var g sync.WaitGroup
	g.Go(func() { follow(ctx, s, c, podsPath, &c.pods) })
	g.Go(func() { follow(ctx, s, c, namespacesPath, &c.namespaces) })
	g.Go(func() { follow(ctx, s, c, policiesPath, &c.policies) })
	g.Wait()
}
