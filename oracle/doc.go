// Package oracle compares what package intent says of NetworkPolicies with the matcher of
// cyclonus, from which the network policy API's policy-assistant has its own, and measures
// both on the same objects. It is a module of its own, so that plumb's does not know it. It
// holds only tests.
package oracle
