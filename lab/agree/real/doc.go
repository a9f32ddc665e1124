// Package real holds the tests of plumb on a real Kubernetes of the lab: that it
// names the injected fault first on every fault, by agents and real packets, and
// nothing on the healthy cluster. They run where PLUMB_CLUSTER is set.
package real
