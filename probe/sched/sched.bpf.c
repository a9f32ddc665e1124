//go:build ignore

// Measures how long tasks that the network has woken wait for a CPU.
#define WITH_WAITS
#include "plumb.h"

struct nsproxy {
	struct net *net_ns;
} kernel_;

struct css_set {
	struct cgroup *dfl_cgrp;
} kernel_;

struct task_struct {
	int pid;
	char comm[16];
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
} kernel_;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct owner);
	__type(value, struct hist);
} latency SEC(".maps");

// The socket that last got data on this CPU. The kernel wakes next who waits for it, if anybody does.
struct woken {
	u64 net;
	u64 jiffy;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct woken);
} last SEC(".maps");

inline_ u64 task_net(struct task_struct *t)
{
	struct nsproxy *ns = t->nsproxy; // NULL of a task that ends

	return ns ? net_id(ns->net_ns) : 0;
}

SEC("tp_btf/sk_data_ready")
int sk_data_ready(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	u16 f = sk->__sk_common.skc_family;
	u32 zero = 0;
	struct woken *w = bpf_map_lookup_elem(&last, &zero);

	if (!w || (f != AF_INET && f != AF_INET6))
		return 0;
	w->net = sock_net(sk);
	w->jiffy = bpf_jiffies64();
	return 0;
}

SEC("tp_btf/sched_waking")
int sched_waking(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[0];
	u32 zero = 0;
	struct woken *w = bpf_map_lookup_elem(&last, &zero);

	if (!w || !w->net)
		return 0;
	if (w->net == task_net(t) && w->jiffy == bpf_jiffies64())
		wait_anew(t->pid, 0);
	w->net = 0;
	return 0;
}

SEC("tp_btf/sched_switch")
int sched_switch(u64 *ctx)
{
	struct task_struct *t = (void *)ctx[2];
	struct wait *w = wait_get(t->pid);
	struct owner owner = {.by = BY_NETNS};
	struct event *e;
	u64 ns;

	if (!w || !t->pid)
		return 0;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	owner.id = task_net(t);
	if (owner.id == host_net) {
		owner.by = BY_SOCKET;
		owner.id = t->cgroups->dfl_cgrp->kn->id;
	}
	observe(&latency, &owner, ns);
	if (ns <= threshold)
		return 0;
	e = begin_event();
	if (!e)
		return 0;
	e->owner = owner;
	e->arg[0] = ns;
	e->arg[1] = t->pid;
	bpf_probe_read_kernel(&e->arg[2], 16, &t->comm);
	end_event(e);
	return 0;
}
