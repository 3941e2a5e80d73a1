/* Interfaces that programs make: tun and tap, bridges and their ports, veth, macvlan, dummy; by rtnetlink and by ioctl. */

static struct { struct value route, tun, inet; int is_tap; } link_state;

static const char *const link_names[] = { "br0", "br1", "v0", "v1", "mv0", "mv1", "d0", "tun0", "tap0", "lo" };
static const uint8_t hardware[6][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 9 }, { 2, 0, 0, 0, 1, 1 }, { 1, 0, 0x5e, 0, 0, 1 },
	{ 255, 255, 255, 255, 255, 255 }, { 0 } };

static const char *a_link(void) { return link_names[pick(COUNT(link_names))]; }
static int an_index(void) { return one_in(20) ? edge() : 1 + pick(8); }

static void begin_link(int kind, int flags, int family, int index, int up)
{
	struct ifinfomsg header = { .ifi_family = family, .ifi_index = index, .ifi_flags = up, .ifi_change = up ? 1 : 0 };
	begin_message(kind, flags, &header, sizeof header);
}

static void begin_data(const char *kind)
{
	begin_nest(IFLA_LINKINFO);
	attribute(IFLA_INFO_KIND, kind, strlen(kind) + one_in(2));
	begin_nest(IFLA_INFO_DATA);
}

static void end_data(void) { end_nest(), end_nest(); }

static void put_bridge_setting(void)
{
	int which = is_odd() ? pick(60) : 1 + pick(47);
	switch (which) {
	case IFLA_BR_VLAN_FILTERING: case IFLA_BR_MCAST_SNOOPING: case IFLA_BR_MCAST_QUERIER: case IFLA_BR_NF_CALL_IPTABLES: put_u8(which, pick(3)); break;
	case IFLA_BR_PRIORITY: case IFLA_BR_GROUP_FWD_MASK: case IFLA_BR_VLAN_PROTOCOL: case IFLA_BR_VLAN_DEFAULT_PVID: put_u16(which, edge()); break;
	case IFLA_BR_GROUP_ADDR: attribute(which, hardware[pick(6)], 6); break;
	default: put_u32(which, one_in(2) ? edge() : pick(4) * 100);
	}
}

static void make_link(void)
{
	static const char *const kinds[] = { "bridge", "bridge", "veth", "veth", "macvlan", "macvlan", "dummy", "tun", "vlan", "" };
	int which = pick(is_odd() ? COUNT(kinds) : 7);
	begin_link(RTM_NEWLINK, one_in(8) ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL, 0, one_in(20) ? an_index() : 0, pick(2));
	put_text(IFLA_IFNAME, one_in(12) ? a_link() : link_names[which]);
	if (one_in(4))
		attribute(IFLA_ADDRESS, hardware[pick(is_odd() ? 6 : 3)], 6);
	if (one_in(6))
		put_u32(IFLA_MTU, ONE_OF(1500, 1280, 68, 67, 65536, 9000));
	if (one_in(6))
		put_u32(one_in(2) ? IFLA_MASTER : IFLA_TXQLEN, an_index());
	if (which == 4 || which == 5)
		put_u32(IFLA_LINK, an_index());
	begin_data(kinds[which]);
	if (which < 2) {
		for (int i = pick(3); i > 0; i--)
			put_bridge_setting();
	} else if (which < 4) {
		struct ifinfomsg peer = { 0 };
		begin_nest(1); /* VETH_INFO_PEER */
		put(&peer, sizeof peer);
		put_text(IFLA_IFNAME, one_in(12) ? a_link() : link_names[5 - which]);
		if (one_in(8))
			put_u32(IFLA_NET_NS_PID, pick(30));
		end_nest();
	} else if (which < 6) {
		put_u32(IFLA_MACVLAN_MODE, ONE_OF(1, 2, 4, 8, 16));
		if (one_in(6))
			put_u16(IFLA_MACVLAN_FLAGS, 1), put_u32(IFLA_MACVLAN_MACADDR_MODE, pick(5));
	}
	end_data();
	end_message();
}

