//go:build ignore

// Measures how long packets wait in the queueing disciplines of devices.
#define WITH_WAITS
#include "plumb.h"

struct key {
	struct owner owner;
	char device[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct key);
	__type(value, struct hist);
} latency SEC(".maps");

SEC("tp_btf/qdisc_enqueue")
int qdisc_enqueue(u64 *ctx)
{
	wait_anew(address(ctx[2]), 0);
	return 0;
}

// Several packets may be taken at once; the first has waited longest, and stands for them.
SEC("tp_btf/qdisc_dequeue")
int qdisc_dequeue(u64 *ctx)
{
	struct sk_buff *skb = maybe_null(ctx[3]);
	struct wait *w = wait_get(address(ctx[3]));
	struct key key = {};
	struct net_device *dev;
	u64 ns;

	if (!w || !skb)
		return 0;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	dev = skb->dev;
	if (!dev)
		return 0;
	owner_of(&key.owner, net_id(dev->nd_net.net), skb->sk, dev->ifindex);
	copy16(key.device, dev->name);
	observe(&latency, &key, ns);
	if (ns <= threshold)
		return 0;
	struct event *e = begin_event();
	if (!e)
		return 0;
	struct l4 l4;
	e->owner = key.owner;
	skb_l4(&l4, skb);
	skb_tuple(&e->tuple, skb, &l4);
	__builtin_memcpy(&e->arg[0], key.device, 16);
	e->arg[2] = ns;
	end_event(e);
	return 0;
}
