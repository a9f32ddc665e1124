//go:build linux

package agent

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plain is all that a Pod's name may be made of.
var plain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// FuzzNamed wants what a query names to be Pods by their names alone.
func FuzzNamed(f *testing.F) {
	for _, s := range []string{"", "netns=host", "pod=shop/web-0", "pod=a/b&pod=a/b", "pod=../x", "pod=a/b%0a", "pod=a/b/c", "x=y", "pod=%zz", "pod=a%2fb&netns=host", "pod=A/b", ";"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		pods, _, err := named(query)
		if err != nil && pods != nil {
			t.Error("pods with an error")
		}
		for _, p := range pods {
			if !plain.MatchString(p) {
				t.Errorf("%q", p)
			}
		}
		if !slices.IsSorted(pods) {
			t.Errorf("%q", pods)
		}
	})
}

// FuzzAsk wants the body of a request to give an ask or a reason.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{"", "{}", `{"pod":"shop/web-0","proto":6,"dst":"10.0.0.2:80"}`, `{"dst":"[::1]:80","src":"x"}`, `[`, `{"pod":"$(id)"}`, `{}{}`, `{"timeout":-1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ask, err := readAsk(httptest.NewRecorder(), httptest.NewRequest("POST", "/probe", strings.NewReader(body)))
		if err == nil && ask.Pod != "" && !plain.MatchString(ask.Pod) {
			t.Errorf("%q", ask.Pod)
		}
	})
}
