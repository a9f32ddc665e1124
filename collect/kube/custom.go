package kube

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/plumbnet/plumb/snapshot"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// custom is a kind of a CustomResourceDefinition, which the API server has no protobuf of.
// The snapshot reads what it answers as it reads what kubectl prints.
func custom(kind, group, version, resource string) source {
	t := target{verb: "list", group: group, version: version, resource: resource}
	s := source{kind: kind, target: t, accept: typeJSON, custom: true}
	s.add = func(o *snapshot.Objects, page []byte) (metav1.ListMeta, error) {
		var list struct {
			metav1.ListMeta `json:"metadata"`
			Items           []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(page, &list); err != nil {
			return metav1.ListMeta{}, err
		}
		if len(o.Source)+len(list.Items) > maxObjects {
			return metav1.ListMeta{}, fmt.Errorf("more than %d objects", maxObjects)
		}
		c, err := snapshot.Read(snapshot.Files{s.file(): page})
		if err != nil {
			return metav1.ListMeta{}, err
		}
		if len(c.Gaps) > 0 {
			return metav1.ListMeta{}, errors.New(c.Gaps[0].Why)
		}
		c.Objects.Trim()
		*o = snapshot.JoinObjects(*o, c.Objects)
		return list.ListMeta, nil
	}
	return s
}
