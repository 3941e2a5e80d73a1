/* Covers: /dev/net/tun: TUNSETIFF and its kin, what is read and written, who may, and how interfaces of programs end. */
#include "netns_case.h"
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/uio.h>

static struct ifreq request;

static int new_file(int flags) { return (int)MUST(open("/dev/net/tun", O_RDWR | flags)); }

static int set_interface(int fd, const char *name, int flags)
{
	memset(&request, 0, sizeof request);
	strncpy(request.ifr_name, name, IFNAMSIZ);
	request.ifr_flags = (short)flags;
	return ioctl(fd, TUNSETIFF, &request);
}

static void show_interface(int fd)
{
	memset(&request, 0, sizeof request);
	int result = ioctl(fd, TUNGETIFF, &request);
	show_result("TUNGETIFF", result, 1);
	if (result == 0)
		printf("%s flags %#x\n", request.ifr_name, (unsigned short)request.ifr_flags);
}

static int ready(int fd)
{
	struct pollfd one = {fd, POLLIN | POLLOUT, 0};
	poll(&one, 1, 0);
	return one.revents;
}

/* Linux looks at carriers once a second. */
static void settle(void) { settle_for(1100); }

static void without_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY);
	if (fd >= 0 && write(fd, "1", 1) != 1)
		printf("IPv6 stays\n");
	close(fd);
}

static unsigned short sum(const void *data, size_t size)
{
	const unsigned char *bytes = data;
	unsigned long total = 0;
	for (size_t i = 0; i < size; i += 2)
		total += bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
	while (total >> 16)
		total = (total >> 16) + (total & 0xFFFF);
	return htons((unsigned short)~total);
}

/* What IFLA_INFO_DATA says of an interface. */
static void show_data(const char *name)
{
	printf("%s:", name);
	link_header(RTM_GETLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	if (ask() < 0) {
		printf(" %s\n", error_name(errno));
		return;
	}
	struct nlmsghdr *h = (struct nlmsghdr *)answer;
	struct ifinfomsg *link = NLMSG_DATA(h);
	int left = IFLA_PAYLOAD(h);
	printf(" type %u flags %#x", link->ifi_type, link->ifi_flags);
	for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_MTU || a->rta_type == IFLA_MIN_MTU || a->rta_type == IFLA_MAX_MTU || a->rta_type == IFLA_TXQLEN)
			printf(" %d=%u", a->rta_type, *(unsigned *)RTA_DATA(a));
		else if (a->rta_type == IFLA_ADDRESS)
			printf(" has an address");
		else if (a->rta_type == IFLA_OPERSTATE)
			printf(" state %d", *(unsigned char *)RTA_DATA(a));
		if (a->rta_type != IFLA_LINKINFO)
			continue;
		int inner_left = RTA_PAYLOAD(a);
		for (struct rtattr *b = RTA_DATA(a); RTA_OK(b, inner_left); b = RTA_NEXT(b, inner_left)) {
			if (b->rta_type == IFLA_INFO_KIND)
				printf(" kind %.*s", (int)RTA_PAYLOAD(b), (char *)RTA_DATA(b));
			if (b->rta_type != IFLA_INFO_DATA)
				continue;
			int data_left = RTA_PAYLOAD(b);
			for (struct rtattr *c = RTA_DATA(b); RTA_OK(c, data_left); c = RTA_NEXT(c, data_left))
				printf(" %d:%u", c->rta_type, RTA_PAYLOAD(c) == 4 ? *(unsigned *)RTA_DATA(c) : *(unsigned char *)RTA_DATA(c));
		}
	}
	printf("\n");
}

