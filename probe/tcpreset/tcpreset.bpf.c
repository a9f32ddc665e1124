//go:build ignore

// Counts the resets of TCP, sent and received.
#include "plumb.h"

// How many arguments the tracepoint has: a reason since 6.10.
const volatile u32 args_tcp_send_reset = 0;

enum { SENT = 0, RECEIVED = 1 };
enum { NO_REASON = 0xffff };

struct key {
	struct owner owner;
	u32 state;
	u16 reason;
	u16 received;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct key);
	__type(value, u64);
} resets SEC(".maps");

// Without a socket, what is reset is a segment for a port or a connection that there is not.
SEC("tp_btf/tcp_send_reset")
int tcp_send_reset(u64 *ctx)
{
	struct sock *sk = maybe_null(ctx[0]);
	struct sk_buff *skb = maybe_null(ctx[1]); // a reset that answers no segment has none
	struct key key = {.reason = NO_REASON};
	u64 net = sk ? sock_net(sk) : 0;

	if (!net && skb && skb->dev)
		net = net_id(skb->dev->nd_net.net);
	if (args_tcp_send_reset > 2)
		key.reason = ctx[2];
	if (sk)
		key.state = sk->__sk_common.skc_state;
	owner_of(&key.owner, net, sk, 0);
	add(&resets, &key, 1);

	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = net;
	e->owner = key.owner;
	if (skb) {
		struct l4 l4;

		skb_l4(&l4, skb);
		skb_tuple(&e->tuple, skb, &l4);
		turn(&e->tuple);
		e->tuple.len = 0;
	} else if (sk) {
		sock_tuple(&e->tuple, sk);
	}
	e->tuple.proto = IPPROTO_TCP;
	e->arg[0] = key.state;
	e->arg[1] = key.reason;
	end_event(e);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int tcp_receive_reset(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct key key = {.reason = NO_REASON, .received = RECEIVED};

	sock_owner(&key.owner, sk);
	key.state = sk->__sk_common.skc_state;
	add(&resets, &key, 1);

	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = sock_net(sk);
	e->owner = key.owner;
	sock_tuple(&e->tuple, sk);
	turn(&e->tuple);
	e->arg[0] = key.state;
	e->arg[1] = NO_REASON;
	e->arg[2] = RECEIVED;
	end_event(e);
	return 0;
}
