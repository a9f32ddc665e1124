// Package node collects the network state of one node: every network namespace
// on it, as the files that package snapshot reads.
//
// It speaks netlink itself, a thread in each namespace, and runs programs only for
// what no stable kernel interface tells (iptables-save, nft, ipset), and only where there
// is something to tell. It needs root. A source that fails becomes a file
// with the ending .error, and the others are collected all the same. It needs no
// Kubernetes; where containerd or CRI-O have left their records, it names the Pods.
package node

import _ "embed" // of the script

// Script is a collector in POSIX shell, which writes the same files as Collect: for
// places where nothing may be installed. "sh collect.sh OUT.tar.gz"
//
//go:embed collect.sh
var Script string
