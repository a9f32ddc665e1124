package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestWriteYAML(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"members in their order", `{"schema":"plumb.report/v1","kind":"check","a":1}`, "schema: plumb.report/v1\nkind: check\na: 1\n"},
		{"lists", `{"l":["a","b"],"m":[],"o":{}}`, "l:\n  - a\n  - b\nm: []\no: {}\n"},
		{"objects in lists", `{"l":[{"a":1,"b":{"c":true}},{"a":null}]}`, "l:\n  - a: 1\n    b:\n      c: true\n  - a: null\n"},
		{"lists in lists", `[[1,[2]],[]]`, "- - 1\n  - - 2\n- []\n"},
		{"a string", `"x"`, "x\n"},
		{"big numbers", `[12345678901234567890,1.50]`, "- 12345678901234567890\n- 1.50\n"},
		{"words that are none", `["yes","No","null","10.0.0.1","1e3","0x10","12:30","","~","-","- a","a: b","a #b","a:","#","!x","&a","*a"," a","a ","shop/web:80"]`,
			`- "yes"
- "No"
- "null"
- "10.0.0.1"
- "1e3"
- "0x10"
- "12:30"
- ""
- "~"
- "-"
- "- a"
- "a: b"
- "a #b"
- "a:"
- "#"
- "!x"
- "&a"
- "*a"
- " a"
- "a "
- shop/web:80
`},
		{"Chinese", `{"zh":"不通：“a”"}`, "zh: 不通：“a”\n"},
		{"what a terminal must not see", `["a\u001b[31m","b\u202ec","d\u009b","\ud83d\ude00","x\ud840\udc01\udb40\udc01","t\ta\nb\"\\"]`,
			"- \"a\\u001b[31m\"\n- \"b\\u202ec\"\n- \"d\\u009b\"\n- \"😀\"\n- \"x𠀁\\U000e0001\"\n- \"t\\u0009a\\nb\\\"\\\\\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if err := writeYAML(&out, []byte(tt.in)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			same(t, tt.in, out.String())
		})
	}
	if err := writeYAML(&strings.Builder{}, []byte(`{"a":`)); err == nil {
		t.Error("half a document is written")
	}
}

// same wants YAML to mean what JSON does.
func same(t *testing.T, document, text string) {
	t.Helper()
	var want, got any
	if err := json.Unmarshal([]byte(document), &want); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the YAML means something else (-JSON +YAML):\n%s\n%s", diff, text)
	}
}

// FuzzYAML wants every JSON document to mean the same as YAML.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{`{"a":[{"b":"c"}]}`, `["\u2028","\ufeff","a\u0085b"," x","?","{","on"]`, `[1e5,-0,true,null]`, `"|"`, `{"":{"-":["- -"]}}`} {
		f.Add([]byte(s))
	}
	f.Add([]byte(`[{"a":{"` + strings.Repeat("9", 2000) + `":["- -"],"b":1}},{"` + strings.Repeat("k", 1500) + `":{"c":2},"d":3}]`))
	if golden, err := os.ReadFile("../../report/testdata/diagnosis.json"); err == nil {
		f.Add(golden)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v any
		if json.Unmarshal(in, &v) != nil {
			t.Skip()
		}
		in, _ = json.Marshal(v) // without members that come twice, or odd numbers
		var out strings.Builder
		if err := writeYAML(&out, in); err != nil {
			t.Fatal(err)
		}
		same(t, string(in), out.String())
	})
}
