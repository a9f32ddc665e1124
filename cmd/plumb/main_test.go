package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"plumb": main, pluginName: main, completeName: main})
}

// TestScript runs the transcripts. In them $CASES is the folder of the checks, whose
// testdata are snapshots that the lab recorded: $CASES/mtu/testdata/mtu-mismatch.txtar.
func TestScript(t *testing.T) {
	cases, err := filepath.Abs("../../check")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CASES", cases)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "mode": mode, "jsonis": jsonIs, "truncate": truncate, "sameyaml": sameYAML, "recorded": recorded,
		},
	})
}

// status runs plumb and wants an exit status: status 1 check --snapshot x.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N ARGS")
	}
	err := ts.Exec("plumb", args[1:]...)
	got := "0"
	if err != nil {
		_, err = fmt.Sscanf(err.Error(), "exit status %s", &got)
		ts.Check(err)
	}
	if got != args[0] {
		ts.Fatalf("plumb ended with status %s, want %s", got, args[0])
	}
}

// mode wants a file's permissions: mode 600 FILE.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode()&fs.ModePerm); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// jsonIs wants members of a JSON object, strings: jsonis FILE schema plumb.report/v1 kind check.
func jsonIs(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &object); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	for i := 1; i+1 < len(args); i += 2 {
		if object[args[i]] != args[i+1] {
			ts.Fatalf("%s is %v, want %q", args[i], object[args[i]], args[i+1])
		}
	}
}

// sameYAML wants two files to mean the same: sameyaml FILE.json FILE.yaml.
func sameYAML(ts *testscript.TestScript, _ bool, args []string) {
	a, err := yaml.YAMLToJSON([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	b, err := yaml.YAMLToJSON([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	if string(a) != string(b) {
		ts.Fatalf("%s and %s mean different things", args[0], args[1])
	}
}

// truncate cuts the last bytes off a file: truncate FILE.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	info, err := os.Stat(name)
	ts.Check(err)
	ts.Check(os.Truncate(name, info.Size()*2/3))
}
