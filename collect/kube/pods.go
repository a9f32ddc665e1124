package kube

import (
	"context"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
)

// maxPicked is how many objects of one selector are returned: as many Pods as share an address are on one node.
const maxPicked = 500

// PodsBy returns the Pods that a field selector picks, "status.podIP=10.0.0.1", in a namespace or, with "", in all: as the
// API server remembers them (resourceVersion 0), which nothing else need be asked for, and which may be a moment old.
func (c *Client) PodsBy(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := c.pick(ctx, namespace, "pods", selector, &list)
	return list.Items[:min(len(list.Items), maxPicked)], err
}

// ServicesBy returns the Services that a field selector picks, "spec.clusterIP=10.96.0.1", as PodsBy does with Pods. An API server
// before 1.31 refuses that selector, by a [StatusError] of 400.
func (c *Client) ServicesBy(ctx context.Context, namespace, selector string) ([]corev1.Service, error) {
	var list corev1.ServiceList
	err := c.pick(ctx, namespace, "services", selector, &list)
	return list.Items[:min(len(list.Items), maxPicked)], err
}

// EventsBy returns the Events that a field selector picks, "involvedObject.name=web-0", as PodsBy does with Pods, but out of etcd: the API
// server does not remember Events.
func (c *Client) EventsBy(ctx context.Context, namespace, selector string) ([]corev1.Event, error) {
	var list corev1.EventList
	err := c.pick(ctx, namespace, "events", selector, &list)
	return list.Items[:min(len(list.Items), maxPicked)], err
}

// pick lists what a field selector picks.
func (c *Client) pick(ctx context.Context, namespace, resource, selector string, list unmarshaler) error {
	t := target{verb: "list", version: "v1", namespace: namespace, resource: resource}
	page, err := c.page(ctx, t, typeProtobuf, url.Values{"fieldSelector": {selector}, "resourceVersion": {"0"}, "limit": {fmt.Sprint(maxPicked)}})
	if err != nil {
		return err
	}
	return unmarshal(page, list)
}
