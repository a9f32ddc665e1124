//go:build ignore

// Hands the agent the packets by which names are asked for, and those that answer.
#include "plumb.h"

enum { BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4 };
enum { BPF_F_MMAPABLE = 1024 };
enum { PORT = 53 };
// The most that is looked at of TCP's: a message's length, header and question.
enum { MOST = 2 + 12 + 255 + 4 };

#define BPF_F_CURRENT_CPU 0xffffffffULL

struct sk_buff___data {
	u32 data_len;
	unsigned char *data;
} kernel_;

struct nsproxy {
	struct net *net_ns;
} kernel_;

struct task_struct {
	struct nsproxy *nsproxy;
} kernel_;

enum { READ = BY_DEVICE + 1 };

// A packet as the agent is told of it. Its bytes follow.
struct sight {
	u64 time; // bpf_ktime_get_ns
	u64 net;
	struct owner owner; // of the socket that asks
	u32 at; // where the payload begins
	u32 len; // and where what there is of it ends
	u32 answer; // BY_DEVICE where it arrived by one, or READ
	u32 pad;
};
const struct sight *sight_type __attribute__((unused)); // for bpf2go to know it

// Packets that are in one piece. Each CPU has a lane of places, which the agent takes them from. It asks for no order but the
// compiler's: what an atomic operation costs, as a ring buffer has several, is that all that was written before it has to be in memory.
struct lane {
	volatile u64 given; // how many places have been written to, each of them again and again
	volatile u64 busy;  // a program is writing, which another one may interrupt
	u64 whole; // when the CPU may show a whole burst again
	u64 rest[5];
	volatile u64 taken; // by the agent, which alone writes it
	u64 other[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); // Load has one for each CPU
	__type(key, u32);
	__type(value, struct lane);
} lanes SEC(".maps");

struct place {
	struct sight sight;
	u8 packet[144];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); // and lane_long for each
	__type(key, u32);
	__type(value, struct place);
} places SEC(".maps");

// How many places a lane has, a power of two. Set by Load.
const volatile u32 lane_long = 1;

// Those that are too long for a place, or when there is none.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} pieces SEC(".maps");

// Other packets, as TCP's are: what is in pages only the kernel itself can copy, and only to here. It follows the headers, with
// those of the device.
struct headers {
	struct sight sight;
	u8 head[56]; // from the network header on
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, u32);
	__type(value, u32);
} packets SEC(".maps");

// When a port of a namespace last asked, or not long before. Answers to others are of no use, above all those that the node
// forwards. And how much at the most: answers repeat the question. It is written seldom: another CPU may take the answers.
enum { SLOTS_BITS = 13 };
#define ASKED_OFTEN (1000000000ULL)
#define ASKED_LONG (11 * ASKED_OFTEN)

struct slot {
	u64 asked;
	u64 most;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SLOTS_BITS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

// The head of the answer that last arrived there by a device.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SLOTS_BITS);
	__type(key, u32);
	__type(value, u64);
} arrived SEC(".maps");

inline_ u32 slot_of_port(u64 net, u32 port)
{
	return ((net << 16 | port) * 0x9e3779b97f4a7c15ULL) >> (64 - SLOTS_BITS);
}

inline_ u32 least(u32 a, u32 b)
{
	return a < b ? a : b;
}

inline_ u32 word(const u8 *b)
{
	return b[0] << 8 | b[1];
}

// What a packet's headers say.
struct ports {
	u32 src;
	u32 dst;
	u32 payload; // its offset from the network header
	u32 size; // of what is looked at, headers included
};

// about says whether a packet may have that port, which is at an offset from where its ports are. It is asked of every packet.
inline_ bool about(const unsigned char *l3, u32 offset)
{
	u8 copy[40];
	const u8 *b = header(l3, copy);

	if (b[0] == 0x45)
		return *(u16 *)(b + 20 + offset) == bpf_htons(PORT);
	if (b[0] >> 4 != 6)
		return 0;
	b = header(l3 + 32, copy);
	return *(u16 *)(b + 8 + offset) == bpf_htons(PORT);
}

enum { SOURCE = 0, DESTINATION = 2 };

