/* Covers: rings of packet sockets (PACKET_RX_RING, PACKET_TX_RING, all versions): shapes and their errors, mmap, what stands in a slot
 * and in a block, wrapping round, overruns with statistics, time-outs, the copy threshold, two sockets, wild values in the ring. */
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "tcp_case.h"

static struct sockaddr_ll ll_address;
static int out;  /* sends frames of our protocol */
static unsigned char frame[2000] = { [12] = 0x88, [13] = 0xb5 };

static struct sockaddr *ll(int protocol)
{
	memset(&ll_address, 0, sizeof ll_address);
	ll_address.sll_family = AF_PACKET;
	ll_address.sll_protocol = htons(protocol);
	ll_address.sll_ifindex = 1;
	ll_address.sll_halen = 6;
	return (struct sockaddr *)&ll_address;
}

static int packet(int type, int protocol)
{
	int s = (int)MUST(socket(AF_PACKET, type, htons(protocol)));
	MUST(bind(s, ll(protocol), sizeof ll_address));
	return s;
}

static int set(int s, int name, int value) { return setsockopt(s, SOL_PACKET, name, &value, sizeof value); }

static int get(int s, int name)
{
	int value = -7;
	socklen_t length = sizeof value;
	int result = getsockopt(s, SOL_PACKET, name, &value, &length);
	printf("option %d: %s, %d of %d bytes\n", name, result < 0 ? error_name(errno) : "ok", value, (int)length);
	return value;
}

static int ring(int s, int name, unsigned block_size, unsigned blocks, unsigned frame_size, unsigned frames)
{
	struct tpacket_req r = { block_size, blocks, frame_size, frames };
	return setsockopt(s, SOL_PACKET, name, &r, sizeof r);
}

static int ring3(int s, int name, unsigned block_size, unsigned blocks, unsigned frame_size, unsigned timeout, unsigned private, unsigned features)
{
	struct tpacket_req3 r = { block_size, blocks, frame_size, blocks * (block_size / frame_size), timeout, private, features };
	return setsockopt(s, SOL_PACKET, name, &r, sizeof r);
}

static void *map(int s, size_t size)
{
	void *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	if (p == MAP_FAILED) {
		printf("mmap: %s\n", error_name(errno));
		exit(98);
	}
	return p;
}

static void show_stats(int s)
{
	struct tpacket_stats_v3 stats = { 0 };
	socklen_t length = sizeof stats;
	MUST(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &length));
	printf("%d bytes: %u seen, %u dropped", (int)length, stats.tp_packets, stats.tp_drops);
	if (length > 8)
		printf(", frozen %u times", stats.tp_freeze_q_cnt);
	putchar('\n');
}

static void say(const char *text, int length)
{
	memset(frame + 14, 0, 100);
	strcpy((char *)frame + 14, text);
	MUST(send(out, frame, length, 0));
}

static void show_address(const struct sockaddr_ll *a)
{
	printf(" from: family %d protocol %04x if %d hatype %d type %d halen %d\n", a->sll_family, ntohs(a->sll_protocol), a->sll_ifindex, a->sll_hatype,
	       a->sll_pkttype, a->sll_halen);
}

static void show_slot(int version, const char *what, void *slot)
{
	struct tpacket_hdr *one = slot;
	struct tpacket2_hdr *two = slot;
	unsigned long status = version == TPACKET_V1 ? one->tp_status : two->tp_status;
	printf("%s: status %#lx", what, status);
	if (!(status & TP_STATUS_USER)) {
		putchar('\n');
		return;
	}
	int mac = version == TPACKET_V1 ? one->tp_mac : two->tp_mac, net = version == TPACKET_V1 ? one->tp_net : two->tp_net;
	int length = version == TPACKET_V1 ? one->tp_len : two->tp_len, kept = version == TPACKET_V1 ? one->tp_snaplen : two->tp_snaplen;
	long seconds = version == TPACKET_V1 ? one->tp_sec : two->tp_sec, fraction = version == TPACKET_V1 ? one->tp_usec : two->tp_nsec;
	printf(" mac %d net %d length %d kept %d", mac, net, length, kept);
	if (kept > 0)
		printf(" \"%.12s\"", (char *)slot + net);
	if (labs(seconds - time(0)) > 5 || fraction < 0 || fraction >= (version == TPACKET_V1 ? 1000000 : 1000000000))
		printf(" at a wrong time");
	if (version == TPACKET_V2)
		printf(" vlan %d %d", two->tp_vlan_tci, two->tp_vlan_tpid);
	show_address((void *)((char *)slot + TPACKET_ALIGN(version == TPACKET_V1 ? sizeof *one : sizeof *two)));
}

