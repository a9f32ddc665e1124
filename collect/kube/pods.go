package kube

import (
	"context"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
)

// maxPicked is how many Pods of one selector are returned: as many as share an address are on one node.
const maxPicked = 500

// PodsBy returns the Pods that a field selector picks, "status.podIP=10.0.0.1", in a namespace or, with "", in all: as the
// API server remembers them (resourceVersion 0), which nothing else need be asked for, and which may be a moment old.
func (c *Client) PodsBy(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	t := target{verb: "list", version: "v1", namespace: namespace, resource: "pods"}
	page, err := c.page(ctx, t, typeProtobuf, url.Values{"fieldSelector": {selector}, "resourceVersion": {"0"}, "limit": {fmt.Sprint(maxPicked)}})
	if err != nil {
		return nil, err
	}
	var list corev1.PodList
	if err := unmarshal(page, &list); err != nil {
		return nil, err
	}
	return list.Items[:min(len(list.Items), maxPicked)], nil
}
