package report

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/text"
)

// TestLinks wants the links of a URL's way in all forms of the report.
func TestLinks(t *testing.T) {
	r := &diagnose.Report{Ask: diagnose.Ask{Src: "shop/web-0", Dst: "https://api.example.com/"}, Links: []diagnose.Link{
		{Object: "Ingress/shop/api", Verdict: diagnose.Works, What: text.F("its rule %s takes it", "api.example.com /")},
		{Verdict: diagnose.CannotTell, What: text.F("its controller is not known")},
	}}
	for _, tt := range []struct {
		name, lang string
		write      func(*strings.Builder, Options) error
		want       []string
	}{
		{"text", "", func(b *strings.Builder, o Options) error { return Text(b, r, o) }, []string{"  ✓ Ingress/shop/api: its rule api.example.com / takes it", "  ? its controller is not known"}},
		{"text", "zh", func(b *strings.Builder, o Options) error { return Text(b, r, o) }, []string{"由它的规则 api.example.com / 接收"}},
		{"html", "", func(b *strings.Builder, o Options) error { return HTML(b, r, o) }, []string{"How the objects send it on", "Ingress/shop/api: its rule api.example.com / takes it", "</span> its controller is not known"}},
		{"json", "", func(b *strings.Builder, o Options) error { return JSON(b, r, o) }, []string{`"object": "Ingress/shop/api"`, `"verdict": "works"`}},
	} {
		var b strings.Builder
		if err := tt.write(&b, Options{Lang: tt.lang, Width: 100}); err != nil {
			t.Fatal(err)
		}
		for _, w := range tt.want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s %s lacks %q:\n%s", tt.name, tt.lang, w, b.String())
			}
		}
	}
}
