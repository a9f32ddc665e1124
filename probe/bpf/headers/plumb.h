// What the probes' programs share: the few kernel structs that they read, by CO-RE; whose a packet or a socket is; and events.
//
// The structs have the fields that we use and no others; where a field is in the running kernel is settled when a program is loaded.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed short __s16;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

// linux/bpf.h
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1 };
enum { BPF_SK_STORAGE_GET_F_CREATE = 1 };

char LICENSE[] SEC("license") = "GPL";

#define inline_ static __always_inline
#define kernel_ __attribute__((preserve_access_index))

struct kernfs_node {
	u64 id;
} kernel_;

struct cgroup {
	struct kernfs_node *kn;
} kernel_;

struct sock_cgroup_data {
	struct cgroup *cgroup; // since 5.15
} kernel_;

// Until 5.14 the pointer shared its word with net_cls, which set the lowest bit.
struct sock_cgroup_data___old {
	u64 val;
} kernel_;

struct ns_common {
	u32 inum;
} kernel_;

struct net {
	struct ns_common ns;
	u64 net_cookie; // since 5.12
} kernel_;

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
} kernel_;

struct dst_entry {
	struct net_device *dev;
} kernel_;

struct in6_addr {
	u8 s6_addr[16];
};

struct ipv6hdr {
	u8 nexthdr;
} kernel_;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} kernel_;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	int sk_err_soft;
	u16 sk_protocol;
	u16 sk_type;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
} kernel_;

struct request_sock {
	struct sock_common __req_common;
} kernel_;

struct inet_sock {
	__be16 inet_sport; // stays when the port is given back, as skc_num does not
} kernel_;

struct inet_connection_sock {
	u8 icsk_retransmits;
} kernel_;

struct tcp_sock {
	u32 srtt_us; // in eighths
} kernel_;

// Where a TCP segment is in the stream, in its packet's cb.
struct tcp_skb_cb {
	u32 seq;
	u32 end_seq;
	u16 tcp_gso_segs;
} kernel_;

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	u64 _skb_refdst;
	u32 len;
	int skb_iif;
	u8 pkt_type : 3;
	__be16 protocol;
	u16 network_header;
	u16 transport_header;
	unsigned char *head;
	char cb[48];
} kernel_;

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	AF_PACKET = 17,
	ETH_P_IP = 0x0800,
	ETH_P_ARP = 0x0806,
	ETH_P_IPV6 = 0x86dd,
	IPPROTO_ICMP = 1,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_ICMPV6 = 58,
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
	TCP_NEW_SYN_RECV = 12,
};

// Set when a program is loaded (Load).
const volatile bool cookies = 0;  // a namespace's id is its cookie; else its inode
const volatile u64 host_net = 0;      // the id of the node's own namespace
const volatile u64 threshold = 0;     // in ns, beyond which there is an event

// Whose something is. Tiers are those of package event.
enum { BY_NONE = 0, BY_SOCKET = 1, BY_NETNS = 2, BY_DEVICE = 3 };

struct owner {
	u64 id; // a cgroup, a namespace or a device, as by says
	u32 by;
	u32 pad;
};

// maybe_null is an argument that may be NULL, to be checked as other pointers are. Until 6.12 the verifier takes arguments for
// what is not NULL and leaves out a program's own checks, and the kernel crashes; comparisons for order it does not judge.
#define maybe_null(arg)                                                              \
	({                                                                           \
		void *to = (void *)(arg);                                            \
		asm volatile("if %0 > 4095 goto +1; %0 = 0" : "+r"(to));             \
		to;                                                                  \
	})

// address returns where an argument points to, as a number that may be reckoned with: as such the verifier has it
// from memory only that something was added to.
inline_ u64 address(u64 arg)
{
	volatile u64 to = 0;

	__sync_fetch_and_add(&to, arg);
	return to;
}

// Has the verifier take what is at an address for a type. What is read by that costs nothing, unlike by a helper; what cannot be
// read is 0. Since 6.2.
extern void *bpf_rdonly_cast(const void *address, u32 type) __ksym __weak;
#define cast(type, address) ((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

// at reads a field of a struct that is at an address, by as many pointers as BPF_CORE_READ.
#define at(type, address, fields...) \
	(bpf_rdonly_cast ? ___arrow(cast(type, address), fields) : BPF_CORE_READ((type *)(address), fields))