// message reads the headers of a packet that may be of DNS: without options of IPv4 or extension headers, as such packets are,
// and with something in it.
inline_ bool message(struct ports *p, const unsigned char *l3)
{
	u32 proto;
	u8 copy[40];
	const u8 *b = header(l3, copy);

	if (b[0] == 0x45 && !(b[6] & 0x1f) && !b[7]) {
		proto = b[9];
		p->payload = 20;
		p->size = word(b + 2);
	} else if (b[0] >> 4 == 6) {
		proto = b[6];
		p->payload = 40;
		p->size = 40 + word(b + 4);
	} else {
		return 0;
	}
	b = header(l3 + p->payload - 8, copy);
	p->src = word(b + 8);
	p->dst = word(b + 10);
	p->payload += proto == IPPROTO_TCP ? (b[20] >> 4) * 4 : 8;
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) || p->size < p->payload + 12)
		return 0;
	p->size = least(p->size, p->payload + MOST);
	return 1;
}

// A CPU may hand over this many packets at once, and then one for each interval.
enum { PACKET_BURST = 4096, PACKET_INTERVAL = 50000 };

inline_ bool may_show(struct lane *lane, u64 now)
{
	u64 whole = lane->whole;

	if (whole > now + (u64)PACKET_BURST * PACKET_INTERVAL) {
		count_lost(LOST_RATE);
		return 0;
	}
	lane->whole = (whole > now ? whole : now) + PACKET_INTERVAL;
	return 1;
}

inline_ struct lane *lane_here(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&lanes, &cpu);
}

// into copies the first n bytes of a packet to where there is room for them, as the verifier has to see.
#define into(to, s, p, l3, n)                                                  \
	({                                                                     \
		u64 some = n;                                                  \
		(to)->sight = *(s);                                            \
		(to)->sight.at = (p)->payload;                                 \
		(to)->sight.len = some;                                        \
		barrier_var(some);                                             \
		if (some <= sizeof((to)->packet))                              \
			bpf_probe_read_kernel((to)->packet, some, l3);         \
	})

// placed hands the first n bytes of a packet over in a lane, where there is room.
inline_ bool placed(struct lane *lane, const struct sight *s, const struct ports *p, const unsigned char *l3, u32 n)
{
	if (lane->busy)
		return 0;
	lane->busy = 1;
	u64 given = lane->given;
	u32 i = bpf_get_smp_processor_id() * lane_long + (given & (lane_long - 1));
	struct place *to = bpf_map_lookup_elem(&places, &i);
	bool room = to && given - lane->taken < lane_long;
	if (room) {
		into(to, s, p, l3, n);
		barrier();
		lane->given = given + 1;
	}
	lane->busy = 0;
	return room;
}

struct longest {
	struct sight sight;
	u8 packet[376]; // of which the longest headers have 100
};

// reserved hands it over in the ring.
#define reserved(type, s, p, l3, n)                                             \
	({                                                                      \
		struct type *to = bpf_ringbuf_reserve(&pieces, sizeof(*to), 0); \
		if (to) {                                                       \
			into(to, s, p, l3, n);                                  \
			bpf_ringbuf_submit(to, BPF_RB_NO_WAKEUP);               \
		} else {                                                        \
			count_lost(LOST_RING);                                  \
		}                                                               \
	})

inline_ void piece(struct lane *lane, const struct sight *s, const struct ports *p, const unsigned char *l3, u32 n)
{
	if (n > sizeof(((struct place *)0)->packet))
		reserved(longest, s, p, l3, n);
	else if (!placed(lane, s, p, l3, n))
		reserved(place, s, p, l3, n);
}

inline_ void show(struct sk_buff *skb, const struct sight *s, const struct ports *p, const unsigned char *l3)
{
	struct sk_buff___data *d = (void *)skb;
	int before = l3 - d->data;
	u32 size = skb->len - before, n = least(size, p->size);

	struct lane *lane = lane_here();
	if (!lane || !may_show(lane, s->time))
		return;
	if (n <= size - d->data_len) {
		piece(lane, s, p, l3, n);
		return;
	}
	struct headers h = {.sight = *s};
	n += before;
	h.sight.at = sizeof(h.head) + before + p->payload;
	h.sight.len = sizeof(h.head) + n;
	bpf_probe_read_kernel(h.head, sizeof(h.head), l3);
	if (bpf_skb_output(skb, &packets, (u64)n << 32 | BPF_F_CURRENT_CPU, &h, sizeof(h)))
		count_lost(LOST_RING);
}