static void shapes(void)
{
	puts("--- options");
	int s = packet(SOCK_RAW, 0x88b5);
	for (int name = 5; name <= 24; name++)
		if (name != PACKET_STATISTICS && name != PACKET_VNET_HDR && name != PACKET_FANOUT && name != PACKET_ROLLOVER_STATS && name != 24)
			get(s, name);
	SHOW(set(s, PACKET_VERSION, 3));
	SHOW(set(s, PACKET_VERSION, -1));
	SHOW(set(s, PACKET_RESERVE, -1));
	SHOW(set(s, PACKET_LOSS, 5));
	get(s, PACKET_LOSS);
	SHOW(set(s, PACKET_LOSS, 0));
	SHOW(set(s, PACKET_TIMESTAMP, 16));
	get(s, PACKET_TIMESTAMP);
	SHOW(set(s, PACKET_COPY_THRESH, 1));
	SHOW(set(s, PACKET_TX_HAS_OFF, 1));
	get(s, PACKET_TX_HAS_OFF);
	char small = 1;
	for (int name = PACKET_COPY_THRESH; name <= PACKET_TX_HAS_OFF; name++)
		if (name == PACKET_COPY_THRESH || name == PACKET_VERSION || name == PACKET_RESERVE || name == PACKET_LOSS || name == PACKET_TIMESTAMP || name == PACKET_TX_HAS_OFF)
			printf("a byte for %d: %s\n", name, setsockopt(s, SOL_PACKET, name, &small, 1) < 0 ? error_name(errno) : "ok");
	for (int version = -1; version <= 3; version++) {
		int value = version;
		socklen_t length = sizeof value;
		int result = getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &value, &length);
		printf("header of %d: %s %d\n", version, result < 0 ? error_name(errno) : "ok", value);
	}
	int value = 0;
	socklen_t length = 3;
	SHOW(getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &value, &length));

	puts("--- shapes");
	SHOW(ring(s, PACKET_RX_RING, 4096, 0, 0, 0));
	SHOW(ring(s, PACKET_RX_RING, 4096, 0, 0, 1));
	SHOW(ring(s, PACKET_RX_RING, 0, 1, 2048, 2));
	SHOW(ring(s, PACKET_RX_RING, 0x80000000, 1, 2048, 2));
	SHOW(ring(s, PACKET_RX_RING, 4000, 1, 2000, 2));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 2048, 3));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 2040, 4));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 48, 170));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 8192, 1));
	SHOW(ring(s, PACKET_RX_RING, 4096, 0xffffffff, 64, 0xffffffc0));
	SHOW(ring(s, PACKET_RX_RING, 1 << 30, 7, 1 << 30, 7));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_RX_RING, frame, 12));
	SHOW(mmap(0, 8192, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	SHOW(set(s, PACKET_RESERVE, 1984));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 2032, 4));
	SHOW(set(s, PACKET_RESERVE, 1980));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 2032, 4));
	SHOW(ring(s, PACKET_RX_RING, 4096, 2, 2032, 4));
	SHOW(set(s, PACKET_RESERVE, 0));
	SHOW(set(s, PACKET_VERSION, 1));
	SHOW(set(s, PACKET_LOSS, 1));
	SHOW(set(s, PACKET_TX_HAS_OFF, 0));
	get(s, PACKET_TX_HAS_OFF);
	puts("--- mapping");
	SHOW(mmap(0, 4096, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, 12288, PROT_READ, MAP_SHARED, s, 0) == MAP_FAILED ? -1 : 0);
	SHOW(mmap(0, 4096, PROT_READ, MAP_SHARED, s, 4096) == MAP_FAILED ? -1 : 0);
	char *p = mmap(0, 8000, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
	CHECK(p != MAP_FAILED && p[0] == 0 && p[8191] == 0);
	char *again = map(s, 8192);
	p[5000] = 'x';
	CHECK(again[5000] == 'x');
	SHOW(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	SHOW(ring(s, PACKET_TX_RING, 4096, 1, 2048, 2));
	MUST(munmap(p, 4096));
	MUST(munmap(again, 8192));
	SHOW(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	MUST(munmap(p + 4096, 4096));
	SHOW(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	SHOW(set(s, PACKET_RESERVE, 0));
	SHOW(ring(s, PACKET_RX_RING, 4096, 1, 2048, 2));
	SHOW(ring(s, PACKET_TX_RING, 8192, 1, 2048, 4));
	p = map(s, 12288);
	puts("--- version 3");
	int three = packet(SOCK_RAW, 0x88b5);
	MUST(set(three, PACKET_VERSION, TPACKET_V3));
	SHOW(ring(three, PACKET_RX_RING, 4096, 2, 2048, 4));
	SHOW(ring3(three, PACKET_RX_RING, 4096, 2, 64, 0, 0, 0));
	SHOW(ring3(three, PACKET_RX_RING, 4096, 2, 2048, 0, 3984, 0));
	SHOW(ring3(three, PACKET_RX_RING, 4096, 2, 2048, 0, 0xfffffffc, 0));
	SHOW(ring3(three, PACKET_TX_RING, 4096, 2, 2048, 1, 0, 0));
	SHOW(ring3(three, PACKET_TX_RING, 4096, 2, 2048, 0, 8, 0));
	SHOW(ring3(three, PACKET_TX_RING, 4096, 2, 2048, 0, 0, 1));
	SHOW(ring3(three, PACKET_TX_RING, 4096, 2, 2048, 0, 0, 0));
	SHOW(ring3(three, PACKET_TX_RING, 0, 0, 2048, 0, 0, 0));
	SHOW(ring3(three, PACKET_RX_RING, 4096, 2, 2048, 0, 3976, 0));
	close(three);
	close(s);  /* mapped as it is */
	p[0] = 1;
	MUST(munmap(p, 12288));
}

static void slots(int version, int type)
{
	printf("--- slots of version %d, type %d\n", version + 1, type);
	int s = packet(type, 0x88b5);
	MUST(set(s, PACKET_VERSION, version));
	MUST(ring(s, PACKET_RX_RING, 4096, 2, 1024, 8));
	char *p = map(s, 8192);
	show_poll("empty", s);
	say("one", 60);
	show_poll("with one", s);
	show_slot(version, "slot 0", p);
	show_slot(version, "slot 1", p + 1024);
	*(int *)p = 0;
	show_poll("taken", s);
	char name[20];
	for (int i = 0; i < 9; i++) {
		sprintf(name, "number %d", i);
		say(name, 100 + i);
	}
	for (int i = 0; i < 8; i++)
		show_slot(version, "full", p + 1024 * i);
	show_stats(s);
	show_stats(s);
	puts("the program is behind");
	say("lost", 60);
	*(int *)(p + 1024) = 0;
	say("two", 60);
	say("lost", 60);
	show_slot(version, "slot 1", p + 1024);
	show_slot(version, "slot 2", p + 2048);
	show_stats(s);
	puts("wild values");
	for (int i = 0; i < 2048; i++)
		((unsigned *)p)[i] = 0xf0f0f0f0u;
	say("lost", 60);
	show_poll("wild", s);
	memset(p, 0, 8192);
	say("sound", 60);
	show_slot(version, "slot 2", p + 2048);
	say("long", 1500);
	show_slot(version, "slot 3", p + 3072);
	show_poll("with some", s);
	show_stats(s);
	close(s);
	show_slot(version, "closed", p + 2048);
	say("still", 60);  /* the mapping keeps the socket */
	show_slot(version, "closed", p + 4096);
	munmap(p, 8192);
}

static void copies(void)
{
	puts("--- the copy threshold");
	int s = packet(SOCK_RAW, 0x88b5), on = 1;
	MUST(set(s, PACKET_VERSION, TPACKET_V2));
	MUST(setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
	MUST(ring(s, PACKET_RX_RING, 4096, 1, 128, 32));
	char *p = map(s, 4096);
	say("cut", 500);
	show_slot(TPACKET_V2, "without", p);
	MUST(set(s, PACKET_COPY_THRESH, 1));
	say("fits", 60);
	show_slot(TPACKET_V2, "short", p + 128);
	say("whole", 500);
	show_slot(TPACKET_V2, "with", p + 256);
	char b[2000], control[200];
	struct sockaddr_ll from;
	for (int i = 0; i < 2; i++) {
		struct iovec part = { b, sizeof b };
		struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof control };
		int n = (int)SHOW(recvmsg(s, &m, MSG_DONTWAIT));
		if (n > 0) {
			printf("\"%s\" %d", b + 14, (int)m.msg_namelen);
			show_address(&from);
			struct tpacket_auxdata *a = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
			printf("status %#x, length %u, kept %u, mac %u, net %u\n", a->tp_status, a->tp_len, a->tp_snaplen, a->tp_mac, a->tp_net);
		}
	}
	puts("a reserve that leaves no room");
	munmap(p, 4096);
	MUST(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	MUST(set(s, PACKET_RESERVE, 76));
	MUST(ring(s, PACKET_RX_RING, 4096, 1, 128, 32));
	p = map(s, 4096);
	MUST(set(s, PACKET_COPY_THRESH, 0));
	say("none", 100);
	show_slot(TPACKET_V2, "slot", p);
	munmap(p, 4096);
	MUST(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	MUST(set(s, PACKET_RESERVE, 65500));
	MUST(ring(s, PACKET_RX_RING, 1 << 17, 1, 1 << 17, 1));
	p = map(s, 1 << 17);
	say("too far", 100);
	show_slot(TPACKET_V2, "slot", p);
	show_stats(s);
	munmap(p, 1 << 17);
	MUST(ring(s, PACKET_RX_RING, 0, 0, 0, 0));
	puts("without a ring again");
	say("queue", 60);
	SHOW(recv(s, b, sizeof b, MSG_DONTWAIT));
	show_stats(s);
	close(s);
}

static void filtered(void)
{
	puts("--- a filter, and two sockets");
	int s = packet(SOCK_RAW, 0x88b5), other = packet(SOCK_DGRAM, ETH_P_ALL);
	struct sock_filter code[] = { { 0x30, 0, 0, 14 }, { 0x15, 0, 1, 'y' }, { 6, 0, 0, 18 }, { 6, 0, 0, 0 } };
	struct sock_fprog program = { 4, code };
	MUST(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	/* What goes out, and not what comes in. */
	struct sock_filter direction[] = { { 0x28, 0, 0, 0xfffff004 }, { 0x15, 0, 1, PACKET_OUTGOING }, { 6, 0, 0, 1000 }, { 6, 0, 0, 0 } };
	program.filter = direction;
	MUST(setsockopt(other, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	MUST(set(s, PACKET_VERSION, TPACKET_V2));
	MUST(set(other, PACKET_VERSION, TPACKET_V2));
	MUST(ring(s, PACKET_RX_RING, 4096, 1, 512, 8));
	MUST(ring(other, PACKET_RX_RING, 4096, 1, 512, 8));
	char *p = map(s, 4096), *q = map(other, 4096);
	say("yes", 60);
	say("no", 60);
	say("yes again", 60);
	for (int i = 0; i < 3; i++)
		show_slot(TPACKET_V2, "filtered", p + 512 * i);
	for (int i = 0; i < 4; i++)
		show_slot(TPACKET_V2, "going out", q + 512 * i);
	puts("a datagram, whose checksum is not there");
	int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(sendto(u, "abc", 3, MSG_NOSIGNAL, in(4199), sizeof in_address));
	struct tpacket2_hdr *h = (void *)(q + 512 * 3);
	printf("status %#x, length %u\n", h->tp_status, h->tp_len);
	h = (void *)(q + 512 * 4);
	printf("status %#x, length %u\n", h->tp_status, h->tp_len);
	IN_CHILD({
		/* The child's mapping is the same one. */
		show_slot(TPACKET_V2, "child", p);
		*(int *)p = 0;
	});
	show_slot(TPACKET_V2, "parent", p);
	close(s);
	close(other);
	munmap(p, 4096);
	munmap(q, 4096);
}

static void show_block(const char *what, void *block, int with_packets)
{
	struct tpacket_block_desc *d = block;
	struct tpacket_hdr_v1 *h = &d->hdr.bh1;
	printf("%s: version %u, private at %u, status %#x, %u packets from %u on, %u bytes, number %llu\n", what, d->version, d->offset_to_priv,
	       h->block_status, h->num_pkts, h->offset_to_first_pkt, h->blk_len, (unsigned long long)h->seq_num);
	if (!(h->block_status & TP_STATUS_USER))
		return;
	if (h->ts_last_pkt.ts_sec < h->ts_first_pkt.ts_sec || labs((long)h->ts_last_pkt.ts_sec - time(0)) > 5)
		puts("its times are wrong");
	struct tpacket3_hdr *p = (void *)((char *)block + h->offset_to_first_pkt);
	for (unsigned i = 0; i < h->num_pkts && with_packets; i++) {
		printf("  next %u status %#x mac %u net %u length %u kept %u hash %d vlan %u %u", p->tp_next_offset, p->tp_status, p->tp_mac, p->tp_net,
		       p->tp_len, p->tp_snaplen, p->hv1.tp_rxhash != 0, p->hv1.tp_vlan_tci, p->hv1.tp_vlan_tpid);
		if (p->tp_snaplen)
			printf(" \"%.12s\"", (char *)p + p->tp_net);
		show_address((void *)((char *)p + TPACKET_ALIGN(sizeof *p)));
		if (p->tp_next_offset == 0 && i + 1 < h->num_pkts)
			puts("the chain ends early");
		p = (void *)((char *)p + p->tp_next_offset);
	}
}

static void status_of(char *block, unsigned status) { ((struct tpacket_block_desc *)block)->hdr.bh1.block_status = status; }

/* How long a block stays open. What happens within that time is done by a child: when the host stood still for so long, it is done again by
 * another one, and what the last one printed is shown.
 */
#define BLOCK_MS 1500
#define TOO_LATE 77

static void in_time(void (*attempt)(int), int type)
{
	static char printed[1 << 16];
	for (int tries = 1, is_shown = 0; !is_shown; tries++) {
		int ends[2], status;
		size_t size = 0;
		ssize_t n;
		MUST(pipe(ends));
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			MUST(dup2(ends[1], 1));
			close(ends[0]);
			close(ends[1]);
			attempt(type);
			exit(0);
		}
		close(ends[1]);
		while ((n = read(ends[0], printed + size, sizeof printed - size)) > 0)
			size += (size_t)n;
		close(ends[0]);
		MUST(waitpid(child, &status, 0));
		is_shown = !WIFEXITED(status) || WEXITSTATUS(status) != TOO_LATE || tries == 5;
		if (is_shown) {
			fwrite(printed, 1, size, stdout);
			show_status(status);
		}
	}
}

static void blocks(int type)
{
	printf("--- blocks, type %d\n", type);
	long begun = now_ms();
	int s = packet(type, 0x88b5);
	MUST(set(s, PACKET_VERSION, TPACKET_V3));
	MUST(ring3(s, PACKET_RX_RING, 4096, 4, 2048, BLOCK_MS, 13, 0));
	char *p = map(s, 16384);
	show_block("at first", p, 1);
	show_block("the second", p + 4096, 1);
	show_poll("empty", s);
	say("one", 60);
	say("two", 61);
	show_block("open", p, 1);
	show_poll("open", s);
	if (now_ms() - begun > BLOCK_MS - 100)
		exit(TOO_LATE);
	struct pollfd f = { s, POLLIN, 0 };
	SHOW(poll(&f, 1, 60000));
	show_block("its time was over", p, 1);
	show_block("the second", p + 4096, 1);
	status_of(p, 0);
	show_poll("given back", s);
	puts("full blocks");
	char name[20];
	for (int i = 0; i < 20; i++) {
		sprintf(name, "number %d", i);
		say(name, 900);
	}
	show_stats(s);
	for (int i = 0; i < 4; i++)
		show_block("block", p + 4096 * i, i == 1);
	show_poll("full", s);
	puts("the program is behind");
	say("lost", 60);
	show_stats(s);
	status_of(p + 8192, 0);  /* not the one that comes next */
	say("lost", 60);
	status_of(p + 4096, 0);
	say("taken", 60);
	show_block("block 1", p + 4096, 1);
	for (int i = 0; i < 3; i++)
		say("more", 1900);
	for (int i = 0; i < 4; i++)
		show_block("block", p + 4096 * i, 0);
	show_stats(s);
	if (now_ms() - begun > 2 * BLOCK_MS - 100)
		exit(TOO_LATE);
	puts("wild values");
	for (int i = 0; i < 4096; i++)
		((unsigned *)p)[i] = 0xffffffffu;
	say("lost", 60);
	sleep_ms(BLOCK_MS + 200);
	memset(p, 0, 16384);
	say("sound", 60);
	f.revents = 0;
	SHOW(poll(&f, 1, 60000));
	for (int i = 0; i < 4; i++)
		if (((struct tpacket_block_desc *)(p + 4096 * i))->hdr.bh1.block_status)
			show_block("a block", p + 4096 * i, 1);
	close(s);
	munmap(p, 16384);
}

static void lengths(void)
{
	puts("--- blocks: what does not fit, and hashes");
	int s = packet(SOCK_RAW, 0x88b5);
	MUST(set(s, PACKET_VERSION, TPACKET_V3));
	MUST(ring3(s, PACKET_RX_RING, 4096, 2, 2048, 60000, 2800, TP_FT_REQ_FILL_RXHASH));
	char *p = map(s, 8192);
	say("too long", 1800);
	say("too long", 1800);
	show_block("cut", p, 1);
	show_block("cut", p + 4096, 1);
	say("lost", 60);
	show_stats(s);
	close(s);
	munmap(p, 8192);
	s = packet(SOCK_RAW, 0x88b5);
	MUST(set(s, PACKET_VERSION, TPACKET_V3));
	MUST(ring3(s, PACKET_RX_RING, 4096, 1, 2048, 30, 0, 0));
	p = map(s, 4096);
	puts("a single block");
	volatile struct tpacket_hdr_v1 *h = &((struct tpacket_block_desc *)p)->hdr.bh1;
	say("one", 60);
	for (int i = 0; i < 30000 && !(h->block_status & TP_STATUS_USER); i++)
		sleep_ms(2);
	show_block("block", p, 1);
	say("lost", 60);
	uint64_t number = h->seq_num;
	status_of(p, 0);
	for (int i = 0; i < 30000 && h->seq_num == number; i++) /* the timer opens it, and writes its number first */
		sleep_ms(2);
	settle_for(20);
	show_block("block", p, 1);
	show_stats(s);
	close(s);
	munmap(p, 4096);
}

static void put(char *slot, int version, int length, int start, const char *text)
{
	char *data = slot + start;
	memcpy(data, frame, 14);
	strcpy(data + 14, text);
	if (version == TPACKET_V1) {
		struct tpacket_hdr *h = (void *)slot;
		h->tp_len = length;
		h->tp_mac = start;
		h->tp_status = TP_STATUS_SEND_REQUEST;
	} else if (version == TPACKET_V2) {
		struct tpacket2_hdr *h = (void *)slot;
		h->tp_len = length;
		h->tp_mac = start;
		h->tp_status = TP_STATUS_SEND_REQUEST;
	} else {
		struct tpacket3_hdr *h = (void *)slot;
		h->tp_len = length;
		h->tp_mac = start;
		h->tp_status = TP_STATUS_SEND_REQUEST;
	}
}

static unsigned status_in(char *slot, int version)
{
	return version == TPACKET_V3 ? ((struct tpacket3_hdr *)slot)->tp_status : *(unsigned *)slot;
}

static void sending(int version)
{
	static const int headers[] = { 32, 32, 48 };
	int start = headers[version];
	printf("--- sending, version %d\n", version + 1);
	int s = packet(SOCK_RAW, 0x88b6), seen = packet(SOCK_RAW, 0x88b5);
	char b[3000];
	MUST(set(s, PACKET_VERSION, version));
	if (version == TPACKET_V3)
		MUST(ring3(s, PACKET_TX_RING, 4096, 2, 1024, 0, 0, 0));
	else
		MUST(ring(s, PACKET_TX_RING, 4096, 2, 1024, 8));
	char *p = map(s, 8192);
	show_poll("empty", s);
	SHOW(send(s, 0, 0, 0));
	put(p, version, 60, start, "first");
	put(p + 1024, version, 70, start, "second");
	put(p + 3072, version, 70, start, "after a gap");
	SHOW(send(s, 0, 0, 0));
	for (int i = 0; i < 4; i++)
		printf("slot %d: status %#x\n", i, status_in(p + 1024 * i, version));
	while (recv(seen, b, sizeof b, MSG_DONTWAIT) > 0)
		printf("sent: \"%s\"\n", b + 14);
	put(p + 2048, version, 80, start, "in the gap");
	SHOW(send(s, 0, 0, MSG_DONTWAIT));
	while (recv(seen, b, sizeof b, MSG_DONTWAIT) > 0)
		printf("sent: \"%s\"\n", b + 14);
	puts("what makes no sense");
	static const int lengths[] = { 13, 0, 1000, 70000, 0x7fffffff };
	for (int i = 0; i < 5; i++) {
		put(p + 4096, version, lengths[i], start, "wrong");
		errno = 0;
		long result = send(s, 0, 0, MSG_DONTWAIT);
		printf("length %d: %s, status %#x\n", lengths[i], result < 0 ? error_name(errno) : "ok", status_in(p + 4096, version));
	}
	memset(p, 0xff, 8192);
	SHOW(send(s, 0, 0, MSG_DONTWAIT));
	show_poll("wild", s);
	memset(p, 0, 8192);
	SHOW(sendto(s, 0, 0, 0, ll(0x88b5), 8));
	munmap(p, 8192);
	MUST(ring3(s, PACKET_TX_RING, 0, 0, 2048, 0, 0, 0));
	puts("with gaps and offsets");
	MUST(set(s, PACKET_LOSS, 1));
	MUST(set(s, PACKET_TX_HAS_OFF, 1));
	if (version == TPACKET_V3)
		MUST(ring3(s, PACKET_TX_RING, 4096, 1, 1024, 0, 0, 0));
	else
		MUST(ring(s, PACKET_TX_RING, 4096, 1, 1024, 4));
	p = map(s, 4096);
	put(p, version, 60, start + 100, "further on");
	put(p + 1024, version, 60, start - 1, "too early");
	put(p + 2048, version, 60, 965, "too late");
	put(p + 3072, version, 60, 964, "just right");
	SHOW(send(s, 0, 0, 0));
	for (int i = 0; i < 4; i++)
		printf("slot %d: status %#x\n", i, status_in(p + 1024 * i, version));
	while (recv(seen, b, sizeof b, MSG_DONTWAIT) > 0)
		printf("sent: \"%s\"\n", b + 14);
	close(s);
	close(seen);
	munmap(p, 4096);
}

int main(void)
{
	loopback_up();
	out = packet(SOCK_RAW, 0x88b6);
	shapes();
	slots(TPACKET_V1, SOCK_RAW);
	slots(TPACKET_V2, SOCK_RAW);
	slots(TPACKET_V2, SOCK_DGRAM);
	copies();
	filtered();
	in_time(blocks, SOCK_RAW);
	in_time(blocks, SOCK_DGRAM);
	lengths();
	for (int version = TPACKET_V1; version <= TPACKET_V3; version++)
		sending(version);
	return 0;
}
