// Package wild holds what real software writes into iptables, as recorded by
// record.sh, and asks a kernel and package netfilter what becomes of packets under it.
package wild
