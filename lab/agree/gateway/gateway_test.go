package gateway

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/route"
	"github.com/plumbnet/plumb/snapshot"
	"sigs.k8s.io/yaml"
)

// A request is one that the suite makes, and what it expects of it.
type request struct {
	host, path, method string
	headers            map[string]string
	backend            string // "" where none is to get it
	status             int    // 0: 200
	redirect           bool
	at                 int  // in the test's code
	odd                bool // not all of it is written as literals
}

// TestConformance reads the suite's objects and, of its tests' code, the requests that they make and what they
// expect: the module is plumb's own for the types, and its tests need a cluster to run. Of a test that makes
// its requests in another form, or to several Gateways at once, nothing is compared. An answer is unknown
// where a controller may know a kind that plumb does not.
func TestConformance(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "conformance")
	if _, serr := os.Stat(dir); err != nil || serr != nil {
		t.Fatalf("the Gateway API's module, which plumb's types are of, is not here: %v %v", err, serr)
	}
	files, err := filepath.Glob(filepath.Join(dir, "tests", "*.go"))
	if err != nil || len(files) < 50 {
		t.Fatal(len(files), err)
	}
	base := objects(t, filepath.Join(dir, "base", "manifests.yaml"))
	tests, n, wrong, unknown := 0, 0, 0, 0
	var not []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".go")
		if !strings.HasPrefix(name, "httproute-") && !strings.HasPrefix(name, "gateway-http") {
			continue
		}
		why, good, bad, odd := one(t, name, base, file)
		if good+bad+odd == 0 {
			not = append(not, name+" ("+why+")")
			continue
		}
		tests, n, wrong, unknown = tests+1, n+good+bad, wrong+bad, unknown+odd
	}
	fmt.Printf("agree: route and the Gateway API's conformance tests: %d tests, %d requests, %d disagreements, 0 explained; unknown: %d; not compared: %d tests\n", tests, n, wrong, unknown, len(not))
	t.Log("not compared: " + strings.Join(not, ", "))
	if n < 100 {
		t.Errorf("%d requests, want 100 or more", n)
	}
}

// changes is where a test begins to change its objects: what it asks after that is not compared.
var changes = regexp.MustCompile(`\.(Delete|Update|Patch)\(`)

// one compares the requests of one test. why says why there are none.
func one(t *testing.T, name string, base []byte, file string) (why string, good, bad, unknown int) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data := base
	if manifest := strings.TrimSuffix(file, ".go") + ".yaml"; bytes.Contains(src, []byte("tests/"+name+".yaml")) {
		data = slices.Concat(base, objects(t, manifest))
	}
	c, err := snapshot.Read(snapshot.Files{"objects/all.json": data})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Service", "ReferenceGrant"} {
		c.Objects.Have[kind] = true
	}
	ports := map[string]map[uint16]bool{} // of the Gateways that the test names
	for i := range c.Objects.Gateways {
		g := &c.Objects.Gateways[i]
		if !bytes.Contains(src, []byte(strconv.Quote(g.Name))) {
			continue
		}
		ports[g.Name] = map[uint16]bool{}
		for _, l := range g.Spec.Listeners {
			ports[g.Name][uint16(l.Port)] = true
		}
	}
	table := route.New(&c.Objects)
	all := requests(t, file, src)
	for _, r := range all {
		at := last(src[:r.at], ports)
		if r.odd || at == "" {
			continue
		}
		if first := last(src[:all[0].at], ports); len(ports) > 1 && first != "" && last(src[:bytes.LastIndex(src[:all[0].at], []byte(strconv.Quote(first)))], ports) != "" {
			return "several Gateways at once", 0, 0, 0
		}
		switch got := r.judge(table, at, ports[at]); {
		case strings.HasPrefix(got, "unknown"):
			unknown++
			t.Logf("%s: %+v: %s", name, r, got)
		case got != "":
			bad++
			t.Errorf("%s: %+v: %s", name, r, got)
		default:
			good++
		}
	}
	return "requests in another form", good, bad, unknown
}

// last returns the Gateway that code named last, or the only one that there is.
func last(src []byte, names map[string]map[uint16]bool) (name string) {
	at := -1
	for n := range names {
		if len(names) == 1 {
			return n
		}
		if i := bytes.LastIndex(src, []byte(strconv.Quote(n))); i > at {
			at, name = i, n
		}
	}
	return name
}

