package kubetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// table answers with a list as kubectl shows it, if that was asked for.
func (s *Server) table(w http.ResponseWriter, r *http.Request) bool {
	if !strings.Contains(r.Header.Get("Accept"), "as=Table") {
		return false
	}
	var columns []string
	var rows []metav1.TableRow
	row := func(cells ...any) { rows = append(rows, metav1.TableRow{Cells: cells}) }
	var namespace string
	resource := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	if rest, ok := strings.CutPrefix(resource, "namespaces/"); ok {
		namespace, resource, _ = strings.Cut(rest, "/")
	}
	switch resource {
	case "pods":
		columns = []string{"Name", "Ready", "Status"}
		for _, p := range s.Objects.Pods {
			if p.Namespace == namespace {
				row(p.Name, "1/1", p.Status.Phase)
			}
		}
	case "services":
		columns = []string{"Name", "Type", "Cluster-IP", "External-IP", "Port(s)"}
		for _, v := range s.Objects.Services {
			var ports []string
			for _, p := range v.Spec.Ports {
				ports = append(ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
			}
			if v.Namespace == namespace {
				row(v.Name, v.Spec.Type, v.Spec.ClusterIP, "<none>", strings.Join(ports, ","))
			}
		}
	case "nodes":
		columns = []string{"Name", "Status", "Roles"}
		for _, n := range s.Objects.Nodes {
			row(n.Name, "Ready", "<none>")
		}
	case "namespaces":
		columns = []string{"Name", "Status"}
		for _, n := range s.Objects.Namespaces {
			row(n.Name, "Active")
		}
	default:
		return false
	}
	t := metav1.Table{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "Table"}, Rows: rows}
	for _, c := range columns {
		t.ColumnDefinitions = append(t.ColumnDefinitions, metav1.TableColumnDefinition{Name: c, Type: "string"})
	}
	json.NewEncoder(w).Encode(t)
	return true
}
