package plumb

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/plumbnet/plumb/"

// core says, for each package of the core, which of our packages it may import.
// What is not here may not be. Packages that are not listed are the edge: they
// may import the core, and the core never imports them.
var core = map[string][]string{
	"text":            {},
	"event":           {"packet"},
	"packet":          {},
	"fib":             {"packet"},
	"netfilter":       {"packet"},
	"snapshot":        {"packet", "fib", "netfilter"},
	"snapshot/redact": {"packet", "snapshot"},
	"service":         {},
	"manifest":        {"snapshot"},
	"dns":             {"text"}, // knows names and records, and neither snapshots nor Kubernetes' types
	"intent":          {"text", "packet", "snapshot"},
	"route":           {"text", "snapshot"},
	"plan":            {"text", "snapshot"},
	"whatif":          {"text", "packet", "snapshot", "service", "dns", "intent", "route", "check"},
	"network":         {"packet", "fib", "snapshot"},
	"trace":           {"text", "packet", "fib", "netfilter", "snapshot", "network"},
	"check":           {"text", "dns", "packet", "fib", "netfilter", "snapshot", "network", "trace", "service"},
	"check/*":         {"text", "dns", "packet", "fib", "netfilter", "snapshot", "intent", "service", "route", "network", "trace", "check"},
	"check/all":       {"check", "check/*"},
	"diagnose":        {"text", "dns", "packet", "snapshot", "service", "route", "network", "trace", "check"},
	"report":          {"text", "dns", "packet", "snapshot", "intent", "trace", "check", "diagnose", "whatif", "plan"},
}

// testOnly are packages below the core's folders that only tests import.
var testOnly = []string{"check/checktest"}

// pure are the packages of the standard library that only compute.
var pure = strings.Fields(`archive/tar bufio bytes cmp compress/gzip embed encoding/binary encoding/json errors fmt
	hash/fnv html html/template io io/fs iter maps math math/bits net/netip path regexp slices sort strconv strings text/template
	text/template/parse time unicode unicode/utf8`)

// foreign says which packages of the core may import what beyond pure. The
// snapshot compares objects that two parts of it hold, for which it needs reflect, as does whatif.
var foreign = map[string][]string{
	"event":           {"context"}, // a sink may wait
	"snapshot":        {"reflect", "k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/gateway-api/apis/", "sigs.k8s.io/network-policy-api/apis/", "golang.org/x/tools/txtar"},
	"snapshot/redact": {"crypto/hmac", "crypto/sha256", "encoding/base32", "encoding/hex"}, // keyed hashes make pseudonyms
	"manifest":        {"go.yaml.in/yaml/v3", "sigs.k8s.io/json"},                          // YAML with its lines; JSON as strictly as the API server reads it
	"dns":             {"github.com/coredns/caddy/caddyfile"},                              // splits Corefiles into words as CoreDNS does
	"whatif":          {"reflect", "k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/gateway-api/apis/"},
	"plan":            {"k8s.io/api/"},
	"intent":          {"k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/network-policy-api/apis/"},
	"service":         {"k8s.io/api/"},
	"route":           {"k8s.io/api/", "k8s.io/apimachinery/", "sigs.k8s.io/gateway-api/apis/"},
	"check":           {"k8s.io/api/", "k8s.io/apimachinery/"},
	"check/*":         {"k8s.io/api/", "k8s.io/apimachinery/"},
	"diagnose":        {"k8s.io/api/"},
}

// sole says which folder alone may import a module.
var sole = map[string]string{
	"github.com/prometheus":          "agent/observe",
	"github.com/vishvananda/netlink": "collect/node",
	"k8s.io/client-go":               "collect/kube",
	"go.yaml.in/yaml/v3":             "manifest",
	"github.com/cilium/ebpf":         "probe/bpf", // and what bpf2go writes into the probes, which embeds their programs
}

// coreDir returns the entry of core that dir comes under.
func coreDir(dir string) (string, bool) {
	if slices.Contains(testOnly, dir) {
		return "", false
	}
	if _, ok := core[dir]; ok {
		return dir, true
	}
	for pattern := range core {
		if ok, _ := path.Match(pattern, dir); ok {
			return pattern, true
		}
	}
	return "", false
}

func hasPrefix(list []string, p string) bool {
	return slices.ContainsFunc(list, func(m string) bool { return strings.HasPrefix(p+"/", strings.TrimSuffix(m, "/")+"/") })
}

// TestImports keeps the directions of the imports: the core computes, the edges touch.
func TestImports(t *testing.T) {
	for file, f := range sources(t) {
		dir := path.Dir(file)
		entry, isCore := coreDir(dir)
		for _, s := range f.Imports {
			p, _ := strconv.Unquote(s.Path.Value)
			for m, only := range sole {
				if hasPrefix([]string{m}, p) && dir != only && !strings.HasPrefix(dir, "lab/") && !strings.HasSuffix(file, "_bpfel.go") {
					t.Errorf("%s imports %s, which only %s may", file, p, only)
				}
			}
			if !isCore {
				continue
			}
			own, ok := strings.CutPrefix(p, module)
			if ok && slices.ContainsFunc(core[entry], func(m string) bool { ok, _ := path.Match(m, own); return ok }) {
				continue
			}
			if !ok && (slices.Contains(pure, p) || hasPrefix(foreign[entry], p)) {
				continue
			}
			t.Errorf("%s may not import %s", file, p)
		}
	}
}

// TestDocComments requires a package comment of each package, and a comment on each exported name.
func TestDocComments(t *testing.T) {
	documented := map[string]bool{}
	for file, f := range sources(t) {
		dir := path.Dir(file)
		documented[dir] = documented[dir] || f.Doc != nil
		for _, d := range f.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no doc comment", file, name)
			}
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// undocumented returns the exported names that d declares without a comment.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether f is a function, or a method of an exported type.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	if s, ok := typ.(*ast.StarExpr); ok {
		typ = s.X
	}
	id, ok := typ.(*ast.Ident)
	return !ok || id.IsExported()
}

// sources parses every Go file of the module that is not a test, by its path.
func sources(t *testing.T) map[string]*ast.File {
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")) && p != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments|parser.SkipObjectResolution)
		files[filepath.ToSlash(p)] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range core {
		if m, _ := filepath.Glob(dir + "/*.go"); len(m) == 0 {
			t.Errorf("%s: listed as core, and has no Go files", dir)
		}
	}
	return files
}