// judge says where the request goes, if that is not where it is to go.
func (r request) judge(table *route.Table, at string, ports map[uint16]bool) string {
	host, port := r.host, "80"
	if h, p, ok := strings.Cut(r.host, ":"); ok { // the suite connects to that port where a listener has it
		host = h
		if n, err := strconv.ParseUint(p, 10, 16); err == nil && ports[uint16(n)] {
			port = p
		}
	}
	if host == "" {
		host = "192.0.2.1"
	}
	q, err := route.Parse("http://" + host + ":" + port + r.path)
	if err != nil {
		return err.Error()
	}
	q.Method, q.Headers = r.method, r.headers
	var w route.Way
	for _, o := range table.Find(q) {
		if o.Entry.Object.Name == at {
			w = o
		}
	}
	if !w.Unclear.IsZero() {
		return "unknown: " + w.Unclear.String()
	}
	to, faults := []string{}, 0
	if w.Rule != nil {
		for _, b := range w.Rule.Backends {
			switch {
			case b.Weight == 0:
			case !b.Unclear.IsZero():
				return "unknown: " + b.Unclear.String()
			case !b.Fault.IsZero():
				faults++
			default:
				to = append(to, b.Name)
			}
		}
	}
	switch {
	case r.redirect && w.Rule != nil && w.Rule.Redirect,
		r.backend != "" && slices.Contains(to, r.backend),
		r.status == 404 && w.Rule == nil,
		r.status == 500 && w.Rule != nil && (faults > 0 || len(to) == 0):
		return ""
	}
	return fmt.Sprintf("%v, %d faults, rule %v", to, faults, w.Rule)
}

// objects returns the objects of a file as JSON, one after the other.
func objects(t *testing.T, file string) []byte {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for doc := range strings.SplitSeq("\n"+string(data), "\n---") {
		j, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if string(j) != "null" {
			out.Write(j)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// requests returns the composite literals of a test's code that have a Request and what is expected of it.
func requests(t *testing.T, file string, src []byte) (out []request) {
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		fields := keyed(lit)
		in, ok := fields["Request"].(*ast.CompositeLit)
		if !ok {
			return true
		}
		r := request{headers: map[string]string{}, at: int(lit.Pos()) - 1}
		r.read(fields, keyed(in))
		if at := changes.FindIndex(src); at != nil && int(lit.Pos()) > at[0] {
			r.odd = true
		}
		out = append(out, r)
		return false
	})
	return out
}

func (r *request) read(fields, in map[string]ast.Expr) {
	r.host, r.path, r.method = r.text(in["Host"]), r.text(in["Path"]), r.text(in["Method"])
	if h, ok := in["Headers"].(*ast.CompositeLit); ok {
		for _, e := range h.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				r.headers[strings.ToLower(r.text(kv.Key))] = r.text(kv.Value)
			}
		}
	}
	r.backend, r.redirect = r.text(fields["Backend"]), fields["RedirectRequest"] != nil
	if resp, ok := fields["Response"].(*ast.CompositeLit); ok {
		r.status = r.code(keyed(resp))
	}
	r.redirect = r.redirect || r.status >= 300 && r.status < 400
	r.odd = r.odd || r.backend == "" && !r.redirect && r.status != 404 && r.status != 500
	if r.status == 404 || r.status == 500 || r.redirect {
		r.backend = ""
	}
}

// code returns the status that is expected; 0 where none is written.
func (r *request) code(fields map[string]ast.Expr) int {
	lit, ok := fields["StatusCode"].(*ast.BasicLit)
	if !ok {
		r.odd = r.odd || fields["StatusCode"] != nil || fields["StatusCodes"] != nil
		return 0
	}
	n, err := strconv.Atoi(lit.Value)
	r.odd = r.odd || err != nil
	return n
}

// text returns a string literal.
func (r *request) text(e ast.Expr) string {
	if e == nil {
		return ""
	}
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		r.odd = true
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	r.odd = r.odd || err != nil
	return s
}

func keyed(lit *ast.CompositeLit) map[string]ast.Expr {
	out := map[string]ast.Expr{}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if id, ok := kv.Key.(*ast.Ident); ok {
			out[id.Name] = kv.Value
		}
	}
	return out
}
