package report

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pages renders all samples in both languages.
func pages(t *testing.T) map[string]string {
	out := map[string]string{}
	for _, lang := range []string{"en", "zh"} {
		for _, s := range samples {
			out[s.name+"."+lang] = string(render(t, func(w io.Writer) error { return HTML(w, s.make(), Options{Lang: lang}) }))
		}
		r := sampleMTU().Checks
		r.Findings[0].OnPath = false
		r.Unjudged = sampleUnknown().Checks.Unjudged
		out["check."+lang] = string(render(t, func(w io.Writer) error { return CheckHTML(w, r, sampleUnknown().Gaps, Options{Lang: lang}) }))
	}
	return out
}

// TestPagesToLookAt writes the pages to the folder that PLUMB_PAGES names, for a person's eyes.
func TestPagesToLookAt(t *testing.T) {
	dir := os.Getenv("PLUMB_PAGES")
	if dir == "" {
		t.Skip("PLUMB_PAGES names no folder")
	}
	for name, page := range pages(t) {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPageIsSelfContained(t *testing.T) {
	for name, page := range pages(t) {
		if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'`) {
			t.Errorf("%s: no content security policy", name)
		}
		for _, bad := range []string{"http://", "https://", "<script", "<img", "src=\"", "href=", "url(", "@import", "javascript:"} {
			if strings.Contains(page, bad) && !strings.HasPrefix(name, "hostile") {
				t.Errorf("%s: has %q", name, bad)
			}
		}
		want := map[bool]string{true: `<html lang="zh-CN">`, false: `<html lang="en">`}[strings.HasSuffix(name, ".zh")]
		if !strings.Contains(page, want) {
			t.Errorf("%s: want %s", name, want)
		}
		if strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "%!") {
			t.Errorf("%s: the template or a format went wrong", name)
		}
	}
}

// TestPageEscapes requires that nothing of a hostile snapshot is markup or a control character.
func TestPageEscapes(t *testing.T) {
	page := pages(t)["hostile.en"]
	for _, bad := range []string{"<script", "<img", "\x1b", "\u202e", "\u009b", "\a"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the page does not show the name at all")
	}
}

// TestPageBalances requires each element that the template opens to be closed.
func TestPageBalances(t *testing.T) {
	for name, page := range pages(t) {
		for _, tag := range []string{"details", "summary", "section", "article", "div", "span", "p", "ol", "li", "ul", "pre", "code", "b", "small", "h2", "h3", "h4"} {
			open := strings.Count(page, "<"+tag+">") + strings.Count(page, "<"+tag+" ")
			if shut := strings.Count(page, "</"+tag+">"); open != shut {
				t.Errorf("%s: %d <%s> and %d </%s>", name, open, tag, shut, tag)
			}
		}
	}
}

// TestVerdictComesFirst requires the order that a hurried reader needs.
func TestVerdictComesFirst(t *testing.T) {
	page := pages(t)["mtu.en"]
	at := -1
	for _, part := range []string{"full-sized ones are lost", "vxlan MTU 1450 needs 1500", "ip link set dev flannel.1 mtu 1350", "The path", "the first packet to"} {
		i := strings.Index(page, part)
		if i <= at {
			t.Errorf("%q is at %d, before what should precede it", part, i)
		}
		at = i
	}
}

// TestManyWays bounds the size of the page.
func TestManyWays(t *testing.T) {
	r := sampleWorks()
	one := r.Traces[0].Result.Paths[0]
	one.Weight = 0.001
	r.Traces[0].Result.Paths = nil
	for range 1000 {
		r.Traces[0].Result.Paths = append(r.Traces[0].Result.Paths, one)
	}
	page := render(t, func(w io.Writer) error { return HTML(w, r, Options{}) })
	if len(page) > 1<<20 {
		t.Errorf("%d bytes for 1000 ways", len(page))
	}
	if n := strings.Count(string(page), "0.1 % of connections"); n != 1000 {
		t.Errorf("%d ways are shown", n)
	}
}