static void before_it_has_an_interface(void)
{
	int fd = new_file(O_NONBLOCK), value = 0;
	unsigned features = 0;
	char buffer[100];
	struct stat status;
	MUST(fstat(fd, &status));
	printf("mode %o, device %#lx\n", status.st_mode, (long)status.st_rdev);
	SHOW(read(fd, buffer, sizeof buffer));
	SHOW(read(fd, buffer, 0));
	SHOW(write(fd, buffer, sizeof buffer));
	printf("ready %#x\n", ready(fd));
	SHOW(ioctl(fd, TUNGETFEATURES, &features));
	printf("%#x\n", features & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE | IFF_VNET_HDR | IFF_NO_CARRIER));
	SHOW(ioctl(fd, TUNGETIFF, &request));
	SHOW(ioctl(fd, TUNSETPERSIST, 1));
	SHOW(ioctl(fd, TUNGETSNDBUF, &value));
	SHOW(ioctl(fd, TUNSETOFFLOAD, 0));
	SHOW(ioctl(fd, 0x54FF, 0));
	SHOW(ioctl(fd, TUNSETIFF, 1));
	SHOW(set_interface(fd, "none", 0));
	SHOW(set_interface(fd, "none", IFF_NO_PI));
	SHOW(set_interface(fd, "a/b", IFF_TUN));
	SHOW(set_interface(fd, "a%s", IFF_TUN));
	SHOW(set_interface(fd, "lo", IFF_TUN));
	SHOW(set_interface(fd, "lo", IFF_TUN | IFF_TUN_EXCL));
	value = -1;
	SHOW(ioctl(fd, TUNSETIFINDEX, &value));
	value = 77;
	value = 1;
	SHOW(ioctl(fd, TUNSETIFINDEX, &value));
	SHOW(set_interface(fd, "other", IFF_TUN));
	value = 77;
	SHOW(ioctl(fd, TUNSETIFINDEX, &value));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(pread(fd, buffer, 1, 0));
	SHOW(set_interface(fd, "", IFF_TUN));
	printf("%s %u\n", request.ifr_name, if_nametoindex(request.ifr_name));
	SHOW(set_interface(fd, "", IFF_TUN));
	SHOW(ioctl(fd, TUNSETIFINDEX, &value));
	close(fd);
	printf("tun0 %u\n", if_nametoindex("tun0"));
}