static void change_link(void)
{
	begin_link(one_in(4) ? RTM_SETLINK : RTM_NEWLINK, 0, one_in(4) ? AF_BRIDGE : 0, one_in(2) ? an_index() : 0, one_in(3) ? 0 : 1);
	if (one_in(2))
		put_text(IFLA_IFNAME, a_link());
	switch (pick(9)) {
	case 0: case 1: case 2: put_u32(IFLA_MASTER, one_in(4) ? 0 : an_index()); break;
	case 3: attribute(IFLA_ADDRESS, hardware[pick(6)], 6); break;
	case 4: put_u32(IFLA_MTU, ONE_OF(1500, 68, 0, 65535, 9000)); break;
	case 5:
		begin_data(one_in(4) ? "macvlan" : "bridge");
		for (int i = 1 + pick(4); i > 0; i--)
			put_bridge_setting();
		end_data();
		break;
	case 6:
		begin_nest(IFLA_PROTINFO);
		for (int i = 1 + pick(3); i > 0; i--)
			one_in(3) ? put_u16(ONE_OF(1, 2, 3, 4), edge()) : one_in(2) ? put_u32(ONE_OF(2, 3, 32, 36), edge()) : put_u8(1 + pick(40), pick(5));
		end_nest();
		break;
	case 7:
		begin_nest(IFLA_AF_SPEC);
		put_u16(IFLA_BRIDGE_FLAGS, pick(4)), put_u32(IFLA_BRIDGE_VLAN_INFO, edge());
		end_nest();
		break;
	default: put_u32(one_in(2) ? IFLA_NET_NS_PID : IFLA_TXQLEN, pick(40));
	}
	end_message();
}

static void change_addresses(void)
{
	if (one_in(2)) {
		struct ndmsg header = { .ndm_family = ONE_OF(AF_BRIDGE, AF_BRIDGE, AF_INET), .ndm_ifindex = an_index(), .ndm_state = ONE_OF(0x80, 0x40, 2, 0),
			.ndm_flags = ONE_OF(2, 2, 4, 6, 0) };
		begin_message(ONE_OF(RTM_NEWNEIGH, RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH), NLM_F_CREATE | (one_in(4) ? NLM_F_DUMP : 0), &header, sizeof header);
		attribute(NDA_LLADDR, hardware[pick(6)], 6);
		if (one_in(2))
			attribute(NDA_DST, (uint32_t[]){ be32(an_address4()) }, 4);
		if (one_in(4))
			put_u32(one_in(2) ? NDA_MASTER : NDA_IFINDEX, an_index());
		if (one_in(4))
			put_u16(NDA_VLAN, edge());
	} else {
		struct ifaddrmsg header = { AF_INET, ONE_OF(24, 8, 32, 16), 0, 0, an_index() };
		uint32_t address = be32(0x0a090001 + (pick(3) << 8));
		begin_message(one_in(4) ? RTM_DELADDR : RTM_NEWADDR, NLM_F_CREATE, &header, sizeof header);
		attribute(IFA_LOCAL, &address, 4), attribute(IFA_ADDRESS, &address, 4);
	}
	end_message();
}

static void link_request(uint32_t code, const char *name, const void *value, int size)
{
	uint8_t request[40] = { 0 };
	strcpy((char *)request, name);
	if (size)
		memcpy(request + 16, value, size);
	STEP(SYS_ioctl, link_state.inet, N(code), N(keep_bytes(request, 40)));
}

static void raise_link(const char *name, int subnet)
{
	struct sockaddr_in at = { AF_INET, 0, { be32(0x0a090001 + (subnet << 8)) } };
	link_request(SIOCSIFADDR, name, &at, 16);
	at.sin_addr.s_addr = be32(0xffffff00);
	link_request(SIOCSIFNETMASK, name, &at, 16);
	link_request(SIOCSIFFLAGS, name, &(short){ IFF_UP | IFF_RUNNING | (one_in(8) ? IFF_PROMISC : 0) }, 2);
}

static void bridge_request(void)
{
	if (one_in(3))
		STEP(SYS_ioctl, link_state.inet, N(one_in(3) ? 0x89a1 : 0x89a0), N(keep_bytes("br0\0\0\0\0\0\0\0\0\0\0\0\0", 16)));
	else
		link_request(one_in(3) ? 0x89a3 : 0x89a2, link_names[pick(2)], &(int){ an_index() }, 4);
}

