// Package oracle compares the evaluation of rules with what kube-proxy's own
// tests expect of them. It holds only tests.
package oracle