static void settings(void)
{
	int fd = new_file(O_NONBLOCK), other = new_file(O_NONBLOCK), value;
	SHOW(set_interface(fd, "tap%d", IFF_TAP | IFF_NO_PI | IFF_ONE_QUEUE));
	show_interface(fd);
	show_data("tap0");
	SHOW(set_interface(other, "tap0", IFF_TAP | IFF_TUN_EXCL));
	SHOW(set_interface(other, "tap0", IFF_TUN));
	SHOW(set_interface(other, "tap0", IFF_TAP));
	SHOW(set_interface(other, "tap%d", IFF_TAP));
	printf("%s\n", request.ifr_name);
	show_interface(other);
	SHOW(ioctl(fd, TUNGETSNDBUF, &value));
	printf("%d\n", value);
	value = 0;
	SHOW(ioctl(fd, TUNSETSNDBUF, &value));
	value = 5000;
	SHOW(ioctl(fd, TUNSETSNDBUF, &value));
	SHOW(ioctl(fd, TUNGETSNDBUF, &value));
	printf("%d\n", value);
	SHOW(ioctl(fd, TUNGETVNETHDRSZ, &value));
	printf("%d\n", value);
	value = 9;
	SHOW(ioctl(fd, TUNSETVNETHDRSZ, &value));
	value = 12;
	SHOW(ioctl(fd, TUNSETVNETHDRSZ, &value));
	SHOW(ioctl(fd, TUNSETNOCSUM, 1));
	SHOW(ioctl(fd, TUNSETDEBUG, 1));
	int offloads[] = {0, TUN_F_CSUM, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, TUN_F_TSO4, TUN_F_CSUM | TUN_F_USO4,
			  TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6, TUN_F_CSUM | TUN_F_UFO, 0x80, TUN_F_CSUM | 0x100};
	for (unsigned i = 0; i < sizeof offloads / sizeof *offloads; i++)
		SHOW(ioctl(fd, TUNSETOFFLOAD, offloads[i]));
	SHOW(ioctl(fd, TUNSETOFFLOAD, 0));
	SHOW(ioctl(fd, TUNSETOWNER, 1000));
	SHOW(ioctl(fd, TUNSETGROUP, 2000));
	SHOW(ioctl(fd, TUNSETOWNER, -1));
	show_data("tap0");
	SHOW(ioctl(fd, TUNSETPERSIST, 1));
	show_interface(fd);
	struct ifreq address = {0};
	SHOW(ioctl(fd, SIOCGIFHWADDR, &address));
	printf("family %d, %s\n", address.ifr_hwaddr.sa_family, address.ifr_hwaddr.sa_data[0] & 1 ? "a group" : "a host");
	unsigned char own[6] = {2, 0, 0, 0, 0, 9};
	memcpy(address.ifr_hwaddr.sa_data, own, 6);
	SHOW(ioctl(fd, SIOCSIFHWADDR, &address));
	SHOW(turn("tap0", 1));
	SHOW(ioctl(fd, TUNSETLINK, ARPHRD_ETHER));
	show_data("tap0");
	value = 0;
	SHOW(ioctl(fd, TUNSETCARRIER, &value));
	settle();
	show_data("tap0");
	value = 1;
	SHOW(ioctl(fd, TUNSETCARRIER, &value));
	settle();
	show_data("tap0");
	close(fd);
	settle();
	show_data("tap0");
	/* Access: its owner or group, if it has them, or an administrator of the network. */
	MUST(chmod("/dev/net/tun", 0666));
	IN_CHILD(MUST(setresgid(2000, 2000, 2000)); MUST(setresuid(1000, 1000, 1000)); int mine = new_file(0);
		 SHOW(set_interface(mine, "tap0", IFF_TAP)); SHOW(set_interface(mine, "tap7", IFF_TAP)));
	IN_CHILD(MUST(setresgid(2000, 2000, 2000)); MUST(setresuid(1001, 1001, 1001)); int mine = new_file(0);
		 SHOW(set_interface(mine, "tap0", IFF_TAP)));
	IN_CHILD(MUST(setresgid(2001, 2001, 2001)); MUST(setresuid(1000, 1000, 1000)); int mine = new_file(0);
		 SHOW(set_interface(mine, "tap0", IFF_TAP)); SHOW(set_interface(mine, "tap9", IFF_TAP)));
	MUST(chmod("/dev/net/tun", 0600));
	int again = new_file(0);
	SHOW(set_interface(again, "tap0", IFF_TAP | IFF_VNET_HDR));
	show_interface(again);
	SHOW(ioctl(again, TUNSETPERSIST, 0));
	close(again);
	printf("tap0 %u\n", if_nametoindex("tap0"));
	new_link(NLM_F_CREATE | NLM_F_EXCL, "tap5", "tun");
	SHOW(ask());
	/* One that is deleted leaves its file without. */
	SHOW(delete_link("tap1"));
	char buffer[100];
	SHOW(read(other, buffer, sizeof buffer));
	printf("ready %#x\n", ready(other));
	SHOW(set_interface(other, "tun3", IFF_TUN | IFF_NO_CARRIER));
	SHOW(turn("tun3", 1));
	show_data("tun3");
	close(other);
}

/* Read until a packet of IPv4 comes. */
static ssize_t next_packet(int fd, unsigned char *packet, size_t size, size_t front)
{
	for (;;) {
		struct pollfd one = {fd, POLLIN, 0};
		if (poll(&one, 1, 60000) != 1)
			return -1;
		ssize_t got = MUST(read(fd, packet, size));
		if ((packet[front] >> 4) == 4)
			return got;
	}
}

