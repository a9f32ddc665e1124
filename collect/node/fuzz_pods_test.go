//go:build linux

package node

import (
	"strings"
	"testing"
)

// FuzzParseRecord wants a record to name a Pod only with both its names, and never a path that a process number leads to.
func FuzzParseRecord(f *testing.F) {
	f.Add(containerdConfig)
	f.Add(`{"Config":{"Labels":{"io.kubernetes.pod.name":"a","io.kubernetes.pod.namespace":"b"}},"NetworkSettings":{"SandboxKey":"/var/run/docker/netns/x"}}`)
	f.Add(`{"annotations":{"io.kubernetes.pod.name":"a","io.kubernetes.pod.namespace":"b"},"linux":{"namespaces":[{"type":"network","path":"/proc/17/ns/net"}]}}`)
	f.Add(`{"linux":null}`)
	f.Fuzz(func(t *testing.T, in string) {
		r := parseRecord(strings.NewReader(in))
		if r.pod == "" && r != (podRecord{}) || r.host && r.path != "" || !strings.Contains(r.pod+"/", "/") {
			t.Errorf("%+v", r)
		}
		if strings.HasPrefix(r.path, "/proc/") {
			t.Errorf("path %q", r.path)
		}
	})
}
