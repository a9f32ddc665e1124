// Package faults holds the test that plumb names the injected fault first, on
// every fault of the lab, and nothing at all on healthy clusters.
package faults
