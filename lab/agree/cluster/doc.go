// Package cluster compares package trace with real packets in the lab: every
// topology, healthy and with each fault. It holds tests only.
package cluster
