package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
)

// TestRecordLive asks three agents: one has lost packets of a Pod, one has nothing, one does not watch.
func TestRecordLive(t *testing.T) {
	s, config := running(t)
	lost := &probe.Stat{Name: "packetloss_packets_total", Labels: []string{"reason"}, Second: true, Alarm: true}
	var asked url.Values
	s.Recorded = func(node, what string, query url.Values) []byte {
		if node == "node-c" {
			return nil
		}
		if what == "episodes" {
			data, _ := json.Marshal([]recorder.Episode{{ID: "20260304T120140Z-" + node, Node: "elsewhere", From: time.Date(2026, 3, 4, 12, 0, 40, 0, time.UTC), Pinned: node == "node-b"}})
			return data
		}
		asked = query
		r, err := recorder.Open(recorder.Options{Node: "elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
		for i := range 3 {
			if node == "node-a" && i == 2 {
				r.Event(event.Event{Time: at, Kind: "packetloss", Node: node, Pod: "shop/web-0"})
			}
			value := 0.0
			if node == "node-a" {
				value = float64(7 * i)
			}
			r.Second(at.Add(time.Duration(i)*time.Second), []probe.Sample{{Stat: lost, Pod: "shop/web-0", Labels: []string{"NO_SOCKET"}, Value: value}})
		}
		var b bytes.Buffer
		if err := r.Copy(&b, recorder.Query{}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	status, out, errOut := plumb("record", "show", "--kubeconfig", config, "--since", "10m", "-n", "shop", "--pod", "web-0", "--kind", "packetloss")
	if status != statusFine || !strings.Contains(out, "recorded on node-a, ") || strings.Contains(out, "node-b") || !strings.Contains(out, "NO_SOCKET") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if got := asked.Encode(); got != "kind=packetloss&pod=shop%2Fweb-0&since=10m0s" {
		t.Errorf("asked %s", got)
	}
	if !strings.Contains(errOut, "plumb: node-c: plumbd there does not watch its node") {
		t.Errorf("%s", errOut)
	}
	status, out, _ = plumb("record", "show", "--kubeconfig", config, "--node", "node-b")
	if status != statusFine || !strings.Contains(out, "? nothing of it is recorded") {
		t.Errorf("status %d:\n%s", status, out)
	}
	status, out, _ = plumb("record", "show", "--kubeconfig", config, "--node", "node-a", "--json")
	if status != statusFine || !strings.Contains(out, `{"node":"node-a","time":"2026-03-04T12:00:02Z"`) {
		t.Errorf("status %d:\n%s", status, out)
	}
	status, out, _ = plumb("record", "episodes", "--kubeconfig", config)
	if status != statusFine || !strings.Contains(out, "20260304T120140Z-node-a") || !strings.Contains(out, "node-b") || strings.Contains(out, "elsewhere") {
		t.Errorf("status %d:\n%s", status, out)
	}
	status, _, errOut = plumb("record", "show", "--kubeconfig", config, "--node", "node-c")
	if status != statusUnsure || !strings.Contains(errOut, "no agent has anything recorded") {
		t.Errorf("status %d: %s", status, errOut)
	}
}