inline_ u64 net_id(struct net *net)
{
	if (!net)
		return 0;
	if (cookies)
		return net->net_cookie;
	return net->ns.inum;
}

inline_ u64 sock_net(const struct sock *sk)
{
	return net_id(sk->__sk_common.skc_net.net);
}

// A timewait or request socket has no more than its sock_common.
inline_ bool full_sock(const struct sock *sk)
{
	u8 s = sk->__sk_common.skc_state;

	return s != TCP_TIME_WAIT && s != TCP_NEW_SYN_RECV;
}

inline_ u64 sock_cgroup(const struct sock *sk)
{
	struct cgroup *c;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		c = sk->sk_cgrp_data.cgroup;
		return c ? c->kn->id : 0;
	}
	u64 val = BPF_CORE_READ((struct sock_cgroup_data___old *)&sk->sk_cgrp_data, val);
	if (val & 1)
		return 0;
	c = (void *)(val & ~3ULL);
	return c ? BPF_CORE_READ(c, kn, id) : 0;
}

// owner_of says whose a packet or a socket of a namespace is. In the node's own namespace
// the socket's cgroup tells a Pod of the node's network, and the device one whose veth it is.
inline_ void owner_of(struct owner *o, u64 net, const struct sock *sk, u32 ifindex)
{
	o->id = net;
	o->by = BY_NETNS;
	o->pad = 0;
	if (net != host_net)
		return;
	if (sk && full_sock(sk)) {
		o->id = sock_cgroup(sk);
		o->by = BY_SOCKET;
	} else if (ifindex) {
		o->id = ifindex;
		o->by = BY_DEVICE;
	}
}

inline_ void sock_owner(struct owner *o, const struct sock *sk)
{
	owner_of(o, sock_net(sk), sk, 0);
}

// Addresses and ports of a packet, in network order; of a socket, seen from it. IPv4 is in the first four bytes.
struct tuple {
	u8 src[16];
	u8 dst[16];
	__be16 sport;
	__be16 dport;
	u8 version; // 4, 6, or 0 where there are no addresses
	u8 proto;
	u16 len;
};

inline_ void copy16(void *to, const void *from)
{
	((u64 *)to)[0] = ((u64 *)from)[0];
	((u64 *)to)[1] = ((u64 *)from)[1];
}

inline_ void common_tuple(struct tuple *t, const struct sock_common *c)
{
	t->sport = bpf_htons(c->skc_num);
	t->dport = c->skc_dport;
	if (c->skc_family == AF_INET) {
		t->version = 4;
		*(u32 *)t->src = c->skc_rcv_saddr;
		*(u32 *)t->dst = c->skc_daddr;
		return;
	}
	t->version = 6;
	copy16(t->src, &c->skc_v6_rcv_saddr);
	copy16(t->dst, &c->skc_v6_daddr);
}

inline_ void sock_tuple(struct tuple *t, const struct sock *sk)
{
	common_tuple(t, &sk->__sk_common);
	if (!full_sock(sk))
		return;
	t->sport = at(struct inet_sock, sk, inet_sport);
	t->proto = sk->sk_protocol;
}

// turn makes a tuple that of the other direction.
inline_ void turn(struct tuple *t)
{
	struct tuple o = *t;

	__builtin_memcpy(t->src, o.dst, 16);
	__builtin_memcpy(t->dst, o.src, 16);
	t->sport = o.dport;
	t->dport = o.sport;
}

// The extension headers of IPv6 that a packet may have before its ports.
inline_ bool extension(u8 next)
{
	return next == 0 || next == 43 || next == 60;
}

// header returns the 40 bytes at an address, of IPv6's header or others; copy has room for them. The first four cannot be read
// at once.
inline_ const u8 *header(const void *address, u8 *copy)
{
	if (bpf_rdonly_cast)
		return (u8 *)cast(struct ipv6hdr, address);
	bpf_probe_read_kernel(copy, 40, address);
	return copy;
}

// What a packet's headers say.
struct l4 {
	u32 at; // the offset of the transport header from skb->head; 0 of a fragment that has none
	u8 version; // 4, 6, or 0 of what is not IP
	u8 proto;
	bool group; // it is to a multicast address
};

