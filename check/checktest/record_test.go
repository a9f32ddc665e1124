package checktest

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// bases are whole healthy clusters, of which Rows changes a fact at a time.
var bases = []struct {
	name, twin string
	files      []string
}{
	{Flannel, "healthy-flannel", append(walkFiles, "stat", "ipset")},
	{Kubenet, "healthy-kubenet", append(walkFiles, "stat", "ipset")},
	{Mixed, "healthy-mixed", append(walkFiles, "stat", "ipset", "nft.json")},
	{DualStack, "healthy-dualstack", append(walkFiles, "stat", "ipset", "routes6.json", "rules6.json", "ip6tables")},
}

// baseSysctls are those that some check or the trace reads.
const baseSysctls = `^net\.(ipv[46]\.(ip_forward|conf\.(all|eth0)\.(rp_filter|forwarding|proxy_arp))|bridge\.bridge-nf-call-ip6?tables|netfilter\.nf_conntrack_max) `

// A recipe makes three cases of a recorded fault: the fault, the healthy twin, and the gap.
type recipe struct {
	dir, fault, twin string // folder of the check; names of recordings
	story            string
	query            string
	twinQuery        string // of the healthy twin, where it is another
	Cut
	gap []string // the files that are missing in the gap
}

// TestRecord makes the checks' testdata anew from recordings, a folder each, of
// "plumb-lab record --fault FAULT", for FAULT-T with "--topology T", and, for healthy-T, "--topology T":
//
// healthy-mixed is a "plumb snapshot" of "plumb-lab cluster up --proxy node-b=nftables"; the faults of
// nf_tables are what node-b's rules were there before all Pods of a Deployment were replaced.
//
//	RECORD=/tmp/rec go test -run Record ./check/checktest && UPDATE=1 go test ./check/...
func TestRecord(t *testing.T) {
	from := os.Getenv("RECORD")
	if from == "" {
		t.Skip("makes testdata only where RECORD names a folder of recordings")
	}
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			dir := recorded(t, from, b.twin)
			nodes, err := filepath.Glob(dir + "/nodes/*/*")
			if err != nil {
				t.Fatal(err)
			}
			c := Cut{Files: b.files, Objects: ".*", Sysctl: baseSysctls}
			for _, ns := range nodes {
				c.NetNS = append(c.NetNS, strings.TrimPrefix(ns, dir+"/nodes/"))
			}
			recipe{dir: "checktest"}.write(t, dir, b.name, "A healthy cluster, whole: "+b.name+".", c)
		})
	}
	for _, r := range recipes {
		t.Run(r.fault, func(t *testing.T) {
			r.write(t, recorded(t, from, r.fault), r.fault, r.story, r.Cut)
			twin := r
			twin.query = cmp.Or(r.twinQuery, r.query)
			twin.write(t, filepath.Join(from, r.twin), r.fault+"-healthy", "The healthy twin of "+r.fault+": the same cluster without the fault.", r.Cut)
			gap := r.Cut
			gap.Drop = r.gap
			r.write(t, filepath.Join(from, r.fault), r.fault+"-gap", r.story+"\nBut not collected: "+strings.Join(r.gap, ", ")+".", gap)
		})
	}
}

// recorded returns the folder of a recording.
func recorded(t *testing.T, from, name string) string {
	dir := filepath.Join(from, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("not recorded")
	}
	return dir
}

func (r recipe) write(t *testing.T, from, name, story string, c Cut) {
	files, err := c.Of(os.DirFS(from))
	if err != nil {
		t.Fatal(err)
	}
	a := &txtar.Archive{Comment: []byte(story + "\n\n"), Files: files}
	if r.query != "" {
		a.Files = append(a.Files, txtar.File{Name: "query", Data: []byte(r.query)})
	}
	a.Files = append(a.Files, txtar.File{Name: "want"})
	out := filepath.Join("..", r.dir, "testdata", name+".txtar")
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
