// Package rules asks a kernel and the netfilter package the same question:
// what becomes of this packet under these iptables rules, and what address and
// port does the far side see. It makes one router namespace whose devices lead
// to packet sockets, puts crafted frames on them, and watches every hook.
//
// It is written from the kernel's behaviour and shares no code with package
// netfilter beyond its types. It knows one routing table of a device a prefix;
// routing itself is proved elsewhere.
package rules
