//go:build ignore

// Adds up the packets that Pods send and receive, by whom with and about which port.
#include "plumb.h"

struct sk_buff___raw {
	unsigned char *data;
	u32 end;
} kernel_;

struct skb_shared_info {
	u16 gso_segs;
} kernel_;

struct net_device___upper {
	u32 mtu;
	void *rx_handler;
} kernel_;

enum { OUT = 0, IN = 1 };
enum { LOOPBACK = 1 }; // the index of lo in each namespace

struct key {
	u64 net;
	u8 peer[16]; // an IPv4 address is in the first four bytes
	u16 port; // the server's
	u8 version;
	u8 proto;
	u8 direction;
	u8 serves; // the port is the Pod's own
	u16 pad;
};

struct value {
	u64 packets;
	u64 bytes;
	u64 first;
	u64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct key);
	__type(value, struct value);
} flows SEC(".maps");

inline_ u32 word(const u8 *b)
{
	return b[0] << 8 | b[1];
}

// count counts a packet whose network header is at l3, with as many bytes from there on.
inline_ void count(struct sk_buff *skb, u64 net, const unsigned char *l3, u32 bytes, u32 mtu, u32 direction)
{
	struct key key = {.net = net, .direction = direction};
	u8 b[44];
	u32 src = 0, dst = 0;

	if (bpf_probe_read_kernel(b, sizeof(b), l3))
		return;
	if (b[0] >> 4 == 4 && skb->protocol == bpf_htons(ETH_P_IP)) {
		key.version = 4;
		key.proto = b[9];
		__builtin_memcpy(key.peer, direction == OUT ? b + 16 : b + 12, 4);
		if (b[0] == 0x45 && !(b[6] & 0x1f) && !b[7]) {
			src = word(b + 20);
			dst = word(b + 22);
		}
	} else if (b[0] >> 4 == 6 && skb->protocol == bpf_htons(ETH_P_IPV6)) {
		key.version = 6;
		key.proto = b[6];
		__builtin_memcpy(key.peer, direction == OUT ? b + 24 : b + 8, 16);
		src = word(b + 40);
		dst = word(b + 42);
	} else {
		return;
	}
	if (key.proto == IPPROTO_TCP || key.proto == IPPROTO_UDP) {
		// Ports of clients are the high ones.
		key.port = src < dst ? src : dst;
		key.serves = direction == OUT ? src < dst : dst < src;
	}
	u32 packets = 1;
	if (bytes > mtu) {
		unsigned char *head = skb->head;
		struct skb_shared_info *info = (void *)(head + ((struct sk_buff___raw *)skb)->end);
		u32 segments = BPF_CORE_READ(info, gso_segs);
		if (segments)
			packets = segments;
	}
	u64 now = bpf_ktime_get_ns();
	struct value *v = bpf_map_lookup_elem(&flows, &key);
	if (!v) {
		struct value none = {.first = now};

		bpf_map_update_elem(&flows, &key, &none, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&flows, &key);
	}
	if (!v) {
		count_lost(LOST_TABLE);
		return;
	}
	__sync_fetch_and_add(&v->packets, packets);
	__sync_fetch_and_add(&v->bytes, bytes);
	v->last = now;
}

// pod returns the namespace of a device that packets of a Pod come and go by, or 0. A bridge's port and its like give
// theirs to the bridge, where they count.
inline_ u64 pod(const struct net_device *dev)
{
	if (!dev || dev->ifindex == LOOPBACK || ((struct net_device___upper *)dev)->rx_handler)
		return 0;
	u64 net = net_id(dev->nd_net.net);
	return net == host_net ? 0 : net;
}

SEC("tp_btf/net_dev_queue")
int net_dev_queue(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct net_device *dev = skb->dev;
	u64 net = pod(dev);

	if (!net)
		return 0;
	unsigned char *head = skb->head, *data = ((struct sk_buff___raw *)skb)->data;
	u32 l3 = skb->network_header, l2 = l3 - (data - head);
	count(skb, net, head + l3, skb->len - l2, ((struct net_device___upper *)dev)->mtu, OUT);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int netif_receive_skb(u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];
	struct net_device *dev = skb->dev;
	u64 net = pod(dev);

	if (net)
		count(skb, net, ((struct sk_buff___raw *)skb)->data, skb->len, ((struct net_device___upper *)dev)->mtu, IN);
	return 0;
}
