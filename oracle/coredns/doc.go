// Package coredns compares what package dns says of Corefiles with CoreDNS itself, which runs in
// the test on loopback, with an API server and upstreams that the test is. It is a module of its
// own, so that neither plumb's nor the oracle's other one knows what CoreDNS needs. It holds only tests.
package coredns
