//go:build linux

package real

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/cluster/fault"
	"golang.org/x/sync/errgroup"
)

// The ends of the pairs that are asked about.
var (
	sources = []string{"web@node-a", "web@node-b", "web@node-c", "api@node-a", "api@node-b", "node/node-a", "node/node-b", "node/node-c"}
	targets = []string{"web@node-a:8080", "web@node-b:8080", "api@node-c:8080", "api@node-b:8080", "svc/shop/api:80", "svc/kube-system/kube-dns:9153",
		"svc/default/kubernetes:443", "node/node-a:30080", "node/node-b:30080", "node/node-c:10250", "web@node-a:8081"}
)

// TestAgree asks about pairs of Pods, nodes and Services of a cluster of which one node has kube-proxy in
// nftables mode, and wants no real packet to contradict the prediction. PLUMB_AGREE=full asks about all pairs.
func TestAgree(t *testing.T) {
	b := setUp(t)
	var lock sync.Mutex
	var asked, sent, agree, differ int
	var took []time.Duration
	var g errgroup.Group
	g.SetLimit(2)
	for i, from := range sources {
		for j, to := range targets {
			if os.Getenv("PLUMB_AGREE") != "full" && (i+j)%3 != 0 || strings.HasPrefix(to, from+":") {
				continue
			}
			q := fault.Question{From: from, To: to}
			g.Go(func() error {
				args, err := q.Args(t.Context(), b.Cluster)
				if err != nil {
					return err
				}
				d, err := b.diagnose(t.Context(), args...)
				if err != nil {
					return err
				}
				lock.Lock()
				defer lock.Unlock()
				asked, sent, took = asked+1, sent+len(d.Observed), append(took, d.took)
				for _, o := range d.Observed {
					switch o.Agreement {
					case "agrees":
						agree++
					case "differs":
						differ++
						t.Errorf("%s: %s: %s", q, d.Summary.EN, o.What.EN)
					}
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(took)
	fmt.Printf("agree: real, kube-proxy %v: %d questions, %d probes sent, %d disagreements, %d comparable; %.1f s in the median\n",
		b.Proxy, asked, sent, differ, agree+differ, took[len(took)/2].Seconds())
}
