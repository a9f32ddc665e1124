//go:build ignore

// Measures how long connections take to be made and to be accepted, and counts those that fail.
#define WITH_WAITS
#include "plumb.h"

enum { CONNECT = 0, ACCEPT = 1, FAILED = 2, ERROR = 3 };

struct key {
	struct owner owner;
	u32 what;
	u32 err;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct key);
	__type(value, struct hist);
} latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct key);
	__type(value, u64);
} errors SEC(".maps");

// Whether accepting is seen.
const volatile u32 args_inet_csk_accept = 0;

// begin has a socket connect, or wait to be accepted, from now on.
inline_ void begin(u64 sk)
{
	if (wait_anew(sk, 0))
		count_lost(LOST_TABLE);
}

// end returns how long ago begin was called for a socket, or 0 where it was not.
inline_ u64 end(u64 sk)
{
	struct wait *w = wait_get(sk);
	u64 ns;

	if (!w)
		return 0;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	return ns;
}

// error is what a socket failed of. While a system call has it, what an ICMP message says is kept aside.
inline_ u32 error(const struct sock *sk)
{
	return sk->sk_err ? sk->sk_err : sk->sk_err_soft;
}

inline_ void tell(const struct sock *sk, const struct key *key, u64 ns)
{
	struct event *e = begin_event();

	if (!e)
		return;
	e->net = sock_net(sk);
	e->owner = key->owner;
	sock_tuple(&e->tuple, sk);
	e->arg[0] = key->what;
	e->arg[1] = ns;
	e->arg[2] = key->err;
	end_event(e);
}

inline_ void took(const struct sock *sk, u32 what, u64 ns)
{
	struct key key = {.what = what};

	sock_owner(&key.owner, sk);
	observe(&latency, &key, ns);
	if (ns > threshold)
		tell(sk, &key, ns);
}

SEC("tp_btf/inet_sock_set_state")
int inet_sock_set_state(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int old = ctx[1], new = ctx[2];
	u64 ns;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (new == TCP_SYN_SENT || (old == TCP_SYN_RECV && new == TCP_ESTABLISHED && args_inet_csk_accept)) {
		begin(address(ctx[0]));
		return 0;
	}
	if (old != TCP_SYN_SENT && (new != TCP_CLOSE || !args_inet_csk_accept))
		return 0;
	ns = end(address(ctx[0]));
	if (old != TCP_SYN_SENT)
		return 0;
	if (new == TCP_ESTABLISHED) {
		if (ns)
			took(sk, CONNECT, ns);
		return 0;
	}
	struct key key = {.what = FAILED};
	sock_owner(&key.owner, sk);
	key.err = error(sk);
	add(&errors, &key, 1);
	tell(sk, &key, ns);
	return 0;
}

// The function takes two arguments since 6.10, and had four; behind them is what it returns.
SEC("fexit/inet_csk_accept")
int inet_csk_accept(u64 *ctx)
{
	struct sock *child;
	u64 ns;

	if (args_inet_csk_accept > 2)
		child = maybe_null(ctx[4]);
	else
		child = maybe_null(ctx[2]);
	if (!child)
		return 0;
	ns = end(address((u64)child));
	// It may be taken from the queue before it is ESTABLISHED; it has not waited then.
	if (!ns && child->__sk_common.skc_state != TCP_SYN_RECV)
		return 0;
	struct sock *sk = (void *)ctx[0]; // the listener, whose child is of the same Pod
	struct key key = {.what = ACCEPT};

	sock_owner(&key.owner, sk);
	observe(&latency, &key, ns);
	if (ns <= threshold)
		return 0;
	struct event *e = begin_event();
	if (!e)
		return 0;
	e->net = sock_net(sk);
	e->owner = key.owner;
	common_tuple(&e->tuple, &child->__sk_common);
	e->tuple.proto = IPPROTO_TCP;
	turn(&e->tuple);
	e->arg[0] = ACCEPT;
	e->arg[1] = ns;
	end_event(e);
	return 0;
}

// What a socket's application will see as an error.
SEC("tp_btf/inet_sk_error_report")
int inet_sk_error_report(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct key key = {.what = ERROR, .err = error(sk)};

	if (!key.err) // it was told to the application meanwhile
		return 0;
	sock_owner(&key.owner, sk);
	add(&errors, &key, 1);
	return 0;
}
