//go:build ignore

// Measures how long data waits in a socket until its application reads it.
#define WITH_WAITS
#include "plumb.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct owner);
	__type(value, struct hist);
} latency SEC(".maps");

enum { MSG_PEEK = 2 };

inline_ bool internet(const struct sock *sk)
{
	u16 f = sk->__sk_common.skc_family;

	return f == AF_INET || f == AF_INET6;
}

// A socket that is closed with data unread leaves its wait to the next at its address, which has another port.
inline_ u64 key(u64 *ctx, const struct sock *sk)
{
	return address(ctx[0]) ^ (u64)sk->__sk_common.skc_num << 48;
}

inline_ void ready(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (internet(sk) && sk->__sk_common.skc_state != TCP_LISTEN)
		wait_begin(key(ctx, sk));
}

inline_ void was_read(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct wait *w = wait_get(key(ctx, sk));
	struct owner owner;
	struct event *e;
	u64 ns;

	if (!w)
		return;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	sock_owner(&owner, sk);
	observe(&latency, &owner, ns);
	if (ns <= threshold)
		return;
	e = begin_event();
	if (!e)
		return;
	e->net = sock_net(sk);
	e->owner = owner;
	sock_tuple(&e->tuple, sk);
	turn(&e->tuple);
	e->arg[0] = ns;
	end_event(e);
}

SEC("tp_btf/sk_data_ready")
int sk_data_ready(u64 *ctx)
{
	ready(ctx);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int sock_recv_length(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int got = ctx[1], flags = ctx[2];

	if (got >= 0 && !(flags & MSG_PEEK) && internet(sk))
		was_read(ctx);
	return 0;
}

// Until 6.2 there are only those of TCP.

SEC("tp_btf/tcp_probe")
int tcp_probe(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[1];
	struct tcp_skb_cb *cb = (void *)skb->cb;

	if (cb->seq != cb->end_seq) // it is no mere acknowledgement
		ready(ctx);
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int tcp_rcv_space_adjust(u64 *ctx)
{
	was_read(ctx);
	return 0;
}
