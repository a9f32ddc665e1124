// Package nft asks a kernel and the netfilter package the same question about
// native nf_tables rules, alone and beside those of iptables: what becomes of
// this packet. The rulesets are random; the namespaces and packets are those of
// package rules.
package nft
