//go:build ignore

// Counts the TCP segments that are sent again.
#include "plumb.h"

// How many arguments the tracepoint has: since 6.17 it tells failures too.
const volatile u32 args_tcp_retransmit_skb = 0;

struct key {
	struct owner owner;
	u32 state;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct key);
	__type(value, u64);
} segments SEC(".maps");

SEC("tp_btf/tcp_retransmit_skb")
int tcp_retransmit_skb(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct sk_buff *skb = (void *)ctx[1];
	struct key key = {};

	if (args_tcp_retransmit_skb > 2 && (int)ctx[2])
		return 0;
	u64 n = ((struct tcp_skb_cb *)skb->cb)->tcp_gso_segs;
	sock_owner(&key.owner, sk);
	key.state = sk->__sk_common.skc_state;
	if (!n)
		n = 1;
	add(&segments, &key, n);

	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = sock_net(sk);
	e->owner = key.owner;
	sock_tuple(&e->tuple, sk);
	e->tuple.len = skb->len;
	e->arg[0] = key.state;
	e->arg[1] = at(struct inet_connection_sock, sk, icsk_retransmits);
	e->arg[2] = at(struct tcp_sock, sk, srtt_us) >> 3;
	e->arg[3] = n;
	end_event(e);
	return 0;
}

// A connection that a SYN has asked for is no socket of its own yet: it is the listener's.
SEC("tp_btf/tcp_retransmit_synack")
int tcp_retransmit_synack(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct request_sock *req = (void *)ctx[1];
	struct key key = {};

	sock_owner(&key.owner, sk);
	key.state = TCP_NEW_SYN_RECV;
	add(&segments, &key, 1);

	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = sock_net(sk);
	e->owner = key.owner;
	common_tuple(&e->tuple, &req->__req_common);
	e->tuple.proto = IPPROTO_TCP;
	e->arg[0] = key.state;
	e->arg[3] = 1;
	end_event(e);
	return 0;
}
