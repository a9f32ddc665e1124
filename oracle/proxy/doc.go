// Package proxy compares what package service says of Services with kube-proxy's own code. It is
// a module of its own, with the Kubernetes that kube-proxy is of. It holds only tests.
package proxy