static void packets(void)
{
	unsigned char packet[2000];
	int fd = new_file(0);
	MUST(set_interface(fd, "tun0", IFF_TUN));
	memset(packet, 0, sizeof packet);
	SHOW(write(fd, packet, 30));
	MUST(give("tun0", "10.9.0.1", 24));
	printf("ready %#x\n", ready(fd));
	SHOW(turn("tun0", 1));
	printf("ready %#x\n", ready(fd));
	show_data("tun0");
	int udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
	inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
	SHOW(sendto(udp, "question", 8, 0, (struct sockaddr *)&to, sizeof to));
	ssize_t got = next_packet(fd, packet, sizeof packet, 4);
	struct tun_pi *front = (struct tun_pi *)packet;
	struct iphdr *ip = (struct iphdr *)(packet + 4);
	struct udphdr *header = (struct udphdr *)(packet + 24);
	printf("%zd bytes, flags %d, protocol %#x, to port %d: %.8s\n", got, front->flags, ntohs(front->proto), ntohs(header->dest), packet + 32);
	printf("sums: %#x\n", sum(ip, 20));
	/* The program answers. */
	unsigned swap = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = swap;
	unsigned short port = header->source;
	header->source = header->dest;
	header->dest = port;
	memcpy(packet + 32, "answers.", 8);
	header->check = 0;
	SHOW(write(fd, packet, (size_t)got));
	char answered[20] = "";
	SHOW(recv(udp, answered, sizeof answered, 0));
	printf("%s\n", answered);
	/* A packet that does not fit is cut. */
	SHOW(sendto(udp, "question", 8, 0, (struct sockaddr *)&to, sizeof to));
	struct pollfd one = {fd, POLLIN, 0};
	SHOW(poll(&one, 1, 60000));
	SHOW(read(fd, packet, 24));
	printf("flags %d\n", front->flags);
	SHOW(sendto(udp, "question", 8, 0, (struct sockaddr *)&to, sizeof to));
	SHOW(poll(&one, 1, 60000));
	SHOW(read(fd, packet, 3));
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(read(fd, packet, sizeof packet));
	SHOW(write(fd, packet, 3));
	SHOW(write(fd, packet, 4));
	/* What is no packet of IP goes where nobody wants it. */
	memset(packet, 0, sizeof packet);
	SHOW(write(fd, packet, 100));
	/* As a vector; ping, which the kernel answers. */
	struct {
		struct iphdr ip;
		struct icmphdr icmp;
	} ping = {{.ihl = 5, .version = 4, .tot_len = htons(28), .ttl = 64, .protocol = 1}, {.type = 8, .un.echo.id = 7}};
	inet_pton(AF_INET, "10.9.0.2", &ping.ip.saddr);
	inet_pton(AF_INET, "10.9.0.1", &ping.ip.daddr);
	ping.icmp.checksum = sum(&ping.icmp, 8);
	ping.ip.check = sum(&ping.ip, 20);
	struct tun_pi kind = {0, htons(0x0800)};
	struct iovec parts[] = {{&kind, 4}, {&ping.ip, 20}, {&ping.icmp, 8}};
	SHOW(writev(fd, parts, 3));
	struct iovec places[] = {{packet, 4}, {packet + 100, 1000}};
	SHOW(readv(fd, places, 2));
	printf("from %d.%d.%d.%d type %d\n", packet[112], packet[113], packet[114], packet[115], packet[120]);
	/* Another network has the interface, and the file goes on. */
	int here = own_network();
	MUST(unshare(CLONE_NEWNET));
	int there = own_network();
	MUST(setns(here, CLONE_NEWNET));
	SHOW(move("tun0", IFLA_NET_NS_FD, there));
	printf("tun0 %u\n", if_nametoindex("tun0"));
	show_interface(fd);
	SHOW(writev(fd, parts, 3));
	MUST(setns(there, CLONE_NEWNET));
	without_ipv6();
	SHOW(give("tun0", "10.9.0.1", 24));
	SHOW(turn("tun0", 1));
	MUST(setns(here, CLONE_NEWNET));
	SHOW(writev(fd, parts, 3));
	SHOW(readv(fd, places, 2));
	int descriptor = (int)SHOW(ioctl(fd, TUNGETDEVNETNS) > 2);
	(void)descriptor;
	close(fd);
	MUST(setns(there, CLONE_NEWNET));
	printf("tun0 %u\n", if_nametoindex("tun0"));
	MUST(setns(here, CLONE_NEWNET));
	close(udp);
}