// What a socket sends, in its own namespace: not what the node forwards for Pods.
SEC("tp_btf/net_dev_queue")
int net_dev_queue(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct sock *sk = skb->sk;

	if (!sk || !full_sock(sk))
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP) {
		if (sk->__sk_common.skc_dport != bpf_htons(PORT))
			return 0;
	} else if (sk->sk_protocol != IPPROTO_UDP) {
		return 0;
	}
	unsigned char *l3 = skb->head + skb->network_header;
	if (!about(l3, DESTINATION))
		return 0;
	struct net_device *dev = skb->dev;
	struct sight s = {};
	struct ports p;
	if (!message(&p, l3) || !dev)
		return 0;
	s.net = sock_net(sk);
	if (net_id(dev->nd_net.net) != s.net)
		return 0;
	s.time = bpf_ktime_get_ns();
	u32 i = slot_of_port(s.net, p.src);
	struct slot *slot = bpf_map_lookup_elem(&slots, &i);
	if (slot && s.time - slot->asked > ASKED_OFTEN)
		slot->asked = s.time;
	if (slot && slot->most < p.size - p.payload)
		slot->most = p.size - p.payload;
	sock_owner(&s.owner, sk);
	show(skb, &s, &p, l3);
	return 0;
}

// awaited says whether somebody in the namespace may wait for an answer, which has not arrived by a device before.
inline_ bool awaited(struct sight *s, struct ports *p, u64 head, bool device)
{
	u32 i = slot_of_port(s->net, p->dst);
	struct slot *slot = bpf_map_lookup_elem(&slots, &i);
	u64 *last = bpf_map_lookup_elem(&arrived, &i);

	s->time = bpf_ktime_get_ns();
	s->answer = device ? BY_DEVICE : READ;
	if (!slot || !last || !slot->asked || (__s64)(s->time - slot->asked) > (__s64)ASKED_LONG)
		return 0;
	p->size = least(p->size, p->payload + slot->most);
	if (!device)
		return *last != head;
	*last = head;
	return 1;
}

// What arrives in a namespace.
SEC("tp_btf/netif_receive_skb")
int netif_receive_skb(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	unsigned char *data = ((struct sk_buff___data *)skb)->data;

	if (!about(data, SOURCE))
		return 0;
	struct net_device *dev = skb->dev;
	struct sight s = {};
	struct ports p;
	if (!message(&p, data) || !dev)
		return 0;
	s.net = net_id(dev->nd_net.net);
	if (awaited(&s, &p, (u64)skb->head, 1))
		show(skb, &s, &p, data);
	return 0;
}

// A program may give packets to a Pod past its device (bpf_redirect_peer). They are met when they are read.
inline_ void read(struct sk_buff *skb)
{
	unsigned char *l3 = skb->head + skb->network_header;

	if (!skb->protocol || !about(l3, SOURCE))
		return; // without a protocol it is of a Unix socket
	struct sight s = {};
	struct ports p;
	if (!message(&p, l3))
		return;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = at(struct task_struct, task, nsproxy, net_ns);
	s.net = cookies ? at(struct net, net, net_cookie) : at(struct net, net, ns.inum);
	if (awaited(&s, &p, (u64)skb->head, 0))
		show(skb, &s, &p, l3);
}

SEC("tp_btf/skb_copy_datagram_iovec")
int skb_copy_datagram_iovec(u64 *ctx)
{
	read((void *)ctx[0]);
	return 0;
}

// A datagram that is in one piece is read otherwise, and then freed here until 6.17.
SEC("tp_btf/consume_skb")
int consume_skb(u64 *ctx)
{
	read((void *)ctx[0]);
	return 0;
}

struct sk_buff_head {
	struct sk_buff *prev;
} kernel_;

struct sock___queue {
	struct sk_buff_head sk_receive_queue;
} kernel_;

// Since 6.3, in place of consume_skb: the last datagram of a socket that has something to read. Somebody may just be taking it
// away: it is copied as what may be gone.
SEC("tp_btf/sk_data_ready")
int sk_data_ready(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct sight s = {};
	struct ports p;

	if (sk->sk_protocol != IPPROTO_UDP || !full_sock(sk))
		return 0;
	u64 skb = address((u64)((struct sock___queue *)sk)->sk_receive_queue.prev);
	unsigned char *head = at(struct sk_buff, skb, head);
	unsigned char *l3 = head + at(struct sk_buff, skb, network_header);
	if (!about(l3, SOURCE) || !message(&p, l3))
		return 0;
	s.net = sock_net(sk);
	if (!awaited(&s, &p, (u64)head, 0))
		return 0;
	struct lane *lane = lane_here();
	if (lane && may_show(lane, s.time))
		piece(lane, &s, &p, l3, p.size);
	return 0;
}
