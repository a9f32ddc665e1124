package report

import (
	"encoding/json"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/plumbnet/plumb/packet"
)

func TestJSONGolden(t *testing.T) {
	for _, s := range samples {
		lang := map[bool]string{true: "zh", false: "en"}[s.name == "partly"]
		got := render(t, func(w io.Writer) error { return JSON(w, s.make(), Options{Lang: lang}) })
		if s.name == "noendpoints" || s.name == "partly" {
			golden(t, s.name+".json", got)
		}
		if !json.Valid(got) {
			t.Errorf("%s: not JSON", s.name)
		}
		if strings.ContainsFunc(string(got), func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) }) {
			t.Errorf("%s: a control character", s.name)
		}
	}
	r := sampleUnknown().Checks
	r.Findings = sampleMTU().Checks.Findings
	golden(t, "check.json", render(t, func(w io.Writer) error { return CheckJSON(w, r, sampleUnknown().Gaps, Options{}) }))
}

// TestJSONHasNoNull requires lists to be there, if empty.
func TestJSONHasNoNull(t *testing.T) {
	for _, s := range samples {
		got := render(t, func(w io.Writer) error { return JSON(w, s.make(), Options{}) })
		if strings.Contains(string(got), "null") {
			t.Errorf("%s: null in %s", s.name, got)
		}
	}
}

// TestSchemaDoc requires schema.md to describe every field, and no other.
func TestSchemaDoc(t *testing.T) {
	doc, err := os.ReadFile("schema.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllStringSubmatch(string(doc), -1) {
		described[m[1]] = true
	}
	fields := map[string]bool{}
	collectFields(reflect.TypeFor[jsonDiagnosis](), fields, map[reflect.Type]bool{})
	collectFields(reflect.TypeFor[jsonCheck](), fields, map[reflect.Type]bool{})
	for f := range fields {
		if !described[f] {
			t.Errorf("schema.md does not describe %q", f)
		}
	}
	for f := range described {
		if !fields[f] {
			t.Errorf("schema.md describes %q, which no report has", f)
		}
	}
}

// collectFields gathers the names of all fields below a type.
func collectFields(typ reflect.Type, into map[string]bool, seen map[reflect.Type]bool) {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || seen[typ] || strings.HasPrefix(typ.PkgPath(), "net/") {
		return
	}
	seen[typ] = true
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		into[name] = true
		collectFields(f.Type, into, seen)
	}
}

func TestEscapeControls(t *testing.T) {
	in := "a\u009b\u202e\U000e0001\x7f中"
	var got string
	if err := json.Unmarshal([]byte(`"`+escapeControls(in)+`"`), &got); err != nil || got != in {
		t.Errorf("got %q, %v", got, err)
	}
	if strings.ContainsFunc(escapeControls(in), unsafe) {
		t.Error("a control character is left")
	}
}

// TestPacketNesting bounds packets within packets.
func TestPacketNesting(t *testing.T) {
	p := tcp("10.0.0.1:1", "10.0.0.2:2", 60)
	p.Inner = &p
	n := 0
	for v := jsonPacketOf(&p, 0); v != nil; v = v.Inner {
		n++
	}
	if n != maxNested+1 {
		t.Errorf("%d packets", n)
	}
	icmp := packet.Packet{Src: p.Src, Dst: p.Dst, Proto: packet.ICMP}
	if v := jsonPacketOf(&icmp, 0); v.ICMPType == nil || *v.ICMPType != 0 {
		t.Error("an echo reply has no type 0")
	}
}