static void open_tun(void)
{
	static const char *const templates[] = { "tun0", "tap0", "tun%d", "", "br0", "%d%d" };
	uint8_t request[40] = { 0 };
	link_state.is_tap = pick(2);
	strcpy((char *)request, one_in(8) ? templates[pick(COUNT(templates))] : templates[link_state.is_tap]);
	uint16_t flags = (link_state.is_tap ? 2 : 1) | (one_in(4) ? 0 : 0x1000) | (one_in(6) ? 0x100 : 0) | (one_in(4) ? 0x4000 : 0)
		| (is_odd() ? edge() : 0);
	memcpy(request + 16, &flags, 2);
	link_state.tun = opened("nz_tun", O_RDWR | O_NONBLOCK, FD_FILE);
	STEP(SYS_ioctl, link_state.tun, N(0x400454ca), N(keep_bytes(request, 40)));
	if (one_in(3))
		STEP(SYS_ioctl, link_state.tun, N(0x400454cb), N(1));
	raise_link(link_state.is_tap ? "tap0" : "tun0", 0);
}

static void tun_deed(void)
{
	switch (pick(10)) {
	case 0: STEP(SYS_read, link_state.tun, N(place(2048)), N(one_in(4) ? pick(60) : 2048)); break;
	case 1: { /* TUNGETFEATURES, SENDBUF, VNETHDRSZ, OFFLOAD, QUEUE, GETIFF, TXFILTER, OWNER */
		static const uint32_t codes[] = { 0x800454cf, 0x400454d4, 0x400454d8, 0x400454d0, 0x400454d9, 0x800454d2, 0x400454d1, 0x400454cc, 0x400454c8,
			0x801054db, 0x400454e2, 0x400454dc, 0x400454de };
		uint32_t code = codes[pick(COUNT(codes))];
		uint32_t word = one_in(2) ? edge() : ONE_OF(10, 12, 0, 1, 0x100, 0x200, 0x400, 0x7f);
		STEP(SYS_ioctl, link_state.tun, N(code), code == 0x400454d0 ? N(pick(64)) : N(keep_bytes((uint32_t[10]){ word, 0, 0, 0, word }, 40)));
		break;
	}
	case 2: open_tun(); break;
	case 3: STEP(SYS_close, link_state.tun); break;
	default:
		if (one_in(3))
			put(0, ONE_OF(4, 10, 12, 14, 16)); /* headers of the interface */
		put_packet(link_state.is_tap);
		uint64_t at = keep_bytes(made_bytes, made_size);
		if (one_in(6)) {
			uint64_t parts[4] = { at, pick(made_size + 1), at, made_size };
			STEP(SYS_writev, link_state.tun, N(keep_bytes(parts, 32)), N(2));
		} else {
			STEP(SYS_write, link_state.tun, N(at), N(made_size));
		}
	}
}

static void begin_links(void)
{
	memset(&link_state, 0, sizeof link_state);
	link_state.inet = STEP(SYS_socket, N(AF_INET), N(SOCK_DGRAM), N(0));
	link_state.route = netlink_socket(0, one_in(4) ? ONE_OF(1, 5, 0x11, -1) : 0);
	begin_traffic();
	if (one_in(2))
		open_tun();
	else
		link_state.tun = N(-1);
	for (int i = 1 + pick(3); i > 0; i--) {
		make_link();
		send_made(link_state.route);
	}
}

static void links_deed(void)
{
	switch (pick(13)) {
	case 0: case 1: make_link(); break;
	case 2: case 3: case 4: change_link(); break;
	case 5: case 6: change_addresses(); break;
	case 7: begin_link(RTM_DELLINK, 0, 0, one_in(2) ? an_index() : 0, 0), put_text(IFLA_IFNAME, a_link()), end_message(); break;
	case 8:
		begin_link(RTM_GETLINK, one_in(3) ? 0 : NLM_F_DUMP, ONE_OF(0, 0, AF_BRIDGE), pick(8), 0);
		if (one_in(2))
			put_u32(IFLA_EXT_MASK, ONE_OF(1, 2, 4, 8, 9)), put_u32(IFLA_MASTER, an_index());
		end_message();
		break;
	case 9: bridge_request(); return;
	case 10: raise_link(a_link(), pick(3)); return;
	case 11: send_some(); return;
	default: tun_deed(); return;
	}
	if (one_in(3) && made_size < 2000)
		change_link();
	send_made(link_state.route);
}
