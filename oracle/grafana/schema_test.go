package grafana

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// head has the types of a dashboard as JSON has them: with the values of enumerations in place of these. Of panels and
// queries, which the library leaves open, those of time series and of Prometheus.
const head = `
import type { Dashboard, Panel } from '@grafana/schema';
import type { Options, FieldConfig } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
type Plain<T> = T extends string ? ` + "`${T}`" + ` : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Target = { refId: string; expr: string; legendFormat: string; datasource: { type: 'prometheus'; uid: string } };
type Graph = Omit<Panel<Options, FieldConfig>, 'targets' | 'options'> & { options: Options; targets: Target[] };
export const dashboard: Plain<Omit<Dashboard, 'panels'> & { panels: Graph[] }> = `

// compile has TypeScript check dashboards, and returns what it says.
func compile(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skipf("Node.js is not installed: %v", err)
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("Grafana's schema library cannot be had: %v: %.500s", err, out)
	}
	args := []string{"node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".ts"), []byte(head+text+";\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name+".ts")
	}
	tsc := exec.Command("node", args...)
	tsc.Dir = dir
	out, err := tsc.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return string(out)
}

// TestSchema wants Grafana's types to take each dashboard, and to refuse each that is broken in one place.
func TestSchema(t *testing.T) {
	paths, err := filepath.Glob("../../deploy/dashboards/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%q, %v", paths, err)
	}
	files := map[string]string{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(p), ".json")] = string(data)
	}
	broken := map[string][2]string{
		"no-such-field":    {`"schemaVersion"`, `"schemasVersion"`},
		"no-such-mode":     {`"mode": "multi"`, `"mode": "several"`},
		"a-wrong-type":     {`"refresh": "30s"`, `"refresh": 30`},
		"no-such-option":   {`"displayMode"`, `"display"`},
		"no-such-position": {`"gridPos"`, `"grid"`},
		"a-variable":       {`"includeAll": true`, `"includeAll": "yes"`},
	}
	for name, change := range broken {
		text := strings.Replace(files["limits"], change[0], change[1], 1)
		if text == files["limits"] {
			t.Errorf("%s: there is no %s", name, change[0])
		}
		files["broken-"+name] = text
	}
	said := compile(t, files)
	for name := range files {
		_, bad := broken[strings.TrimPrefix(name, "broken-")]
		if strings.Contains(said, name+".ts(") != bad {
			t.Errorf("%s: is it to be refused? %v:\n%s", name, bad, said)
		}
	}
}
