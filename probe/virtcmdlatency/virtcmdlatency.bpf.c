//go:build ignore

// Measures how long virtio-net devices take for their drivers' commands.
#define WITH_WAITS
#include "plumb.h"

// Where a function's second and third argument are, on x86-64 and on arm64.
struct pt_regs {
	u64 si;
	u64 dx;
} kernel_;

struct pt_regs___arm64 {
	u64 regs[31];
} kernel_;

struct key {
	u32 command; // its class, and in the lowest byte which of that class
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, struct key);
	__type(value, struct hist);
} latency SEC(".maps");

inline_ u64 command_of(struct pt_regs *ctx)
{
	struct pt_regs___arm64 *arm = (void *)ctx;
	u8 class = 0, command = 0;

	if (bpf_core_field_exists(ctx->si)) {
		class = BPF_CORE_READ(ctx, si);
		command = BPF_CORE_READ(ctx, dx);
	} else if (bpf_core_field_exists(arm->regs)) {
		class = BPF_CORE_READ(arm, regs[1]);
		command = BPF_CORE_READ(arm, regs[2]);
	}
	return (u64)class << 8 | command;
}

// Until Linux 6.10 the function is virtnet_send_command.
SEC("kprobe/virtnet_send_command_reply")
int begins(struct pt_regs *ctx)
{
	wait_anew(bpf_get_current_task(), command_of(ctx));
	return 0;
}

SEC("kretprobe/virtnet_send_command_reply")
int ends(void *ctx)
{
	struct wait *w = wait_get(bpf_get_current_task());
	struct key key = {};
	u64 ns;

	if (!w)
		return 0;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	key.command = w->stage;
	observe(&latency, &key, ns);
	if (ns <= threshold)
		return 0;
	struct event *e = begin_event();
	if (!e)
		return 0;
	e->owner.id = bpf_get_current_cgroup_id();
	e->owner.by = BY_SOCKET; // that of a cgroup
	e->arg[0] = key.command;
	e->arg[1] = ns;
	end_event(e);
	return 0;
}