static void queue_is_bounded(void)
{
	unsigned char packet[100] = {0};
	int fd = new_file(O_NONBLOCK), count = 0;
	MUST(set_interface(fd, "tun0", IFF_TUN | IFF_NO_PI));
	MUST(give("tun0", "10.9.0.1", 24));
	MUST(turn("tun0", 1));
	SHOW(write(fd, packet, 100));
	SHOW(write(fd, packet, 0));
	int udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
	inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
	for (int i = 0; i < 700; i++)
		sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
	while (read(fd, packet, sizeof packet) > 0)
		count++;
	CHECK(count == 500);
	/* SIGIO on request. */
	signal(SIGIO, SIG_IGN);
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGIO);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	signal(SIGIO, SIG_DFL);
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC));
	sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
	struct timespec second = {60, 0};
	SHOW(sigtimedwait(&wanted, NULL, &second) == SIGIO);
	close(udp);
	close(fd);
}

static void offload(void)
{
	unsigned char packet[2000] = {0};
	int fd = new_file(O_NONBLOCK);
	MUST(set_interface(fd, "tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR));
	MUST(give("tun0", "10.9.0.1", 24));
	MUST(turn("tun0", 1));
	SHOW(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM));
	int udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
	inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
	SHOW(sendto(udp, "question", 8, 0, (struct sockaddr *)&to, sizeof to));
	struct pollfd one = {fd, POLLIN, 0};
	SHOW(poll(&one, 1, 60000));
	SHOW(read(fd, packet, sizeof packet));
	struct virtio_net_hdr *front = (struct virtio_net_hdr *)packet;
	printf("flags %d type %d start %d offset %d\n", front->flags, front->gso_type, front->csum_start, front->csum_offset);
	/* Headers that do not fit. */
	memset(front, 0, sizeof *front);
	packet[10] = 0x45;
	SHOW(write(fd, packet, 9));
	SHOW(write(fd, packet, 10));
	front->hdr_len = 100;
	SHOW(write(fd, packet, 40));
	front->hdr_len = 0;
	front->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	front->csum_start = 20;
	front->csum_offset = 16;
	SHOW(write(fd, packet, 40));
	front->flags = 0;
	front->gso_type = 9;
	SHOW(write(fd, packet, 60));
	front->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	front->gso_size = 0;
	SHOW(write(fd, packet, 60));
	close(udp);
	close(fd);
}

static void tap_frames(void)
{
	unsigned char frame[2000];
	int fd = new_file(0);
	MUST(set_interface(fd, "tap0", IFF_TAP | IFF_NO_PI));
	MUST(give("tap0", "10.8.0.1", 24));
	MUST(turn("tap0", 1));
	SHOW(write(fd, frame, 13));
	memset(frame, 0, sizeof frame);
	/* Who has 10.8.0.1? */
	static const unsigned char question[42] = {
		255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 7, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 7, 10, 8, 0, 2,
		0, 0, 0, 0, 0, 0, 10, 8, 0, 1};
	SHOW(write(fd, question, sizeof question));
	for (;;) {
		ssize_t got = MUST(read(fd, frame, sizeof frame));
		if (frame[12] != 8 || frame[13] != 6 || frame[21] != 2)
			continue;
		printf("%zd bytes: to ..:%d, operation %d, %d.%d.%d.%d\n", got, frame[5], frame[21], frame[28], frame[29], frame[30], frame[31]);
		break;
	}
	close(fd);
	/* A reader that waits hears of the end. */
	fd = new_file(0);
	MUST(set_interface(fd, "tun0", IFF_TUN));
	pid_t child = fork();
	if (child == 0) {
		SHOW(read(fd, frame, sizeof frame));
		_exit(0);
	}
	until_asleep(child);
	int deleted = delete_link("tun0");
	show_end(child);
	CHECK(deleted == 0);
	close(fd);
}

static unsigned next_random(void)
{
	static unsigned state = 12345;
	state ^= state << 13;
	state ^= state >> 17;
	return state ^= state << 5;
}

/* Headers of offload that lie about a segment of TCP: it is bridged, or forwarded, and nothing breaks. */
static void lie(int fd, size_t link, const char *to)
{
	static unsigned char packet[10 + 14 + 6000];
	struct virtio_net_hdr *front = (struct virtio_net_hdr *)packet;
	for (int i = 0; i < 3000; i++) {
		size_t length = 40 + next_random() % (i % 3 ? 100 : 5000);
		memset(packet, 0, sizeof packet);
		memcpy(packet + 10, "\2\0\0\0\0\7\2\0\0\0\0\10\10\0", link);
		struct iphdr *ip = (struct iphdr *)(packet + 10 + link);
		size_t said = next_random() % 4 ? length : 20 + next_random() % (length - 20);
		*ip = (struct iphdr){.ihl = 5, .version = 4, .tot_len = htons(said), .ttl = 64, .protocol = 6};
		inet_pton(AF_INET, "10.9.0.2", &ip->saddr);
		inet_pton(AF_INET, to, &ip->daddr);
		ip->check = sum(ip, 20);
		packet[10 + link + 20 + 12] = 0x50;
		if (next_random() % 8 == 0)
			packet[10 + link + next_random() % 34] = next_random();
		front->flags = next_random() % 4;
		front->gso_type = next_random() % 3 ? VIRTIO_NET_HDR_GSO_TCPV4 : next_random() % 2 * 0x80;
		front->gso_size = next_random() % 4 ? 1 + next_random() % 2000 : next_random();
		front->hdr_len = next_random() % 3 ? 0 : next_random() % 200;
		front->csum_start = next_random() % 3 ? link + 20 : next_random() % (length + link);
		front->csum_offset = next_random() % 3 ? 16 : next_random() % 40;
		if (write(fd, packet, 10 + link + length) < 0 && errno != EINVAL)
			printf("%s\n", error_name(errno));
	}
}

static void lies(void)
{
	char buffer[7000];
	int fd = new_file(0), in = new_file(0), out = new_file(O_NONBLOCK), value = 0;
	MUST(set_interface(fd, "tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
	MUST(set_interface(in, "tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR));
	MUST(set_interface(out, "tun1", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR));
	new_link(NLM_F_CREATE | NLM_F_EXCL, "br0", "bridge");
	MUST(ask());
	MUST(new_pair("near", "far", -1));
	const char *names[] = {"tap0", "near"};
	for (int i = 0; i < 2; i++) {
		link_header(RTM_NEWLINK, 0, 0, 0, 0);
		add_text(IFLA_IFNAME, names[i]);
		add_word(IFLA_MASTER, if_nametoindex("br0"));
		MUST(ask());
		MUST(turn(names[i], 1));
	}
	MUST(turn("far", 1));
	MUST(turn("br0", 1));
	MUST(give("tun0", "10.9.0.1", 24));
	MUST(give("tun1", "10.11.0.1", 24));
	MUST(turn("tun0", 1));
	MUST(turn("tun1", 1));
	int forwards = (int)MUST(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY));
	MUST(write(forwards, "1", 1));
	lie(fd, 14, "10.8.0.9");
	MUST(ioctl(out, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4));
	lie(in, 0, "10.11.0.9");
	MUST(ioctl(out, TUNSETOFFLOAD, 0));
	lie(in, 0, "10.11.0.9");
	while (read(out, buffer, sizeof buffer) > 0)
		value++;
	CHECK(value > 10);
	MUST(write(forwards, "0", 1));
	close(forwards);
	close(out);
	close(in);
	close(fd);
	MUST(delete_link("near"));
	MUST(delete_link("br0"));
}

int main(void)
{
	int original = own_network();
	MUST(unshare(CLONE_NEWNET));
	without_ipv6();
	MUST(turn("lo", 1));
	before_it_has_an_interface();
	settings();
	packets();
	queue_is_bounded();
	offload();
	tap_frames();
	lies();
	MUST(setns(original, CLONE_NEWNET));
	return 0;
}