inline_ void skb_l4(struct l4 *p, const struct sk_buff *skb)
{
	unsigned char *head = skb->head;
	u32 l3 = skb->network_header;
	u8 copy[40];
	const u8 *b = header(head + l3, copy);

	p->at = p->version = p->proto = p->group = 0;
	if (skb->protocol == bpf_htons(ETH_P_IP) && b[0] >> 4 == 4) {
		p->version = 4;
		p->proto = b[9];
		p->group = b[16] >= 224;
		// Ports are in the first fragment only.
		p->at = b[6] & 0x1f || b[7] ? 0 : l3 + (b[0] & 15) * 4;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || b[0] >> 4 != 6)
		return;
	p->version = 6;
	p->group = b[24] == 0xff;
	u8 next[2] = {b[6], 0};
	u32 at = l3 + 40;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		if (!extension(next[0]))
			break;
		if (bpf_probe_read_kernel(next, 2, head + at))
			break;
		at += (next[1] + 1) * 8;
	}
	p->proto = next[0];
	p->at = at;
}

inline_ void skb_tuple(struct tuple *t, const struct sk_buff *skb, const struct l4 *p)
{
	unsigned char *head = skb->head;
	u8 copy[40];
	const u8 *b = header(head + skb->network_header, copy);

	t->len = skb->len;
	t->proto = p->proto;
	t->version = p->version;
	if (t->version == 4) {
		*(u32 *)t->src = *(u32 *)(b + 12);
		*(u32 *)t->dst = *(u32 *)(b + 16);
	} else if (t->version == 6) {
		copy16(t->src, b + 8);
		copy16(t->dst, b + 24);
	}
	if (p->at && (t->proto == IPPROTO_TCP || t->proto == IPPROTO_UDP))
		*(u32 *)&t->sport = *(u32 *)(header(head + p->at - 8, copy) + 8);
}

// An event as package bpf reads it. What arg holds is the probe's own.
struct event {
	u64 time; // bpf_ktime_get_ns
	u64 net;
	struct owner owner;
	struct tuple tuple;
	u64 arg[4];
};
_Static_assert(sizeof(struct event) == 104, "as package bpf has it");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10);
} events SEC(".maps");

// What was not told, by stage.
enum { LOST_RATE, LOST_RING, LOST_TABLE, LOST_STAGES };

// A CPU may tell this many events of a probe at once, and then one for each interval.
enum { EVENT_BURST = 64, EVENT_INTERVAL = 10000000 };

// A CPU's account, as package bpf reads it. It is in one place, which seldom is in the CPU's cache.
struct account {
	u64 lost[LOST_STAGES];
	u64 whole;  // when the CPU may tell a whole burst again
	u64 jiffy; // in which it might tell nothing: the clock is not asked again in it
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct account);
} accounts SEC(".maps");

inline_ struct account *account(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&accounts, &zero);
}

inline_ void count_lost(u32 stage)
{
	struct account *a = account();

	if (a)
		a->lost[stage]++;
}

// begin_event returns an event to fill and give to end_event, or NULL where there are too many of them.
inline_ struct event *begin_event(void)
{
	struct account *a = account();
	struct event *e;

	if (!a)
		return 0;
	u64 jiffy = bpf_jiffies64();
	if (a->jiffy == jiffy) {
		a->lost[LOST_RATE]++;
		return 0;
	}
	u64 now = bpf_ktime_get_ns();
	if (a->whole > now + (u64)EVENT_BURST * EVENT_INTERVAL) {
		a->jiffy = jiffy;
		a->lost[LOST_RATE]++;
		return 0;
	}
	a->whole = (a->whole > now ? a->whole : now) + EVENT_INTERVAL;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		a->lost[LOST_RING]++;
		return 0;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time = now;
	return e;
}

