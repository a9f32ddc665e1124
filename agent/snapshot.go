//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/snapshot"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	maxPods    = 512             // of one request; a node has 110, big ones 500
	chunk      = 64 << 10        // bytes that are sent at once
	readerTime = 2 * time.Minute // that a reader may take for all of it
)

// chunkTime is how long a reader may take for one chunk; a variable for the tests.
var chunkTime = 10 * time.Second

// snapshot sends the state of the node: all of it, or what the query names.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	pods, counters, err := named(r.URL.RawQuery)
	if err != nil {
		fail(w, err)
		return
	}
	key := "whole"
	if pods != nil {
		key = "pods " + strings.Join(pods, " ")
	}
	if counters { // who asks again wants other counts
		key = fmt.Sprintf("counters %d %s", s.asked.Add(1), key)
	}
	bundle, release, err := s.work.do(r.Context(), key, func(ctx context.Context) ([]byte, error) { return s.bundle(ctx, pods, counters) })
	if err != nil {
		fail(w, err)
		return
	}
	defer release()
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Length", strconv.Itoa(len(bundle)))
	send(w, bundle)
}

// named returns the Pods that a query names, sorted: none for "netns=host", nil for the whole node; and whether
// it wants counts.
func named(query string) (pods []string, counters bool, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, false, refuse(http.StatusBadRequest, "query: %v", err)
	}
	for key := range q {
		if key != "netns" && key != "pod" && key != "counters" {
			return nil, false, refuse(http.StatusBadRequest, "query: %q is not known: netns, pod, counters", key)
		}
	}
	for _, n := range q["netns"] {
		if n != "host" {
			return nil, false, refuse(http.StatusBadRequest, "netns %q: want host, or pod=NAMESPACE/NAME", n)
		}
	}
	for _, n := range q["counters"] {
		if n != "1" {
			return nil, false, refuse(http.StatusBadRequest, "counters %q: want 1", n)
		}
		counters = true
	}
	if len(q["netns"])+len(q["pod"]) == 0 {
		return nil, counters, nil
	}
	if len(q["pod"]) > maxPods {
		return nil, false, refuse(http.StatusBadRequest, "more than %d Pods", maxPods)
	}
	for _, p := range q["pod"] {
		if err := podName(p); err != nil {
			return nil, false, err
		}
	}
	pods = append([]string{}, q["pod"]...)
	slices.Sort(pods)
	return slices.Compact(pods), counters, nil
}

// podName refuses what is not the name of a Pod with its namespace (RFC 1123, as Kubernetes has it).
func podName(s string) error {
	ns, name, _ := strings.Cut(s, "/")
	if len(validation.IsDNS1123Label(ns)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return refuse(http.StatusBadRequest, "pod %q: want NAMESPACE/NAME", s)
	}
	return nil
}

// bundle collects, and packs what there is.
func (s *Server) bundle(ctx context.Context, pods []string, counters bool) ([]byte, error) {
	o := s.o.Collect
	o.Pods, o.Counters = pods, counters
	files, err := node.Collect(ctx, o)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = snapshot.Write(&out, files)
	return out.Bytes(), errors.Join(err, ctx.Err())
}

// send writes a bundle to a reader who keeps up.
func send(w http.ResponseWriter, bundle []byte) {
	control, end := http.NewResponseController(w), time.Now().Add(readerTime)
	for len(bundle) > 0 {
		deadline := time.Now().Add(chunkTime)
		if deadline.After(end) {
			deadline = end
		}
		_ = control.SetWriteDeadline(deadline) // a test's recorder has none
		n, err := w.Write(bundle[:min(chunk, len(bundle))])
		if err != nil {
			return // he is gone, or too slow
		}
		bundle = bundle[n:]
	}
}
