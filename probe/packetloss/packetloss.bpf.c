//go:build ignore

// Counts the packets that the kernel frees because it did not deliver them.
#include "plumb.h"

// How many arguments the tracepoint has: a reason since 5.17, the socket that was to have it since 6.11.
const volatile u32 args_kfree_skb = 0;

// The reasons that are not loss, by number: always, of a packet to a group or another host, of a TCP segment
// without data, or of ICMP. Those of subsystems have greater numbers.
enum { ALWAYS = 1, GROUP = 2, EMPTY = 4, ICMP = 8 };
enum { REASONS = 256 };
const volatile u8 normal[REASONS] = {};

enum { RX = 0, TX = 1, FORWARD = 2 };
enum { LOOPBACK = 1 }; // the index of each namespace's lo

struct key {
	struct owner owner;
	u64 location;
	u32 reason;
	u8 proto; // 0 of what is not IP
	u8 dir;
	u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct key);
	__type(value, u64);
} drops SEC(".maps");

// The names of places in the kernel's code, as the kernel prints them.
struct name {
	char text[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, u64);
	__type(value, struct name);
} names SEC(".maps");

const volatile bool has_snprintf = 0; // since 5.13

inline_ void name_place(u64 location)
{
	static const char format[] = "%pS";
	struct name name = {};

	if (!has_snprintf || bpf_map_lookup_elem(&names, &location))
		return;
	bpf_snprintf(name.text, sizeof(name.text), format, &location, sizeof(location));
	bpf_map_update_elem(&names, &location, &name, BPF_ANY);
}

// direction tells which way the packet went when it was dropped. What no device of the
// namespace has received was sent from it; what was received and is routed to, or is
// already on, another device is forwarded. Before routing, a packet counts as received.
inline_ u8 direction(const struct sk_buff *skb, struct sock *sk)
{
	struct net_device *dev = skb->dev;
	int iif = skb->skb_iif;

	if (!iif) {
		// On its way through a veth it still has the socket that sent it.
		if (dev && sk && net_id(dev->nd_net.net) != sock_net(sk))
			return RX;
		return TX;
	}
	struct dst_entry *dst = (void *)(skb->_skb_refdst & ~1ULL);
	if (!dst)
		return dev && dev->ifindex != iif ? FORWARD : RX;
	int out = at(struct dst_entry, dst, dev, ifindex);
	return out == LOOPBACK || out == iif ? RX : FORWARD;
}

// lossless reports whether nothing was lost with a packet of a reason of these classes.
inline_ bool lossless(const struct sk_buff *skb, u8 class, const struct l4 *l4)
{
	if (class & ALWAYS)
		return 1;
	if (class & GROUP && (l4->group || BPF_CORE_READ_BITFIELD(skb, pkt_type)))
		return 1;
	if (class & ICMP && (l4->proto == IPPROTO_ICMP || l4->proto == IPPROTO_ICMPV6))
		return 1;
	const struct tcp_skb_cb *cb = (void *)skb->cb;
	return class & EMPTY && cb->seq == cb->end_seq;
}

// place tells the namespace in which the packet was dropped, and the socket that it was for or from there.
inline_ u64 place(const struct sk_buff *skb, bool queued, struct sock *sk, struct sock **of)
{
	struct net_device *dev = skb->dev;
	u64 net = 0;

	// In a socket's queue a packet has other things in place of its device.
	if (dev && !queued)
		net = net_id(dev->nd_net.net);
	if (sk && (!net || sock_net(sk) == net)) {
		*of = sk;
		net = sock_net(sk);
	}
	return net;
}

inline_ bool foreign(struct sock *sk)
{
	u16 f = sk->__sk_common.skc_family;

	return f != AF_INET && f != AF_INET6;
}

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	u32 reason = args_kfree_skb > 2 ? (u32)ctx[2] : 0;
	struct sock *rx = 0, *of = 0;
	struct key key = {};
	struct l4 l4;
	u64 r = reason;
	barrier_var(r); // else the verifier does not see that it is in bounds
	skb_l4(&l4, skb);
	if (r < REASONS && normal[r] && lossless(skb, normal[r], &l4))
		return 0;
	if (args_kfree_skb > 3)
		rx = maybe_null(ctx[3]);
	// Copies for captures; and what is no packet, or not yet: messages of netlink and of Unix sockets, drivers' buffers.
	struct sock *sk = rx ? rx : skb->sk;
	if (rx && foreign(rx))
		return 0;
	if (!skb->protocol && (!sk || foreign(sk)))
		return 0;
	u64 net = place(skb, rx != 0, sk, &of);
	key.dir = rx ? RX : direction(skb, sk);
	owner_of(&key.owner, net, of, key.dir == TX ? 0 : skb->skb_iif);
	key.location = ctx[1];
	key.reason = reason;
	key.proto = l4.proto;
	u64 *n = bpf_map_lookup_elem(&drops, &key);
	if (n) {
		(*n)++;
	} else {
		name_place(key.location);
		add(&drops, &key, 1);
	}

	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = net;
	e->owner = key.owner;
	skb_tuple(&e->tuple, skb, &l4);
	e->arg[0] = key.location;
	e->arg[1] = reason;
	e->arg[2] = key.dir;
	end_event(e);
	return 0;
}
