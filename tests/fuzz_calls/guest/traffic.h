/* Packets over loopback, and bytes of packets for interfaces that a program owns. */

static struct { struct value udp4, udp6, listener, stream, raw; } traffic;

static const uint32_t addresses4[] = { 0x7f000001, 0x7f000001, 0x7f000002, 0x0a090001, 0x0a090002, 0x0a090103, 0xe0000001, 0xffffffff };

static uint64_t address_of(uint32_t address, int port)
{
	struct sockaddr_in at = { AF_INET, be16(port), { be32(address) } };
	return keep_bytes(&at, sizeof at);
}

static uint64_t address6_of(int port)
{
	struct sockaddr_in6 at = { AF_INET6, be16(port) };
	at.sin6_addr.s6_addr[15] = 1;
	return keep_bytes(&at, sizeof at);
}

static uint32_t an_address4(void) { return addresses4[pick(COUNT(addresses4))]; }
static int a_port(void) { return one_in(12) ? (int)pick(65536) : 7001 + (int)pick(4); }

static void begin_traffic(void)
{
	traffic.udp4 = STEP(SYS_socket, N(AF_INET), N(SOCK_DGRAM | SOCK_NONBLOCK), N(0));
	STEP(SYS_bind, traffic.udp4, N(address_of(0, 7001)), N(16));
	traffic.listener = STEP(SYS_socket, N(AF_INET), N(SOCK_STREAM | SOCK_NONBLOCK), N(0));
	STEP(SYS_bind, traffic.listener, N(address_of(0, 7002)), N(16));
	STEP(SYS_listen, traffic.listener, N(4));
	traffic.stream = traffic.raw = traffic.udp6 = N(-1);
	if (one_in(3)) {
		traffic.udp6 = STEP(SYS_socket, N(AF_INET6), N(SOCK_DGRAM | SOCK_NONBLOCK), N(0));
		STEP(SYS_bind, traffic.udp6, N(address6_of(7001)), N(28));
	}
}

static void send_some(void)
{
	int size = one_in(6) ? pick(9000) : one_in(2) ? 0 : pick(200);
	switch (pick(8)) {
	case 0:
		traffic.stream = STEP(SYS_socket, N(AF_INET), N(SOCK_STREAM | SOCK_NONBLOCK), N(0));
		STEP(SYS_connect, traffic.stream, N(address_of(one_in(3) ? an_address4() : 0x7f000001, one_in(3) ? a_port() : 7002)), N(16));
		break;
	case 1:
		STEP(SYS_sendto, traffic.stream, N(place(size)), N(size), N(MSG_DONTWAIT | MSG_NOSIGNAL), N(0), N(0));
		break;
	case 2: {
		struct value fd = STEP(SYS_accept4, traffic.listener, N(0), N(0), N(SOCK_NONBLOCK));
		STEP(SYS_recvfrom, fd, N(place(4096)), N(4096), N(MSG_DONTWAIT), N(0), N(0));
		break;
	}
	case 3: { /* an echo request */
		if (traffic.raw.tag == NUMBER)
			traffic.raw = STEP(SYS_socket, N(AF_INET), N((one_in(2) ? SOCK_RAW : SOCK_DGRAM) | SOCK_NONBLOCK), N(IPPROTO_ICMP));
		uint8_t echo[16] = { 8, 0, 0xf7, 0xfe, 0, 0, 0, 1 };
		STEP(SYS_sendto, traffic.raw, N(keep_bytes(echo, 8 + pick(9))), N(8 + pick(9)), N(MSG_DONTWAIT), N(address_of(an_address4(), 0)), N(16));
		break;
	}
	case 4:
		STEP(SYS_sendto, traffic.udp6, N(place(size)), N(size), N(MSG_DONTWAIT), N(address6_of(a_port())), N(28));
		break;
	case 5:
		STEP(SYS_recvfrom, traffic.udp4, N(place(4096)), N(4096), N(MSG_DONTWAIT), N(0), N(0));
		break;
	default:
		STEP(SYS_sendto, traffic.udp4, N(place(size)), N(size), N(MSG_DONTWAIT), N(address_of(an_address4(), a_port())), N(16));
	}
}

static uint16_t sum_of(const uint8_t *bytes, int size)
{
	uint32_t sum = 0;
	for (int i = 0; i + 1 < size; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* A packet of IP in `made_bytes`, right but for what chance changes. Sums of UDP may be left out; those of TCP are wrong. */
static void put_packet(int is_ethernet)
{
	uint8_t packet[120] = { 0 };
	int at = 0, payload = pick(40), protocol = ONE_OF(1, 6, 17, 17);
	if (is_ethernet) {
		static const uint8_t targets[4][6] = { { 255, 255, 255, 255, 255, 255 }, { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 9 }, { 1, 0, 0x5e, 0, 0, 1 } };
		memcpy(packet, targets[pick(4)], 6);
		memcpy(packet + 6, targets[1 + pick(2)], 6);
		packet[12] = 8;
		at = 14;
		if (one_in(6)) { /* who has 10.9.0.1 */
			static const uint8_t arp[28] = { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 9, 0, 2, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1 };
			packet[13] = 6;
			memcpy(packet + 14, arp, 28);
			packet[21] = ONE_OF(1, 2);
			put(packet, 42);
			return;
		}
	}
	uint8_t *ip = packet + at;
	uint32_t from = be32(one_in(4) ? an_address4() : 0x0a090002), to = be32(one_in(3) ? an_address4() : 0x0a090001);
	int header = one_in(8) ? 24 : 20, size = header + 20 + payload;
	ip[0] = 0x40 | header / 4;
	ip[2] = size >> 8, ip[3] = size;
	ip[5] = pick(4);
	if (one_in(6))
		ip[6] = 0x20 * pick(4), ip[7] = pick(4); /* fragments */
	ip[8] = ONE_OF(64, 64, 1, 0);
	ip[9] = protocol;
	memcpy(ip + 12, &from, 4), memcpy(ip + 16, &to, 4);
	uint16_t sum = sum_of(ip, header);
	ip[10] = sum >> 8, ip[11] = sum;
	uint8_t *inner = ip + header;
	int source = a_port(), target = a_port();
	inner[0] = source >> 8, inner[1] = source, inner[2] = target >> 8, inner[3] = target;
	if (protocol == 17) {
		inner[4] = (20 + payload) >> 8, inner[5] = 20 + payload;
	} else if (protocol == 6) {
		inner[12] = 0x50, inner[13] = ONE_OF(2, 18, 16, 4, 17, 0);
	} else if (protocol == 1) {
		inner[0] = ONE_OF(8, 0, 3, 5, 11), inner[1] = 0, inner[2] = inner[3] = 0;
		sum = sum_of(inner, 20 + payload & ~1);
		inner[2] = sum >> 8, inner[3] = sum;
	}
	size += at;
	if (chaos)
		for (int i = pick(3) * one_in(3); i > 0; i--)
			packet[pick(size)] = draw();
	put(packet, one_in(20) ? pick(size) : size);
	if (made_size > size)
		made_size -= made_size - size;
}
