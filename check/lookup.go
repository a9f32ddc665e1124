package check

import (
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
)

// Lookup asks the routing tables of a namespace.
func Lookup(ns *network.NS, q fib.Query) fib.Result {
	l, ok := any(&ns.FIB).(interface{ Lookup(fib.Query) fib.Result })
	if !ok {
		return fib.Result{Unknown: "no lookup"}
	}
	return l.Lookup(q)
}
