//go:build linux

// Package deploy_test holds the manifest and the chart to be one, and to be what the code expects.
package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/kube"
	kinds "github.com/plumbnet/plumb/probe/all"
	"github.com/plumbnet/plumb/snapshot"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const chart = "helm/plumb"

const manifest = "plumb.yaml"

const head = `# plumbd on every node, and what it and its users may. Made from helm/plumb by "UPDATE=1 go test ./deploy".
# Set the image to where your nodes can pull it from: sed s,plumbd:v0.1.0,YOUR/plumbd:TAG, plumb.yaml | kubectl apply -f -
`

// functions are those of Helm's that the templates call.
var functions = template.FuncMap{
	"trim": strings.TrimSpace,
	"indent": func(n int, s string) string {
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	},
}

// render does what Helm does with templates that call no other functions of its own.
func render(t *testing.T, set func(values map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(data, &values); err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(values)
	}
	files, err := filepath.Glob(filepath.Join(chart, "templates/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var parts []string
	for _, f := range files {
		tmpl, err := template.New(filepath.Base(f)).Option("missingkey=error").Funcs(functions).ParseFiles(f)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := tmpl.Execute(&out, map[string]any{"Values": values}); err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimLeft(out.String(), "\n"); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "---\n")
}

// TestManifest wants the manifest to be what the chart renders.
func TestManifest(t *testing.T) {
	want := head + render(t, nil)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(manifest, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("%s is not what the chart renders: UPDATE=1 go test ./deploy (-want +got):\n%s", manifest, d)
	}
}

// A podMonitor has the fields of Prometheus' operator's PodMonitor that the chart uses, and no others.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		PodMetricsEndpoints []struct {
			Port          string `json:"port"`
			Scheme        string `json:"scheme"`
			HonorLabels   bool   `json:"honorLabels"`
			Authorization struct {
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
			TLSConfig struct {
				InsecureSkipVerify bool `json:"insecureSkipVerify"`
			} `json:"tlsConfig"`
			Relabelings []struct {
				Action       string   `json:"action,omitempty"`
				Regex        string   `json:"regex,omitempty"`
				SourceLabels []string `json:"sourceLabels,omitempty"`
				TargetLabel  string   `json:"targetLabel,omitempty"`
			} `json:"relabelings"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// decode reads objects, by "Kind name", with no field that their kinds do not have.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, doc := range strings.Split(text, "\n---\n") {
		var meta struct {
			metav1.TypeMeta
			Metadata metav1.ObjectMeta
		}
		if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
			t.Fatal(err)
		}
		o := map[string]any{
			"v1/Namespace": &corev1.Namespace{}, "v1/ServiceAccount": &corev1.ServiceAccount{}, "v1/ConfigMap": &corev1.ConfigMap{}, "v1/Secret": &corev1.Secret{}, "apps/v1/DaemonSet": &appsv1.DaemonSet{},
			"rbac.authorization.k8s.io/v1/ClusterRole": &rbacv1.ClusterRole{}, "rbac.authorization.k8s.io/v1/Role": &rbacv1.Role{}, "rbac.authorization.k8s.io/v1/RoleBinding": &rbacv1.RoleBinding{},
			"rbac.authorization.k8s.io/v1/ClusterRoleBinding": &rbacv1.ClusterRoleBinding{}, "monitoring.coreos.com/v1/PodMonitor": &podMonitor{},
		}[meta.APIVersion+"/"+meta.Kind]
		if o == nil {
			t.Fatalf("%s/%s", meta.APIVersion, meta.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(doc+"\n"), o); err != nil {
			t.Fatalf("%s %s: %v", meta.Kind, meta.Metadata.Name, err)
		}
		out[meta.Kind+" "+meta.Metadata.Name] = o
	}
	return out
}

// TestObjects wants the objects to be those that collect/kube looks for.
func TestObjects(t *testing.T) {
	all := decode(t, render(t, nil))
	if all["Namespace "+kube.Namespace] == nil || all["ServiceAccount "+kube.ClientAccount] == nil {
		t.Error("no such Namespace or ServiceAccount")
	}
	d := all["DaemonSet plumbd"].(*appsv1.DaemonSet)
	pod := d.Spec.Template.Spec
	if image := pod.Containers[0].Image; image != kube.AgentImage {
		t.Errorf("the image is %s, and that of --ephemeral %s", image, kube.AgentImage)
	}
	key, value, _ := strings.Cut(kube.AgentSelector, "=")
	if d.Spec.Template.Labels[key] != value || pod.Containers[0].Ports[0].Name != kube.AgentPortName || d.Namespace != kube.Namespace {
		t.Errorf("labels %v, ports %v", d.Spec.Template.Labels, pod.Containers[0].Ports)
	}
	if !pod.HostNetwork || !pod.HostPID || pod.HostIPC || pod.PriorityClassName != "system-node-critical" || len(pod.Volumes) != 3 {
		t.Errorf("%+v", pod)
	}
	sc := pod.Containers[0].SecurityContext
	if !*sc.ReadOnlyRootFilesystem || sc.Privileged != nil || !slices.Equal(sc.Capabilities.Add, kube.AgentCapabilities) || !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%+v", sc)
	}
	rules := func(r []rbacv1.PolicyRule) (out []string) {
		for _, p := range r {
			for _, res := range p.Resources {
				out = append(out, fmt.Sprint(p.APIGroups, res, p.Verbs))
			}
		}
		return out
	}
	agent := []string{"[authentication.k8s.io]tokenreviews[create]", "[authorization.k8s.io]subjectaccessreviews[create]"}
	if got := rules(all["ClusterRole plumbd"].(*rbacv1.ClusterRole).Rules); !cmp.Equal(squeeze(got), agent) {
		t.Errorf("plumbd may %v", got)
	}
	g := "[" + kube.AgentGroup + "]" + kube.AgentResource
	if got := rules(all["ClusterRole plumb-cli"].(*rbacv1.ClusterRole).Rules); !cmp.Equal(squeeze(got), []string{g + "/snapshot[get]", g + "/status[get]", g + "/events[get]", g + "/probe[create]"}) {
		t.Errorf("plumb-cli may %v", got)
	}
	if got := rules(all["ClusterRole plumb-metrics"].(*rbacv1.ClusterRole).Rules); !cmp.Equal(squeeze(got), []string{g + "/metrics[get]"}) {
		t.Errorf("plumb-metrics may %v", got)
	}
	var configs []string
	for _, c := range snapshot.NetworkConfigs() {
		_, name, _ := strings.Cut(c, "/")
		configs = append(configs, name)
	}
	slices.Sort(configs)
	user := all["ClusterRole plumb-user"].(*rbacv1.ClusterRole).Rules
	if d := cmp.Diff(slices.Compact(configs), user[len(user)-1].ResourceNames); d != "" {
		t.Errorf("the ConfigMaps that plumb gets (-want +got):\n%s", d)
	}
	for name, o := range all {
		if r, ok := o.(*rbacv1.ClusterRole); ok && strings.Contains(fmt.Sprint(r.Rules), "*") {
			t.Errorf("%s: a wildcard", name)
		}
	}
}

func squeeze(list []string) (out []string) {
	for _, s := range list {
		out = append(out, strings.ReplaceAll(s, " ", ""))
	}
	return out
}

func lonely(v map[string]any) { v["peers"] = false }

// TestPeers wants the agents to have what they ask each other with, and no more, and none of it where they do not.
func TestPeers(t *testing.T) {
	all := decode(t, render(t, nil))
	args := func(all map[string]any) []string {
		return all["DaemonSet plumbd"].(*appsv1.DaemonSet).Spec.Template.Spec.Containers[0].Args
	}
	list := []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods", "services", "events"}}}
	token := []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{kube.PeerAccount}}}
	freeze := []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{kube.AgentGroup}, Resources: []string{kube.AgentResource + "/episodes"}}}
	got := [][]rbacv1.PolicyRule{all["ClusterRole plumbd-peers"].(*rbacv1.ClusterRole).Rules, all["Role plumbd-peers"].(*rbacv1.Role).Rules, all["ClusterRole plumb-peer"].(*rbacv1.ClusterRole).Rules}
	if d := cmp.Diff([][]rbacv1.PolicyRule{list, token, freeze}, got); d != "" {
		t.Error(d)
	}
	for binding, account := range map[string]string{"ClusterRoleBinding plumbd-peers": "plumbd", "RoleBinding plumbd-peers": "plumbd", "ClusterRoleBinding plumb-peer": kube.PeerAccount} {
		var ref rbacv1.RoleRef
		var who []rbacv1.Subject
		switch b := all[binding].(type) {
		case *rbacv1.ClusterRoleBinding:
			ref, who = b.RoleRef, b.Subjects
		case *rbacv1.RoleBinding:
			ref, who = b.RoleRef, b.Subjects
		}
		if !strings.HasSuffix(binding, " "+ref.Name) || len(who) != 1 || who[0].Name != account || all["ServiceAccount "+account] == nil {
			t.Errorf("%s: %+v, %+v", binding, ref, who)
		}
	}
	without := decode(t, render(t, lonely))
	if !slices.Contains(args(all), "--peers") || slices.Contains(args(without), "--peers") || len(without) != len(all)-7 {
		t.Errorf("%q, and without %q; %d objects, and %d", args(all), args(without), len(all), len(without))
	}
}

func monitored(v map[string]any) { v["podMonitor"].(map[string]any)["enabled"] = true }

// TestConfig gives plumbd what its container finds in the ConfigMap.
func TestConfig(t *testing.T) {
	for name, set := range map[string]func(map[string]any){
		"as it is":   nil,
		"one line":   func(v map[string]any) { v["config"] = "probes: {off: [io]}" },
		"many lines": func(v map[string]any) { v["config"] = "labels:\n  zone: a\nsinks:\n- stdout: {}\n" },
		"empty":      func(v map[string]any) { v["config"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			all := decode(t, render(t, set))
			pod := all["DaemonSet plumbd"].(*appsv1.DaemonSet).Spec.Template.Spec
			var file string
			for _, a := range pod.Containers[0].Args {
				if f, ok := strings.CutPrefix(a, "--config="); ok {
					file = f
				}
			}
			i := slices.IndexFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == filepath.Dir(file) && m.SubPath == "" })
			if i < 0 || pod.Volumes[i].ConfigMap == nil {
				t.Fatalf("no ConfigMap at %q", file)
			}
			data, ok := all["ConfigMap "+pod.Volumes[i].ConfigMap.Name].(*corev1.ConfigMap).Data[filepath.Base(file)]
			c, err := observe.ReadConfig(file, []byte(data), kinds.Kinds)
			if err != nil || !ok {
				t.Errorf("%v\n%s", err, data)
			}
			// The root file system is read-only: what is written goes to a volume.
			written := func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(c.Recorder.Dir, m.MountPath+"/") && !m.ReadOnly
			}
			if set == nil && !slices.ContainsFunc(pod.Containers[0].VolumeMounts, written) {
				t.Errorf("no volume for %q", c.Recorder.Dir)
			}
		})
	}
}

// TestPodMonitor wants the PodMonitor to find the agents, and its token to be good for their metrics alone.
func TestPodMonitor(t *testing.T) {
	all := decode(t, render(t, monitored))
	m := all["PodMonitor plumbd"].(*podMonitor).Spec
	d := all["DaemonSet plumbd"].(*appsv1.DaemonSet)
	e := m.PodMetricsEndpoints[0]
	if !cmp.Equal(m.Selector.MatchLabels, d.Spec.Selector.MatchLabels) || e.Port != kube.AgentPortName || e.Scheme != "https" || !e.HonorLabels || !e.TLSConfig.InsecureSkipVerify {
		t.Errorf("%+v", m)
	}
	secret := all["Secret "+e.Authorization.Credentials.Name].(*corev1.Secret)
	account := secret.Annotations[corev1.ServiceAccountNameKey]
	b := all["ClusterRoleBinding plumb-metrics"].(*rbacv1.ClusterRoleBinding)
	if secret.Type != corev1.SecretTypeServiceAccountToken || all["ServiceAccount "+account] == nil || b.RoleRef.Name != "plumb-metrics" || len(b.Subjects) != 1 || b.Subjects[0].Name != account {
		t.Errorf("%+v, %+v", secret, b)
	}
	if n := len(decode(t, render(t, nil))); n != len(all)-4 {
		t.Errorf("without it there are %d objects, with it %d", n, len(all))
	}
}

// TestValues wants each value of the chart to change something.
func TestValues(t *testing.T) {
	whole := render(t, nil)
	sub := func(v map[string]any, key string) map[string]any { return v[key].(map[string]any) }
	for name, set := range map[string]func(map[string]any){
		"namespace":       func(v map[string]any) { v["namespace"] = "elsewhere" },
		"image":           func(v map[string]any) { v["image"] = "elsewhere/plumbd:1" },
		"imagePullPolicy": func(v map[string]any) { v["imagePullPolicy"] = "Always" },
		"port":            func(v map[string]any) { v["port"] = 12345 },
		"apiServer":       func(v map[string]any) { sub(v, "apiServer")["host"] = "192.0.2.1" },
		"goMemory":        func(v map[string]any) { sub(v, "resources")["goMemory"] = "1GiB" },
		"config":          func(v map[string]any) { v["config"] = "probes: {off: [io]}\n" },
		"podMonitor":      monitored,
		"peers":           lonely,
		"memory":          func(v map[string]any) { sub(sub(v, "resources"), "limits")["memory"] = "1Gi" },
	} {
		got := render(t, set)
		if got == whole {
			t.Errorf("%s: changes nothing", name)
		}
		d := decode(t, got)["DaemonSet plumbd"].(*appsv1.DaemonSet)
		if c := d.Spec.Template.Spec.Containers[0]; name == "apiServer" && (c.Env[2].Value != "192.0.2.1" || c.Env[3].Value != "6443") {
			t.Errorf("environment %v", c.Env)
		}
	}
}
