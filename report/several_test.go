package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// TestSeveralPlaces: a finding about several nodes names them, and where its commands are to be run.
func TestSeveralPlaces(t *testing.T) {
	f := check.Finding{Check: "ip-forward", Where: "a/host/eth0", Also: []string{"a/host/eth1", "b/host/eth0"}, What: text.F("it is %d", 0),
		Fix: check.Fix{What: text.F("set it"), Commands: []string{"kubectl get nodes", "sysctl -w x=1", "reboot"}}, Evidence: []snapshot.Evidence{{File: "nodes/a/host/sysctl"}}}
	want := []command{{"", "kubectl get nodes"}, {"a, b", "sysctl -w x=1"}, {"", "reboot"}}
	if diff := cmp.Diff(want, commands(f), cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := wheres(f); got != "a/host/eth0, a/host/eth1, b/host/eth0" {
		t.Error(got)
	}
	for range 20 {
		f.Also = append(f.Also, "n"+strings.Repeat("x", len(f.Also))+"/host")
	}
	if got := wheres(f); strings.Count(got, ",") != maxPlaces || !strings.HasSuffix(got, ", …") {
		t.Errorf("of many places: %s", got)
	}
	f.Also, f.Evidence = nil, nil
	if got := commands(f); got[1].on != "" || wheres(f) != "a/host/eth0" {
		t.Errorf("of an object: %+v", got)
	}
}