inline_ void end_event(struct event *e)
{
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

// add adds n to the counter of a key of a per-CPU hash. A key that there is no room for is counted.
#define add(table, key, n)                                                      \
	({                                                                      \
		u64 *value = bpf_map_lookup_elem(table, key);                   \
		if (value) {                                                    \
			*value += n;                                            \
		} else {                                                        \
			u64 first = n;                                          \
			if (bpf_map_update_elem(table, key, &first, BPF_NOEXIST) && \
			    !again(table, key, n))                              \
				count_lost(LOST_TABLE);                         \
		}                                                               \
	})

// again is for a key that another CPU put in first.
#define again(table, key, n)                                    \
	({                                                      \
		u64 *other = bpf_map_lookup_elem(table, key);   \
		if (other)                                      \
			*other += n;                            \
		other != 0;                                     \
	})

// A histogram: its sum, and how many were below 1024 ns × 4^i.
enum { SLOTS = 13 };

struct hist {
	u64 sum;
	u64 slot[SLOTS];
};

inline_ u32 slot_of(u64 ns)
{
	u64 v = ns >> 10;
	u32 log = 0, n;

	if (!v)
		return 0;
	n = (v > 0xffffffff) << 5, v >>= n, log |= n;
	n = (v > 0xffff) << 4, v >>= n, log |= n;
	n = (v > 0xff) << 3, v >>= n, log |= n;
	n = (v > 0xf) << 2, v >>= n, log |= n;
	n = (v > 0x3) << 1, log |= n;
	n = log / 2 + 1;
	return n < SLOTS ? n : SLOTS - 1;
}

static const struct hist no_hist;

inline_ void hist_add(struct hist *h, u64 ns)
{
	u32 i = slot_of(ns);

	if (i >= SLOTS)
		return;
	h->sum += ns;
	h->slot[i]++;
}

// observe puts a time into the histogram of a key of a per-CPU hash.
#define observe(table, key, ns)                                                   \
	({                                                                        \
		struct hist *h = bpf_map_lookup_elem(table, key);                 \
		if (!h) {                                                         \
			bpf_map_update_elem(table, key, &no_hist, BPF_NOEXIST);   \
			h = bpf_map_lookup_elem(table, key);                      \
		}                                                                 \
		if (h)                                                            \
			hist_add(h, ns);                                          \
		else                                                              \
			count_lost(LOST_TABLE);                                   \
	})

#ifdef WITH_WAITS
// Since when something waits, by its address. A table of these has four slots for many addresses.
// A wait that is never ended gives way after a minute.
struct wait {
	u64 key;
	u64 at; // 0 of a slot that is free
	u64 stage; // the probe's own
};

enum { WAIT_BITS = 11, WAIT_WAYS = 4, WAITS = WAIT_WAYS << WAIT_BITS };
enum { WAIT_STALE = 60 * 1000000000ULL };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WAITS);
	__type(key, u32);
	__type(value, struct wait);
} waits SEC(".maps");

// wait_slot returns one of the slots of a key.
inline_ struct wait *wait_slot(u64 key, u32 way)
{
	u32 i = ((key * 0x9e3779b97f4a7c15ULL) >> (64 - WAIT_BITS)) * WAIT_WAYS + way % WAIT_WAYS;

	return bpf_map_lookup_elem(&waits, &i);
}

// wait_get returns the wait of a key, or NULL.
inline_ struct wait *wait_get(u64 key)
{
#pragma unroll
	for (u32 way = 0; way < WAIT_WAYS; way++) {
		struct wait *w = wait_slot(key, way);

		if (w && w->key == key && w->at)
			return w;
	}
	return 0;
}

// wait_free returns the slot that a key may wait in, which is its own where it has one; or NULL. Two CPUs hardly ever find the
// same one, since each looks at another first.
inline_ struct wait *wait_free(u64 key, u64 now)
{
	u32 first = bpf_get_smp_processor_id();
	struct wait *free = 0;

#pragma unroll
	for (u32 way = 0; way < WAIT_WAYS; way++) {
		struct wait *w = wait_slot(key, first + way);

		if (!w)
			continue;
		if (w->key == key && w->at)
			return w;
		if (!free && (!w->at || now - w->at >= WAIT_STALE))
			free = w;
	}
	return free;
}

// wait_begin has a key wait from now on, unless it waits already. Who finds no slot is not measured.
inline_ void wait_begin(u64 key)
{
	u64 now;
	struct wait *w;

	if (wait_get(key))
		return;
	now = bpf_ktime_get_ns();
	w = wait_free(key, now);
	if (!w)
		return;
	w->key = key;
	w->at = now;
}

// wait_anew has a key wait from now on, also where it waited already. It returns whether another's wait was lost by that.
inline_ bool wait_anew(u64 key, u64 stage)
{
	u64 now = bpf_ktime_get_ns();
	struct wait *w = wait_free(key, now);
	bool taken = !w;

	if (taken)
		w = wait_slot(key, 0);
	if (!w)
		return 1;
	w->key = key;
	w->at = now;
	w->stage = stage;
	return taken;
}
#endif
