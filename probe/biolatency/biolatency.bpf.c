//go:build ignore

// Measures how long block devices take for their requests.
#define WITH_WAITS
#include "plumb.h"

// How many arguments the tracepoint has: until 5.10 the queue comes before the request.
const volatile u32 args_block_rq_issue = 0;

struct gendisk {
	int major;
	int first_minor;
} kernel_;

struct request_queue {
	struct gendisk *disk; // since 5.15
} kernel_;

struct request {
	struct request_queue *q;
	u32 cmd_flags;
} kernel_;

struct request___old {
	struct gendisk *rq_disk; // until 5.16
} kernel_;

struct key {
	u32 major;
	u32 minor;
	u32 operation;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct key);
	__type(value, struct hist);
} latency SEC(".maps");

SEC("tp_btf/block_rq_issue")
int block_rq_issue(u64 *ctx)
{
	u64 rq = args_block_rq_issue > 1 ? address(ctx[1]) : address(ctx[0]);

	wait_anew(rq, bpf_get_current_cgroup_id());
	return 0;
}

inline_ struct gendisk *disk_of(struct request *rq)
{
	struct request___old *old = (void *)rq;

	if (bpf_core_field_exists(old->rq_disk))
		return BPF_CORE_READ(old, rq_disk);
	return BPF_CORE_READ(rq, q, disk);
}

SEC("tp_btf/block_rq_complete")
int block_rq_complete(u64 *ctx)
{
	struct request *rq = (void *)address(ctx[0]);
	struct wait *w = wait_get((u64)rq);
	struct key key = {};
	struct gendisk *disk;
	u64 ns;

	if (!w)
		return 0;
	ns = bpf_ktime_get_ns() - w->at;
	w->at = 0;
	disk = disk_of(rq);
	if (!disk)
		return 0;
	key.major = BPF_CORE_READ(disk, major);
	key.minor = BPF_CORE_READ(disk, first_minor);
	key.operation = BPF_CORE_READ(rq, cmd_flags) & 0xff;
	observe(&latency, &key, ns);
	if (ns <= threshold)
		return 0;
	struct event *e = begin_event();
	if (!e)
		return 0;
	e->owner.id = w->stage;
	e->owner.by = BY_SOCKET; // that of a cgroup
	e->arg[0] = (u64)key.major << 32 | key.minor;
	e->arg[1] = key.operation;
	e->arg[2] = ns;
	end_event(e);
	return 0;
}
