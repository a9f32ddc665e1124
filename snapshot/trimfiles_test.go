package snapshot

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	podItem    = `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"web-0","annotations":{"owner":"jane"}},"spec":{"containers":[{"name":"web","env":[{"name":"PASSWORD","value":"hunter2"}]}]}}`
	secretItem = `{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":"shop","name":"tls"},"data":{"key":"aHVudGVyMg=="}}`
	plainMap   = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"shop","name":"app"},"data":{"dsn":"user:hunter2@db"}}`
	dnsMap     = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"kube-system","name":"coredns"},"data":{"Corefile":".:53 {}"}}`
)

func TestTrimObjects(t *testing.T) {
	listOf := func(items ...string) string {
		return `{"apiVersion":"v1","kind":"List","items":[` + strings.Join(items, ",") + `]}`
	}
	tests := []struct {
		name  string
		files Files
		want  []string // the files
		have  []string // kinds collected as a whole
		gaps  []string
	}{
		{"a mixed List", Files{"objects/all.json": []byte(listOf(podItem, secretItem, plainMap, dnsMap))},
			[]string{"objects/configmaps.json", "objects/pods.json"}, []string{"ConfigMap", "Pod"}, nil},
		{"only what is not read", Files{"objects/all.json": []byte(listOf(secretItem))}, nil, nil, nil},
		{"one Pod is no collection", Files{"objects/web.json": []byte(podItem)}, []string{"objects/one-pod.json"}, nil, nil},
		{"an empty List of a kind", Files{"objects/services.json": []byte(listOf())}, []string{"objects/services.json"}, []string{"Service"}, nil},
		{"a List that breaks off", Files{"objects/pods.json": []byte(strings.TrimSuffix(listOf(podItem, strings.ReplaceAll(podItem, "web-0", "web-1")), "]}"))},
			[]string{"objects/pods.json", "objects/pods.json.error"}, nil, []string{"objects/pods.json"}},
		{"no JSON", Files{"objects/pods.json": []byte("hunter2")}, []string{"objects/pods.json.error"}, nil, []string{"objects/pods.json"}},
		{"a file that was not collected", Files{"objects/pods.json.error": []byte("forbidden"), "objects/services.json": []byte(listOf())},
			[]string{"objects/pods.json.error", "objects/services.json"}, []string{"Service"}, []string{"objects/pods.json"}},
		{"other files", Files{"nodes/a/host/stat": []byte("conntrack_count 1\n")}, []string{"nodes/a/host/stat"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := TrimObjects(tt.files)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, out.Names()); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			for name, data := range out {
				for _, secret := range []string{"hunter2", "aHVudGVy", "jane"} {
					if strings.Contains(string(data), secret) {
						t.Errorf("%s holds %s", name, secret)
					}
				}
			}
			again, err := TrimObjects(out)
			if err != nil || cmp.Diff(out.Names(), again.Names()) != "" {
				t.Errorf("a second time: %v %v", again.Names(), err)
			}
			reads(t, out, tt.have, tt.gaps)
		})
	}
}

// reads reads the files, and compares which kinds were collected and where there are gaps.
func reads(t *testing.T, files Files, have, gaps []string) {
	t.Helper()
	if len(files) == 0 {
		return
	}
	c, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	var got, where []string
	for kind, ok := range c.Objects.Have {
		if ok {
			got = append(got, kind)
		}
	}
	slices.Sort(got)
	for _, g := range c.Gaps {
		if strings.HasPrefix(g.Path, "objects/") && !slices.Contains(where, g.Path) {
			where = append(where, g.Path)
		}
	}
	if d := cmp.Diff(have, got); d != "" {
		t.Errorf("collected (-want +got):\n%s", d)
	}
	if d := cmp.Diff(gaps, where); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}
