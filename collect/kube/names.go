package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// typeTable asks for a list as kubectl shows it, a line for each object.
const typeTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

// maxNames is how many names are listed; nobody chooses among more.
const maxNames = 500

// A Name is that of an object, and what is to be said of it in a word: the phase of a Pod,
// the ports of a Service ("80/TCP,443:30443/TCP").
type Name struct{ Name, About string }

// about is the column that tells most, by resource. Others have "Status".
var about = map[string]string{"services": "Port(s)"}

// Names lists the names of Pods, Services, nodes or namespaces, the first [maxNames] of them, without
// fetching the objects. The resource is "pods"; namespace is "" for what has none.
func (c *Client) Names(ctx context.Context, resource, namespace string) ([]Name, error) {
	t := target{verb: "list", version: "v1", namespace: namespace, resource: resource}
	resp, err := c.do(ctx, t, url.Values{"limit": {strconv.Itoa(maxNames)}, "includeObject": {string(metav1.IncludeNone)}}, typeTable, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxPage)).Decode(&table); err != nil {
		return nil, err
	}
	name, more := -1, -1
	for i, d := range table.ColumnDefinitions {
		switch d.Name {
		case "Name":
			name = i
		case about[resource], "Status":
			more = i
		}
	}
	if name < 0 {
		return nil, errors.New("the API server does not answer with a table of names")
	}
	var out []Name
	for _, r := range table.Rows {
		n := Name{Name: cell(r, name), About: cell(r, more)}
		if n.Name != "" {
			out = append(out, n)
		}
	}
	return out, nil
}

// cell returns what a row has in a column.
func cell(r metav1.TableRow, i int) string {
	if i < 0 || i >= len(r.Cells) {
		return ""
	}
	return fmt.Sprint(r.Cells[i])
}

// Contexts returns the names of the contexts of a kubeconfig; "" is the one that [Connect] would read.
func Contexts(kubeconfig string) ([]string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := rules.Load()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(config.Contexts)), nil
}
