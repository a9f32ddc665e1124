package route

import (
	"cmp"
	"fmt"
	"strings"
)

// A Sample is a request that stands for others.
type Sample struct {
	Request
	Title string // "https://*.example.com/orders/… POST"
}

// Samples returns requests that the rule is for, unless a better one takes them: at its path, and below it.
func (r *Rule) Samples() []Sample {
	host := cmp.Or(r.Host, r.catches)
	q := Request{Scheme: cmp.Or(r.scheme, "http"), Host: cmp.Or(strings.Replace(host, "*", "any", 1), "any.example"), Port: r.port, Path: r.Path, Method: r.Method}
	usual := map[string]uint16{"http": 80, "https": 443}[q.Scheme]
	q.Port = cmp.Or(q.Port, usual)
	title := q.Scheme + "://" + cmp.Or(host, "*")
	if q.Port != usual {
		title += fmt.Sprintf(":%d", q.Port)
	}
	if q.Scheme == "tcp" {
		return []Sample{{q, title}}
	}
	rest := ""
	if r.Method != "" {
		rest = " " + r.Method
	}
	q.Headers, q.Query = map[string]string{}, map[string]string{}
	for _, p := range r.Headers {
		q.Headers[p.Name] = p.Value
		rest += " " + p.Name + "=" + p.Value
	}
	for _, p := range r.Query {
		q.Query[p.Name] = p.Value
		rest += " ?" + p.Name + "=" + p.Value
	}
	q.Path = cmp.Or(q.Path, "/")
	below := q
	below.Path = strings.TrimSuffix(q.Path, "/") + "/any"
	return []Sample{{q, title + q.Path + rest}, {below, title + strings.TrimSuffix(q.Path, "/") + "/…" + rest}}
}
