// Package oracle compares what package intent says of NetworkPolicies with the matcher of
// cyclonus, from which the network policy API's policy-assistant has its own, and measures
// both, and np-guard's netpol-analyzer, on the same objects. It is a module of its own, so that
// plumb's does not know them. It holds only tests.
package oracle
