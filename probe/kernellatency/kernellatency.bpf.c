//go:build ignore

// Measures how long packets take from stage to stage in the kernel.
//
// A packet is followed by its head, which its clones share. Its place in the table is anew at each first stage, so that
// what became of a packet before need not be known.
#define WITH_WAITS
#include "plumb.h"

enum { BACKLOG = 0, DELIVER = 1, QDISC = 2, DRIVER = 3 };

struct key {
	struct owner owner;
	u64 stage;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct key);
	__type(value, struct hist);
} latency SEC(".maps");

// What the CPU is giving to a driver. The packet may be gone when it returns.
struct given {
	u64 skb;
	u64 at;
	struct owner owner;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct given);
} driver SEC(".maps");

inline_ u64 head_of(const struct sk_buff *skb)
{
	return address((u64)skb->head);
}

inline_ void packet_owner(struct owner *o, const struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	struct sock *sk = skb->sk;
	u64 net = dev ? net_id(dev->nd_net.net) : 0;

	if (!net && sk)
		net = sock_net(sk);
	owner_of(o, net, sk, dev ? dev->ifindex : 0);
}

inline_ void took(const struct sk_buff *skb, const struct owner *owner, u64 stage, u64 ns)
{
	struct key key = {.owner = *owner, .stage = stage};
	struct event *e;

	observe(&latency, &key, ns);
	if (ns <= threshold)
		return;
	e = begin_event();
	if (!e)
		return;
	e->owner = *owner;
	if (skb) {
		struct l4 l4;

		skb_l4(&l4, skb);
		skb_tuple(&e->tuple, skb, &l4);
	}
	e->arg[0] = stage;
	e->arg[1] = ns;
	end_event(e);
}

// passed ends a stage of a packet, if it was in it.
inline_ void passed(const struct sk_buff *skb, u64 stage)
{
	struct wait *w = wait_get(head_of(skb));
	struct owner owner;
	u64 ns;

	if (!w || w->stage != stage)
		return;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	packet_owner(&owner, skb);
	took(skb, &owner, stage, ns);
}

SEC("tp_btf/netif_rx")
int netif_rx(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];

	wait_anew(head_of(skb), BACKLOG);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int netif_receive_skb(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];

	passed(skb, BACKLOG);
	wait_anew(head_of(skb), DELIVER);
	return 0;
}

SEC("tp_btf/skb_copy_datagram_iovec")
int skb_copy_datagram_iovec(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct sock *sk = skb->sk; // which a datagram has not
	struct wait *w;
	struct owner owner;

	if (!skb->protocol || !sk)
		return 0; // of a Unix socket
	w = wait_get(head_of(skb));
	if (!w || w->stage != DELIVER)
		return 0;
	u64 ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	sock_owner(&owner, sk);
	took(skb, &owner, DELIVER, ns);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int net_dev_queue(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];

	wait_anew(head_of(skb), QDISC);
	return 0;
}

SEC("tp_btf/net_dev_start_xmit")
int net_dev_start_xmit(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	u32 zero = 0;
	struct given *g = bpf_map_lookup_elem(&driver, &zero);

	passed(skb, QDISC);
	if (!g)
		return 0;
	g->skb = address(ctx[0]);
	packet_owner(&g->owner, skb);
	g->at = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/net_dev_xmit")
int net_dev_xmit(u64 *ctx)
{
	u32 zero = 0;
	struct given *g = bpf_map_lookup_elem(&driver, &zero);
	struct owner owner;

	if (!g || g->skb != address(ctx[0]))
		return 0;
	g->skb = 0;
	owner = g->owner;
	took(0, &owner, DRIVER, bpf_ktime_get_ns() - g->at);
	return 0;
}
