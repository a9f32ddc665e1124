//go:build ignore

// Hands the agent the packets by which names are asked for, and those that answer.
#include "plumb.h"

enum { BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4 };
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

// A packet as the agent is told of it: more of its bytes follow the first.
struct sight {
	u64 time; // bpf_ktime_get_ns
	u64 net;
	struct owner owner; // of the socket that asks
	u32 at; // where, from head on, the payload begins
	u32 len; // and where what there is of it ends
	u32 answer; // BY_DEVICE where it arrived by one, or READ
	u32 pad;
	u8 head[56]; // from the network header on
};
const struct sight *sight_type __attribute__((unused)); // for bpf2go to know it

// Packets that are in one piece.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} pieces SEC(".maps");

// Others, as TCP's are: what is in pages only the kernel itself can copy, and only to here.
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, u32);
	__type(value, u32);
} packets SEC(".maps");

// When a port of a namespace last asked. Answers to others are of no use, above all those that the node forwards.
// How much at the most: answers repeat the question. And the head of the answer that last arrived there by a device.
enum { SLOTS_BITS = 13, ASKED_LONG = 10 };

struct slot {
	u64 asked;
	u64 most;
	u64 head;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SLOTS_BITS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

inline_ struct slot *slot_at(u64 net, u32 port)
{
	u32 i = ((net << 16 | port) * 0x9e3779b97f4a7c15ULL) >> (64 - SLOTS_BITS);

	return bpf_map_lookup_elem(&slots, &i);
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

inline_ bool may_show(u64 now)
{
	struct account *a = account();

	if (!a)
		return 0;
	if (a->whole > now + (u64)PACKET_BURST * PACKET_INTERVAL) {
		a->lost[LOST_RATE]++;
		return 0;
	}
	a->whole = (a->whole > now ? a->whole : now) + PACKET_INTERVAL;
	return 1;
}

// copy hands the first n bytes of a packet over, in as much room as they may need from the network header on.
inline_ void copy(const struct sight *s, const struct ports *p, const unsigned char *l3, u64 n, const u32 room)
{
	struct sight *piece = bpf_ringbuf_reserve(&pieces, sizeof(*s) - sizeof(s->head) + room, 0);

	if (!piece) {
		count_lost(LOST_RING);
		return;
	}
	__builtin_memcpy(piece, s, sizeof(*s) - sizeof(s->head));
	piece->at = p->payload;
	piece->len = n;
	barrier_var(n); // else the verifier does not see that it is in bounds
	if (n <= room)
		bpf_probe_read_kernel(piece->head, n, l3);
	bpf_ringbuf_submit(piece, BPF_RB_NO_WAKEUP);
}

enum { USUAL = 144, LONGEST = 376 }; // the longest headers have 100 bytes

inline_ void show_piece(const struct sight *s, const struct ports *p, const unsigned char *l3, u32 n)
{
	if (n <= USUAL)
		copy(s, p, l3, n, USUAL);
	else
		copy(s, p, l3, n, LONGEST);
}

inline_ void show(struct sk_buff *skb, struct sight *s, const struct ports *p, const unsigned char *l3)
{
	struct sk_buff___data *d = (void *)skb;
	int before = l3 - d->data;
	u32 size = skb->len - before, n = least(size, p->size);

	if (!may_show(s->time))
		return;
	if (n <= size - d->data_len) {
		show_piece(s, p, l3, n);
		return;
	}
	n += before;
	s->at = sizeof(s->head) + before + p->payload;
	s->len = sizeof(s->head) + n;
	bpf_probe_read_kernel(s->head, sizeof(s->head), l3);
	if (bpf_skb_output(skb, &packets, (u64)n << 32 | BPF_F_CURRENT_CPU, s, sizeof(*s)))
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
	struct slot *slot = slot_at(s.net, p.src);
	if (slot) {
		slot->asked = s.time;
		if (slot->most < p.size - p.payload)
			slot->most = p.size - p.payload;
	}
	sock_owner(&s.owner, sk);
	show(skb, &s, &p, l3);
	return 0;
}

// awaited says whether somebody in the namespace may wait for an answer, which has not arrived by a device before.
inline_ bool awaited(struct sight *s, struct ports *p, u64 head, bool device)
{
	struct slot *slot = slot_at(s->net, p->dst);

	s->time = bpf_ktime_get_ns();
	s->answer = device ? BY_DEVICE : READ;
	if (!slot || !slot->asked || s->time - slot->asked > ASKED_LONG * 1000000000ULL)
		return 0;
	p->size = least(p->size, p->payload + slot->most);
	if (!device)
		return slot->head != head;
	slot->head = head;
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
	if (awaited(&s, &p, address((u64)skb->head), 1))
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
	if (awaited(&s, &p, address((u64)skb->head), 0))
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
	if (awaited(&s, &p, address((u64)head), 0) && may_show(s.time))
		show_piece(&s, &p, l3, p.size);
	return 0;
}
