// Package dns says what becomes of a name that is looked up in a Pod: the resolv.conf that the
// kubelet writes ([Kubelet.Conf]), the queries that go out by its search list and ndots
// ([Conf.Expand]), and what CoreDNS makes of a query by its Corefile ([Corefile.Ask]).
//
//	name ─► resolv.conf: search, ndots ─► query ─► server block of the longest zone
//	    ─► its plugins, in CoreDNS's own order ─► an answer, the upstreams that are asked, or Unknown
//
// A Corefile means what CoreDNS 1.15 makes of it; what an earlier version refuses is in a table
// (versions.go). A plugin that is not followed makes the answer Unknown, by its name and line,
// where a query reaches it. What earlier lookups left in a cache is not known: each is the first.
//
// The package knows names, records and configuration. Of Kubernetes it knows what the plugin
// kubernetes serves, as a [Cluster] of plain values.
package dns
