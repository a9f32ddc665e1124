//go:build ignore

// Measures how long the network's softirqs wait for their CPU, and how long they have it.
#include "plumb.h"

enum { NET_TX = 2, NET_RX = 3 };
enum { WAITED = 0, RAN = 1 };

struct vector {
	u64 raised;
	u64 entered;
	struct hist waited;
	struct hist ran;
};

// NET_TX and NET_RX.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct vector);
} vectors SEC(".maps");

const struct vector *unused_vector __attribute__((unused));

inline_ struct vector *vector(u32 n)
{
	u32 i = n - NET_TX;

	return i < 2 ? bpf_map_lookup_elem(&vectors, &i) : 0;
}

inline_ void took(u32 n, u32 what, struct hist *h, u64 ns)
{
	struct event *e;

	hist_add(h, ns);
	if (ns <= threshold)
		return;
	e = begin_event();
	if (!e)
		return;
	e->arg[0] = n - NET_TX;
	e->arg[1] = what;
	e->arg[2] = ns;
	e->arg[3] = bpf_get_smp_processor_id();
	end_event(e);
}

SEC("tp_btf/softirq_raise")
int softirq_raise(u64 *ctx)
{
	struct vector *v = vector(ctx[0]);

	if (v && !v->raised)
		v->raised = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/softirq_entry")
int softirq_entry(u64 *ctx)
{
	u32 n = ctx[0];
	struct vector *v = vector(n);

	if (!v)
		return 0;
	v->entered = bpf_ktime_get_ns();
	if (v->raised)
		took(n, WAITED, &v->waited, v->entered - v->raised);
	v->raised = 0;
	return 0;
}

SEC("tp_btf/softirq_exit")
int softirq_exit(u64 *ctx)
{
	u32 n = ctx[0];
	struct vector *v = vector(n);

	if (v && v->entered)
		took(n, RAN, &v->ran, bpf_ktime_get_ns() - v->entered);
	return 0;
}
