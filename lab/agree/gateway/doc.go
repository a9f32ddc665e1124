// Package gateway compares where package route sends requests with what the conformance
// suite of the Gateway API expects. It holds only tests.
package gateway
