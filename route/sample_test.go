package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSamples(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		want []string // the titles, and the requests
	}{
		{"an Ingress of any host", Rule{Path: "/"}, []string{"http://*/", "http any.example 80 / []", "http://*/…", "http any.example 80 /any []"}},
		{"no path", Rule{Host: "a.example"}, []string{"http://a.example/", "http a.example 80 / []", "http://a.example/…", "http a.example 80 /any []"}},
		{"a wildcard", Rule{Host: "*.example.com", Path: "/a/"}, []string{"http://*.example.com/a/", "http any.example.com 80 /a/ []", "http://*.example.com/a/…", "http any.example.com 80 /a/any []"}},
		{"a listener's host and port", Rule{catches: "a.example", scheme: "https", port: 8443, Path: "/a", Method: "PUT"},
			[]string{"https://a.example:8443/a PUT", "https a.example 8443 /a PUT []", "https://a.example:8443/a/… PUT", "https a.example 8443 /a/any PUT []"}},
		{"the usual port", Rule{scheme: "https", port: 443, Host: "a.example", Path: "/a", Headers: []Pair{{"x-a", "1", false}}, Query: []Pair{{"q", "2", false}}},
			[]string{"https://a.example/a x-a=1 ?q=2", "https a.example 443 /a [x-a=1 q=2]", "https://a.example/a/… x-a=1 ?q=2", "https a.example 443 /a/any [x-a=1 q=2]"}},
		{"TCP", Rule{scheme: "tcp", port: 5432}, []string{"tcp://*:5432", "tcp any.example 5432  []"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range tt.rule.Samples() {
				q := s.Request
				text := q.Scheme + " " + q.Host + " " + fmt.Sprint(q.Port) + " " + q.Path
				if q.Method != "" {
					text += " " + q.Method
				}
				var pairs []string
				for k, v := range q.Headers {
					pairs = append(pairs, k+"="+v)
				}
				for k, v := range q.Query {
					pairs = append(pairs, k+"="+v)
				}
				got = append(got, s.Title, text+" ["+strings.Join(pairs, " ")+"]")
				if tt.rule.takes(q) == No && s.Path == tt.rule.Path {
					t.Errorf("%s: the rule does not take it", s.Title)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
