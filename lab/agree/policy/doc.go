// Package policy compares what package intent says of policies with the tables that the
// end-to-end tests of Kubernetes, and the conformance tests of the network policy API, want.
package policy
