/* Batches and questions of nf_tables, and of connection tracking (nft(8), linux/netfilter/nf_tables.h). */

#define MOST_SETS 6

struct set_shape { int flags, key, data, object; }; /* data: bytes of a map's values; -1 verdicts; 0 a set */
enum { FILTER_CHAIN, NAT_CHAIN, ROUTE_CHAIN };

/* What a batch may name by now. A chain's number is below MOST_BASE if it has a hook. */
static struct {
	struct value socket, watcher;
	int family, bases, plain, sets, objects;
	struct { int type, hook; } base[4];
	struct set_shape set[MOST_SETS];
} wall;

#define MOST_BASE 4
static int rule_chain; /* that a rule is for */

static const char *const chain_names[] = { "in", "out", "pre", "post", "c4", "c5", "c6" };
static const char *const set_names[] = { "s0", "s1", "s2", "s3", "s4", "s5", "none" };
static const char *const object_names[] = { "o0", "o1", "o2", "none" };

static const char *a_table(void) { return one_in(20) ? "other" : "t"; }
static int a_set(void) { return wall.sets == 0 || is_odd() ? pick(7) : pick(wall.sets); }
static int is_at(int hooks) { return rule_chain >= MOST_BASE || is_odd() || hooks >> wall.base[rule_chain].hook & 1; }
static int is_in_nat(void) { return rule_chain >= MOST_BASE ? one_in(4) : is_odd() || wall.base[rule_chain].type == NAT_CHAIN; }

static int a_chain(void)
{
	if (is_odd() || wall.bases + wall.plain == 0)
		return pick(COUNT(chain_names));
	int which = pick(wall.bases + wall.plain);
	return which < wall.bases ? which : MOST_BASE + which - wall.bases;
}

static void begin_change(int kind, int flags)
{
	uint8_t header[4] = { is_odd() ? pick(16) : wall.family };
	begin_message(kind > 255 ? kind : NFNL_SUBSYS_NFTABLES << 8 | kind, flags, header, 4);
}

static void begin_batch(void)
{
	uint8_t header[4] = { 0, 0, 0, NFNL_SUBSYS_NFTABLES };
	made_size = 0;
	if (is_odd())
		return;
	begin_message(NFNL_MSG_BATCH_BEGIN, 0, header, 4);
	end_message();
}

static void commit(void)
{
	uint8_t header[4] = { 0, 0, 0, NFNL_SUBSYS_NFTABLES };
	if (!is_odd()) {
		begin_message(NFNL_MSG_BATCH_END, 0, header, 4);
		end_message();
	}
	send_made(wall.socket);
}

/* ---- Expressions ---- */

static void begin_expression(const char *name)
{
	begin_nest(NFTA_LIST_ELEM);
	put_text(NFTA_EXPR_NAME, name);
	begin_nest(NFTA_EXPR_DATA);
}

static void end_expression(void) { end_nest(), end_nest(); }

static int a_register(void) { return is_odd() ? edge() : one_in(6) ? 8 + pick(13) : 1 + pick(2); }

static void put_data(int kind, const void *bytes, int size)
{
	begin_nest(kind);
	attribute(NFTA_DATA_VALUE, bytes, size);
	end_nest();
}

/* Bytes as packets and rules may have them: addresses, ports, numbers. */
static void put_key(int kind, int size)
{
	uint8_t bytes[128] = { 0 };
	if (size < 0 || size > 128)
		size = 4;
	for (int at = 0; at < size; at += 4) {
		uint32_t n = one_in(3) ? be32(an_address4()) : one_in(3) ? be16(a_port()) : one_in(2) ? pick(8) : draw();
		memcpy(bytes + at, &n, size - at < 4 ? size - at : 4);
	}
	put_data(kind, bytes, size);
}

static void put_verdict(int kind)
{
	int code = ONE_OF(1, 1, 1, 0, -1, -2, -5, -3, -3, -4), target = is_odd() ? pick(7) : 0;
	for (int i = MOST_BASE + wall.plain - 1; target == 0 && i >= MOST_BASE && i > rule_chain; i--)
		if (one_in(2) || i == MOST_BASE || i == rule_chain + 1)
			target = i;
	if ((code == -3 || code == -4) && target == 0)
		code = 1;
	begin_nest(kind);
	begin_nest(NFTA_DATA_VERDICT);
	put_be32(NFTA_VERDICT_CODE, code);
	if (code == -3 || code == -4)
		put_text(NFTA_VERDICT_CHAIN, chain_names[target]);
	end_nest();
	end_nest();
}

/* Bytes of the packet into a register. */
static int put_payload(int reg, int size)
{
	size = size < 1 || size > 16 ? 4 : size;
	begin_expression("payload");
	put_be32(NFTA_PAYLOAD_DREG, reg), put_be32(NFTA_PAYLOAD_BASE, ONE_OF(0, 1, 1, 1, 2, 2, 3));
	put_be32(NFTA_PAYLOAD_OFFSET, size == 2 ? ONE_OF(0, 2) : size == 4 || size == 8 ? ONE_OF(12, 12, 16) : ONE_OF(0, 9, 8, 24, 40, 255));
	put_be32(NFTA_PAYLOAD_LEN, size);
	end_expression();
	return size;
}

/* Something of the packet into a register; how many bytes. */
static int put_source(int reg)
{
	static const uint8_t metas[][2] = { { 0, 4 }, { 1, 2 }, { 2, 4 }, { 3, 4 }, { 3, 4 }, { 4, 4 }, { 5, 4 }, { 6, 16 }, { 7, 16 }, { 8, 2 }, { 9, 2 }, { 10, 4 },
		{ 11, 4 }, { 12, 1 }, { 13, 4 }, { 15, 1 }, { 16, 1 }, { 16, 1 }, { 19, 1 }, { 20, 4 }, { 21, 4 }, { 22, 4 }, { 24, 4 }, { 25, 1 }, { 26, 16 }, { 27, 16 },
		{ 30, 8 }, { 31, 1 }, { 32, 4 }, { 33, 4 }, { 34, 16 } };
	static const uint8_t tracked[][2] = { { 0, 4 }, { 0, 4 }, { 1, 1 }, { 2, 4 }, { 3, 4 }, { 5, 4 }, { 7, 1 }, { 10, 1 }, { 11, 2 }, { 12, 2 }, { 14, 8 }, { 15, 8 },
		{ 16, 8 }, { 19, 4 }, { 20, 4 }, { 23, 4 } };
	int key, size, at;
	switch (pick(9)) {
	case 0: case 1:
		at = pick(COUNT(metas));
		begin_expression("meta");
		put_be32(NFTA_META_KEY, is_odd() ? (int)pick(40) : metas[at][0]), put_be32(NFTA_META_DREG, reg);
		end_expression();
		return metas[at][1];
	case 2: case 3:
		at = pick(COUNT(tracked)), key = is_odd() ? pick(30) : tracked[at][0];
		if (wall.family == 10 && (key == 19 || key == 20) && !is_odd())
			at = key = 0;
		begin_expression("ct");
		put_be32(NFTA_CT_KEY, key), put_be32(NFTA_CT_DREG, reg);
		if (key == 11 || key == 12 || key >= 19)
			if (key != 23)
				put_u8(NFTA_CT_DIRECTION, pick(2));
		end_expression();
		return tracked[at][1];
	case 4:
		key = is_at(7) ? ONE_OF(1, 2, 3) : 3;
		begin_expression("fib");
		put_be32(NFTA_FIB_DREG, reg), put_be32(NFTA_FIB_RESULT, key);
		put_be32(NFTA_FIB_FLAGS, is_at(7) ? ONE_OF(1, 2, 5, 6, 9, 10, 0x21, 0x2a) : ONE_OF(1, 2));
		end_expression();
		return key == 2 ? 16 : 4;
	case 5:
		begin_expression("exthdr");
		put_be32(NFTA_EXTHDR_DREG, reg), put_u8(NFTA_EXTHDR_TYPE, ONE_OF(0, 2, 3, 8, 44, 60, 7, 148));
		put_be32(NFTA_EXTHDR_OFFSET, ONE_OF(0, 1, 2, 4, 255)), put_be32(NFTA_EXTHDR_LEN, size = ONE_OF(1, 2, 4, 8, 16));
		put_be32(NFTA_EXTHDR_OP, ONE_OF(0, 1, 1, 2)), put_be32(NFTA_EXTHDR_FLAGS, pick(2));
		end_expression();
		return size <= 16 ? size : 4;
	case 6:
		if (one_in(3)) {
			begin_expression("rt");
			put_be32(1, reg), put_be32(2, ONE_OF(0, 1, 1));
		} else {
			begin_expression("numgen");
			put_be32(1, reg), put_be32(2, ONE_OF(1, 2, 3, 7, 65536, 0x7fffffff)), put_be32(3, pick(2)), put_be32(4, ONE_OF(0, 1, 0x7fffffff));
		}
		end_expression();
		return 4;
	default:
		return put_payload(reg, ONE_OF(1, 2, 4, 4, 6, 8, 16, 16, 3));
	}
}

static void put_stateful(int kind)
{
	static const char *const names[] = { "counter", "limit", "quota", "last", "connlimit" };
	begin_nest(kind);
	int which = pick(is_odd() ? 5 : 4);
	put_text(NFTA_EXPR_NAME, names[which]);
	begin_nest(NFTA_EXPR_DATA);
	switch (which) {
	case 1:
		put_be64(NFTA_LIMIT_RATE, ONE_OF(1, 10, 1000, 1ull << 30)), put_be64(NFTA_LIMIT_UNIT, ONE_OF(1, 60, 3600, 86400, 604800));
		if (one_in(2))
			put_be32(NFTA_LIMIT_BURST, ONE_OF(0, 1, 5));
		put_be32(NFTA_LIMIT_TYPE, ONE_OF(0, 1)), put_be32(NFTA_LIMIT_FLAGS, pick(2));
		break;
	case 2:
		put_be64(NFTA_QUOTA_BYTES, ONE_OF(1, 1000, 1ull << 62)), put_be32(NFTA_QUOTA_FLAGS, pick(2));
		if (one_in(3))
			put_be64(NFTA_QUOTA_CONSUMED, ONE_OF(0, 999, 1ull << 62));
		break;
	default:
		if (which == 0 && one_in(3))
			put_be64(1, edge()), put_be64(2, edge());
	}
	end_nest();
	end_nest();
}

/* Change, or ask, what is in a register. */
static void put_test(int reg, int size)
{
	uint8_t mask[64];
	int set = a_set(), order = size % 8 == 0 ? 8 : size % 4 == 0 ? 4 : size % 2 == 0 ? 2 : 0, which = pick(7);
	if ((which == 2 && !order) || ((which == 3 || which == 4) && (set >= wall.sets || wall.set[set].key != size || wall.set[set].object)))
		which = is_odd() ? which : 5;
	switch (which) {
	case 0:
		for (int i = 0; i < 64; i++)
			mask[i] = one_in(2) ? 255 : draw();
		begin_expression("bitwise");
		put_be32(NFTA_BITWISE_SREG, reg), put_be32(NFTA_BITWISE_DREG, one_in(4) ? a_register() : reg), put_be32(NFTA_BITWISE_LEN, size);
		if (one_in(4)) {
			put_be32(NFTA_BITWISE_OP, 1 + pick(2));
			put_data(7, (uint32_t[]){ ONE_OF(0, 1, 8, 31) }, 4);
		} else {
			put_data(NFTA_BITWISE_MASK, mask, size), put_data(NFTA_BITWISE_XOR, mask + 16, size);
		}
		end_expression();
		break;
	case 1:
		begin_expression("range");
		put_be32(NFTA_RANGE_SREG, reg), put_be32(NFTA_RANGE_OP, pick(2));
		memset(mask, 0, size), memset(mask + 32, 255, size);
		put_data(NFTA_RANGE_FROM_DATA, mask, size), put_data(NFTA_RANGE_TO_DATA, mask + 32, size);
		end_expression();
		break;
	case 2:
		begin_expression("byteorder");
		put_be32(NFTA_BYTEORDER_SREG, reg), put_be32(NFTA_BYTEORDER_DREG, reg), put_be32(NFTA_BYTEORDER_OP, pick(2));
		put_be32(NFTA_BYTEORDER_LEN, size), put_be32(NFTA_BYTEORDER_SIZE, ONE_OF(order, order, 2));
		end_expression();
		break;
	case 3: case 4:
		begin_expression("lookup");
		put_text(NFTA_LOOKUP_SET, set_names[set]), put_be32(NFTA_LOOKUP_SREG, reg);
		if (set < wall.sets && wall.set[set].data)
			put_be32(NFTA_LOOKUP_DREG, wall.set[set].data < 0 ? 0 : 1);
		else if (one_in(3))
			put_be32(NFTA_LOOKUP_FLAGS, 1);
		end_expression();
		break;
	default:
		begin_expression("cmp");
		put_be32(NFTA_CMP_SREG, reg), put_be32(NFTA_CMP_OP, ONE_OF(0, 0, 1, 1, 2, 3, 4, 5));
		put_key(NFTA_CMP_DATA, size);
		end_expression();
	}
}

/* An address or a port for a translation. */
static void put_immediate(int reg, int size)
{
	begin_expression("immediate");
	put_be32(NFTA_IMMEDIATE_DREG, reg);
	put_key(NFTA_IMMEDIATE_DATA, size);
	end_expression();
}

/* The number of an object that there is, mostly; it is of the kind 1 << its number. */
static int an_object(void)
{
	for (int i = pick(3), n = 0; n < 3; i = (i + 1) % 3, n++)
		if (wall.objects >> i & 1)
			return i;
	return pick(3);
}

static void put_deed(void)
{
	static const char *const strange[] = { "hash", "socket", "tproxy", "synproxy", "fwd", "dup", "osf", "inner", "flow_offload", "" };
	int kind, set, family, which = pick(16);
	if (is_in_nat() && one_in(2))
		which = pick(2) ? 7 : 9;
	else if ((which == 7 || which == 8 || which == 9) && !is_odd())
		which = pick(5);
	switch (which) {
	case 0: case 1: case 2:
		begin_expression("immediate");
		put_be32(NFTA_IMMEDIATE_DREG, 0), put_verdict(NFTA_IMMEDIATE_DATA);
		end_expression();
		break;
	case 3: case 4: put_stateful(NFTA_LIST_ELEM); break;
	case 5:
		if (!is_at(15))
			return;
		begin_expression("reject");
		put_be32(NFTA_REJECT_TYPE, wall.family == 1 ? ONE_OF(1, 2) : ONE_OF(0, 1)), put_u8(NFTA_REJECT_ICMP_CODE, ONE_OF(0, 1, 3, 13));
		end_expression();
		break;
	case 6:
		kind = !one_in(3);
		begin_expression(kind ? "log" : "queue");
		if (kind)
			put_text(2, "fuzz: "), put_be32(5, ONE_OF(7, 7, 4)), put_be32(6, pick(64));
		else
			put_be16(1, pick(3)), put_be16(2, ONE_OF(1, 2)), put_be16(3, pick(4));
		end_expression();
		break;
	case 7: case 8:
		family = wall.family == 1 ? ONE_OF(2, 2, 10) : wall.family;
		put_immediate(1, family == 10 ? 16 : 4), put_immediate(2, 2);
		begin_expression("nat");
		put_be32(NFTA_NAT_TYPE, is_at(1 << 0 | 1 << 3)), put_be32(NFTA_NAT_FAMILY, family);
		if (!one_in(4))
			put_be32(NFTA_NAT_REG_ADDR_MIN, 1);
		if (one_in(2))
			put_be32(NFTA_NAT_REG_PROTO_MIN, 2);
		if (one_in(3))
			put_be32(NFTA_NAT_FLAGS, pick(128));
		end_expression();
		break;
	case 9:
		kind = !is_at(1 << 0 | 1 << 3);
		if (kind && !is_at(1 << 4))
			return;
		put_immediate(1, 2);
		begin_expression(kind ? "masq" : "redir");
		if (one_in(2))
			put_be32(kind ? 2 : 1, 1);
		if (one_in(3))
			put_be32(kind ? 1 : 3, ONE_OF(4, 8, 16, 0x14));
		end_expression();
		break;
	case 10:
		set = a_set();
		if (set < wall.sets && wall.set[set].flags & (NFT_SET_INTERVAL | NFT_SET_CONSTANT) && !is_odd())
			return;
		put_payload(1, set < wall.sets ? wall.set[set].key : 4);
		begin_expression("dynset");
		put_text(NFTA_DYNSET_SET_NAME, set_names[set]), put_be32(NFTA_DYNSET_OP, pick(3)), put_be32(NFTA_DYNSET_SREG_KEY, 1);
		if (set < wall.sets && wall.set[set].data > 0)
			put_be32(NFTA_DYNSET_SREG_DATA, 1);
		if (set < wall.sets && wall.set[set].flags & NFT_SET_TIMEOUT && one_in(2))
			put_be64(NFTA_DYNSET_TIMEOUT, ONE_OF(1, 10, 1000, 1ull << 42));
		if (set < wall.sets && wall.set[set].flags & NFT_SET_EVAL && one_in(2))
			put_stateful(NFTA_DYNSET_EXPR);
		end_expression();
		break;
	case 11:
		set = a_set();
		if (set < wall.sets && wall.set[set].object) {
			put_payload(1, wall.set[set].key);
			begin_expression("objref");
			put_be32(NFTA_OBJREF_SET_SREG, 1), put_text(NFTA_OBJREF_SET_NAME, set_names[set]);
		} else {
			kind = an_object();
			begin_expression("objref");
			put_be32(NFTA_OBJREF_IMM_TYPE, 1 << kind), put_text(NFTA_OBJREF_IMM_NAME, object_names[kind]);
		}
		end_expression();
		break;
	case 12:
		kind = pick(2);
		put_immediate(1, 4);
		begin_expression(kind ? "meta" : "ct");
		put_be32(NFTA_META_KEY, kind ? ONE_OF(3, 3, 2, 12, 19) : ONE_OF(3)), put_be32(kind ? NFTA_META_SREG : NFTA_CT_SREG, 1);
		end_expression();
		break;
	case 13:
		put_immediate(1, 4);
		begin_expression("payload");
		put_be32(NFTA_PAYLOAD_SREG, 1), put_be32(NFTA_PAYLOAD_BASE, ONE_OF(1, 1, 2)), put_be32(NFTA_PAYLOAD_OFFSET, ONE_OF(0, 2, 4, 8, 12, 16));
		put_be32(NFTA_PAYLOAD_LEN, ONE_OF(1, 2, 4)), put_be32(NFTA_PAYLOAD_CSUM_TYPE, pick(3)), put_be32(NFTA_PAYLOAD_CSUM_OFFSET, ONE_OF(10, 6, 16, 2));
		put_be32(NFTA_PAYLOAD_CSUM_FLAGS, pick(2));
		end_expression();
		break;
	case 14:
		for (int which_set = 0; which_set < wall.sets; which_set++)
			if (wall.set[which_set].data < 0) { /* a verdict map */
				put_payload(1, wall.set[which_set].key);
				begin_expression("lookup");
				put_text(NFTA_LOOKUP_SET, set_names[which_set]), put_be32(NFTA_LOOKUP_SREG, 1), put_be32(NFTA_LOOKUP_DREG, 0);
				end_expression();
				return;
			}
		return;
	default:
		begin_expression(!is_odd() ? "notrack" : strange[pick(COUNT(strange))]);
		end_expression();
	}
}

/* ---- What batches say ---- */

static void put_table(void)
{
	begin_change(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK * one_in(3));
	put_text(NFTA_TABLE_NAME, wall.bases ? a_table() : "t");
	if (wall.bases && one_in(3))
		put_be32(NFTA_TABLE_FLAGS, ONE_OF(0, 1, 2, 4));
	end_message();
}

static void put_chain(void)
{
	static const char *const types[] = { "filter", "nat", "route" };
	int which = one_in(3) && wall.bases ? MOST_BASE + wall.plain : wall.bases;
	if (one_in(6) || which == MOST_BASE + 3 || (which < MOST_BASE && wall.bases == MOST_BASE))
		which = a_chain();
	int hook = which < wall.bases ? wall.base[which].hook : ONE_OF(0, 1, 2, 3, 3, 4), type = pick(3);
	if (hook > 4 || (type == ROUTE_CHAIN && hook != 3) || (type == NAT_CHAIN && hook == 2))
		type = FILTER_CHAIN;
	if (which < wall.bases)
		type = wall.base[which].type;
	begin_change(NFT_MSG_NEWCHAIN, NLM_F_CREATE | (one_in(12) ? NLM_F_EXCL : 0));
	put_text(NFTA_CHAIN_TABLE, "t"), put_text(NFTA_CHAIN_NAME, chain_names[which]);
	if (which < wall.bases && !is_odd()) {
		if (one_in(2))
			put_be32(NFTA_CHAIN_POLICY, pick(2));
	} else if (which < MOST_BASE) {
		begin_nest(NFTA_CHAIN_HOOK);
		put_be32(NFTA_HOOK_HOOKNUM, hook);
		put_be32(NFTA_HOOK_PRIORITY, type == NAT_CHAIN ? ONE_OF(0, -100, 100, 0x7fffffff) : ONE_OF(0, -100, -300, -150, 0x7fffffff, 0x80000000));
		if (is_odd())
			put_text(NFTA_HOOK_DEV, "lo");
		end_nest();
		put_text(NFTA_CHAIN_TYPE, types[type]);
		if (one_in(2))
			put_be32(NFTA_CHAIN_POLICY, ONE_OF(1, 1, 1, 1, 0));
		if (one_in(4)) {
			begin_nest(NFTA_CHAIN_COUNTERS);
			put_be64(NFTA_COUNTER_BYTES, edge()), put_be64(NFTA_COUNTER_PACKETS, edge());
			end_nest();
		}
		if (which < MOST_BASE)
			wall.base[which].type = type, wall.base[which].hook = hook;
	}
	if (one_in(6))
		put_be32(NFTA_CHAIN_ID, 1 + pick(4));
	end_message();
	if (which == wall.bases)
		wall.bases++;
	else if (which == MOST_BASE + wall.plain)
		wall.plain++;
}

static void put_set(void)
{
	int which = wall.sets < MOST_SETS ? wall.sets++ : (int)pick(MOST_SETS);
	struct set_shape *shape = &wall.set[which];
	static const uint8_t keys[] = { 4, 4, 4, 2, 1, 8, 16, 12, 6, 64 };
	shape->key = keys[pick(COUNT(keys))];
	shape->flags = ONE_OF(0, 0, NFT_SET_INTERVAL, NFT_SET_INTERVAL, NFT_SET_TIMEOUT, NFT_SET_EVAL, NFT_SET_CONSTANT, NFT_SET_EVAL | NFT_SET_TIMEOUT,
		NFT_SET_INTERVAL | NFT_SET_TIMEOUT, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT);
	shape->data = one_in(2) ? 0 : one_in(2) ? -1 : 4;
	if (shape->data)
		shape->flags |= NFT_SET_MAP;
	shape->object = one_in(8) && !(shape->flags & NFT_SET_EVAL) ? 1 << pick(3) : 0;
	if (shape->object)
		shape->flags |= NFT_SET_OBJECT, shape->data = 0, shape->flags &= ~NFT_SET_MAP;
	begin_change(NFT_MSG_NEWSET, NLM_F_CREATE);
	put_text(NFTA_SET_TABLE, "t"), put_text(NFTA_SET_NAME, one_in(20) ? "__set%d" : set_names[which]);
	put_be32(NFTA_SET_KEY_TYPE, 7), put_be32(NFTA_SET_KEY_LEN, shape->key), put_be32(NFTA_SET_ID, 1 + which);
	if (shape->data)
		put_be32(NFTA_SET_DATA_TYPE, shape->data < 0 ? 0xffffff00 : 7), put_be32(NFTA_SET_DATA_LEN, shape->data < 0 ? 16 : shape->data);
	if (shape->object)
		put_be32(NFTA_SET_OBJ_TYPE, shape->object);
	if (one_in(3) || shape->key == 12) {
		begin_nest(NFTA_SET_DESC);
		if (one_in(2))
			put_be32(NFTA_SET_DESC_SIZE, ONE_OF(2, 100, 100, 0xffffffff));
		if (shape->key % 4 == 0 && shape->key >= 8 && shape->key < 64) {
			shape->flags |= NFT_SET_CONCAT;
			begin_nest(NFTA_SET_DESC_CONCAT);
			for (int i = 0; i < shape->key; i += 4) {
				begin_nest(NFTA_LIST_ELEM);
				put_be32(NFTA_SET_FIELD_LEN, ONE_OF(4, 4, 4, 2, 1, 3));
				end_nest();
			}
			end_nest();
		}
		end_nest();
	}
	put_be32(NFTA_SET_FLAGS, shape->flags);
	if (shape->flags & NFT_SET_TIMEOUT && one_in(2))
		put_be64(NFTA_SET_TIMEOUT, ONE_OF(1, 20, 1000, 1ull << 42)), put_be32(NFTA_SET_GC_INTERVAL, ONE_OF(1, 10, 1000, 0xffffffff));
	if (one_in(8))
		put_stateful(NFTA_SET_EXPR);
	end_message();
}

static void put_elements(int kind)
{
	int which = a_set();
	struct set_shape shape = which < MOST_SETS ? wall.set[which] : (struct set_shape){ 0, 4, 0, 0 };
	begin_change(kind, (kind == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0) | (one_in(6) ? NLM_F_EXCL : 0));
	put_text(NFTA_SET_ELEM_LIST_TABLE, "t"), put_text(NFTA_SET_ELEM_LIST_SET, set_names[which]);
	if (one_in(4))
		put_be32(NFTA_SET_ELEM_LIST_SET_ID, 1 + which);
	begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS);
	uint32_t base = pick(4) << 24;
	rule_chain = 0; /* a verdict may lead to any that has no hook */
	for (int i = 0, n = one_in(8) ? pick(60) : 1 + pick(4); i < n && made_size < 6000; i++) {
		int is_end = 0;
		begin_nest(NFTA_LIST_ELEM);
		if (one_in(25)) {
			put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_CATCHALL);
		} else if (shape.flags & NFT_SET_INTERVAL && !one_in(6)) {
			uint8_t bytes[64] = { 0 };
			base += 1 + pick(one_in(4) ? 1 << 24 : 3);
			memcpy(bytes, &(uint32_t){ be32(base) }, 4);
			put_data(NFTA_SET_ELEM_KEY, bytes, shape.key ? shape.key : 4);
			if (shape.flags & NFT_SET_CONCAT && !one_in(6)) {
				base += pick(100);
				memcpy(bytes, &(uint32_t){ be32(base) }, 4);
				memset(bytes + 4, 255, 60);
				put_data(NFTA_SET_ELEM_KEY_END, bytes, shape.key);
			} else if (!(shape.flags & NFT_SET_CONCAT) && i % 2) {
				is_end = 1;
				put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
			}
		} else {
			put_key(NFTA_SET_ELEM_KEY, shape.key ? shape.key : 4);
		}
		if (is_end && !is_odd()) {
			end_nest();
			continue;
		}
		if (shape.data < 0)
			put_verdict(NFTA_SET_ELEM_DATA);
		else if (shape.data > 0)
			put_key(NFTA_SET_ELEM_DATA, shape.data);
		if (shape.object)
			put_text(NFTA_SET_ELEM_OBJREF, object_names[is_odd() ? 3 : shape.object / 2]);
		if (shape.flags & NFT_SET_TIMEOUT && one_in(3))
			put_be64(NFTA_SET_ELEM_TIMEOUT, ONE_OF(1, 20, 1ull << 42));
		if (one_in(8))
			put_stateful(NFTA_SET_ELEM_EXPR);
		end_nest();
	}
	end_nest();
	end_message();
}

static void put_object(void)
{
	int which = pick(3), kind = is_odd() ? 8 : 1 << which;
	begin_change(NFT_MSG_NEWOBJ, NLM_F_CREATE);
	put_text(NFTA_OBJ_TABLE, "t"), put_text(NFTA_OBJ_NAME, object_names[which]), put_be32(NFTA_OBJ_TYPE, kind);
	begin_nest(NFTA_OBJ_DATA);
	if (kind == 2)
		put_be64(NFTA_QUOTA_BYTES, ONE_OF(1, 1000)), put_be32(NFTA_QUOTA_FLAGS, pick(2));
	else if (kind == 4)
		put_be64(NFTA_LIMIT_RATE, ONE_OF(1, 1000)), put_be64(NFTA_LIMIT_UNIT, ONE_OF(1, 60, 604800)), put_be32(NFTA_LIMIT_TYPE, pick(2));
	end_nest();
	end_message();
	wall.objects |= 1 << which;
}

static void put_rule(void)
{
	int handle = one_in(12);
	rule_chain = a_chain();
	begin_change(NFT_MSG_NEWRULE, NLM_F_CREATE | (one_in(3) ? 0 : NLM_F_APPEND) | (handle && one_in(2) ? NLM_F_REPLACE : 0));
	put_text(NFTA_RULE_TABLE, "t"), put_text(NFTA_RULE_CHAIN, chain_names[rule_chain]);
	if (handle)
		put_be64(one_in(2) ? NFTA_RULE_HANDLE : NFTA_RULE_POSITION, pick(12));
	if (one_in(10))
		put_be32(NFTA_RULE_ID, pick(4));
	begin_nest(NFTA_RULE_EXPRESSIONS);
	for (int i = pick(3); i > 0; i--) {
		int reg = a_register(), size = put_source(reg);
		for (int n = 1 + one_in(4); n > 0; n--)
			put_test(reg, size);
	}
	for (int i = 1 + pick(2); i > 0; i--)
		put_deed();
	end_nest();
	end_message();
}

static void put_removal(void)
{
	static const uint8_t kinds[] = { NFT_MSG_DELRULE, NFT_MSG_DELRULE, NFT_MSG_DELCHAIN, NFT_MSG_DELSET, NFT_MSG_DELOBJ, NFT_MSG_DELTABLE };
	int kind = kinds[pick(COUNT(kinds))], handle;
	begin_change(one_in(4) ? kind + (kind == NFT_MSG_DELOBJ ? 11 : kind == NFT_MSG_DELTABLE ? 24 : 0) : kind, one_in(6) ? NLM_F_NONREC : 0);
	if (!(kind == NFT_MSG_DELTABLE && one_in(3)))
		put_text(1, one_in(3) ? a_table() : "t");
	switch (kind) {
	case NFT_MSG_DELCHAIN: put_text(NFTA_CHAIN_NAME, chain_names[a_chain()]); break;
	case NFT_MSG_DELSET: put_text(NFTA_SET_NAME, set_names[a_set()]); break;
	case NFT_MSG_DELOBJ: handle = an_object(), put_text(NFTA_OBJ_NAME, object_names[handle]), put_be32(NFTA_OBJ_TYPE, 1 << handle); break;
	case NFT_MSG_DELRULE:
		if (!one_in(4))
			put_text(NFTA_RULE_CHAIN, chain_names[a_chain()]);
		if (one_in(2))
			put_be64(NFTA_RULE_HANDLE, pick(14));
	}
	end_message();
}

static void put_change(void)
{
	switch (pick(16)) {
	case 0: put_table(); break;
	case 1: case 2: put_chain(); break;
	case 3: case 4: put_set(); break;
	case 5: case 6: case 7: put_elements(NFT_MSG_NEWSETELEM); break;
	case 8: put_elements(one_in(3) ? NFT_MSG_DELSETELEM + 16 : NFT_MSG_DELSETELEM); break;
	case 9: put_object(); break;
	case 10: put_removal(); break;
	default: put_rule();
	}
}

static void ask_wall(void)
{
	static const uint8_t kinds[] = { NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETRULE, NFT_MSG_GETSET, NFT_MSG_GETOBJ,
		NFT_MSG_GETGEN, 21, 23, 25 };
	int dumps = one_in(4) ? 0 : NLM_F_DUMP;
	if (one_in(4)) {
		put_elements(one_in(3) ? 33 : NFT_MSG_GETSETELEM);
		if (one_in(2))
			made_bytes[message_start + 7] |= NLM_F_DUMP >> 8;
	} else {
		int kind = kinds[pick(COUNT(kinds))];
		begin_change(kind, dumps);
		if (one_in(2) || !dumps) {
			put_text(1, "t");
			put_text(kind == NFT_MSG_GETSET || kind == NFT_MSG_GETRULE || kind == 25 ? 2 : kind == NFT_MSG_GETCHAIN ? 3 : 2,
				kind == NFT_MSG_GETSET ? set_names[a_set()] : kind == NFT_MSG_GETOBJ || kind == 21 ? object_names[pick(4)] : chain_names[a_chain()]);
		}
		end_message();
	}
	send_made(wall.socket);
}

/* ---- Connections ---- */

static void put_tuple(int kind)
{
	int protocol = ONE_OF(17, 17, 6, 1, 132), v6 = one_in(5);
	uint32_t from[4] = { v6 ? 0 : be32(an_address4()), 0, 0, be32(1) }, to[4] = { v6 ? 0 : be32(an_address4()), 0, 0, be32(1) };
	begin_nest(kind);
	begin_nest(CTA_TUPLE_IP);
	attribute(v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, from, v6 ? 16 : 4), attribute(v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, to, v6 ? 16 : 4);
	end_nest();
	begin_nest(CTA_TUPLE_PROTO);
	put_u8(CTA_PROTO_NUM, protocol);
	if (protocol == 1)
		put_be16(CTA_PROTO_ICMP_ID, 1), put_u8(CTA_PROTO_ICMP_TYPE, 8), put_u8(CTA_PROTO_ICMP_CODE, 0);
	else
		put_be16(CTA_PROTO_SRC_PORT, a_port()), put_be16(CTA_PROTO_DST_PORT, a_port());
	end_nest();
	end_nest();
}

static void ask_connections(void)
{
	uint8_t header[4] = { ONE_OF(2, 2, 2, 10, 0) };
	int kind = ONE_OF(0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7);
	int expects = one_in(12) ? NFNL_SUBSYS_CTNETLINK_EXP : NFNL_SUBSYS_CTNETLINK;
	begin_message(expects << 8 | kind, kind == 0 ? NLM_F_CREATE | (one_in(3) ? NLM_F_EXCL : 0) : one_in(2) ? NLM_F_DUMP : 0, header, 4);
	if (kind == 0 || !one_in(3)) {
		put_tuple(CTA_TUPLE_ORIG);
		if (kind == 0 && !one_in(3))
			put_tuple(CTA_TUPLE_REPLY);
	}
	if (kind == 0) {
		put_be32(CTA_TIMEOUT, ONE_OF(0, 1, 10, 600, 0x7fffffff, 0xffffffff));
		if (one_in(2))
			put_be32(CTA_STATUS, ONE_OF(8, 0xe, 4, 0x100, 0x3fff)), put_be32(CTA_MARK, edge());
		if (one_in(3)) {
			begin_nest(CTA_PROTOINFO), begin_nest(CTA_PROTOINFO_TCP);
			put_u8(CTA_PROTOINFO_TCP_STATE, ONE_OF(1, 3, 7, 8, 9, 12));
			put_u16(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, edge()), put_u16(CTA_PROTOINFO_TCP_FLAGS_REPLY, edge());
			end_nest(), end_nest();
		}
		if (one_in(3)) {
			begin_nest(one_in(2) ? CTA_NAT_SRC : CTA_NAT_DST);
			put_be32(CTA_NAT_V4_MINIP, an_address4());
			if (one_in(2)) {
				begin_nest(CTA_NAT_PROTO);
				put_be16(CTA_PROTONAT_PORT_MIN, a_port()), put_be16(CTA_PROTONAT_PORT_MAX, edge());
				end_nest();
			}
			end_nest();
		}
	} else if (one_in(3)) {
		put_be32(CTA_MARK, pick(3)), put_be32(CTA_MARK_MASK, edge());
	} else if (one_in(3)) {
		put_be32(CTA_STATUS, edge()), put_be32(CTA_STATUS_MASK, edge());
	} else if (one_in(4)) {
		begin_nest(CTA_FILTER);
		put_be32(CTA_FILTER_ORIG_FLAGS, edge()), put_be32(CTA_FILTER_REPLY_FLAGS, 0);
		end_nest();
	}
	end_message();
	send_made(wall.socket);
}

static void begin_firewall(void)
{
	memset(&wall, 0, sizeof wall);
	wall.family = ONE_OF(1, 1, 2, 2, 2, 10);
	begin_traffic();
	wall.socket = netlink_socket(NETLINK_NETFILTER, 0);
	if (one_in(3))
		wall.watcher = netlink_socket(NETLINK_NETFILTER, ONE_OF(0x40, 7, 0x47, 0x38));
	int wildness = chaos;
	chaos = 0; /* what the rest needs is right */
	begin_batch();
	put_table();
	for (int i = 1 + pick(5); i > 0; i--)
		put_chain();
	if (one_in(2))
		put_object();
	commit();
	chaos = wildness;
	for (int i = 1 + pick(4); i > 0; i--) {
		begin_batch();
		one_in(3) ? put_set() : put_rule();
		commit();
	}
}

static void firewall_deed(void)
{
	switch (pick(8)) {
	case 0: ask_wall(); break;
	case 1: ask_connections(); break;
	case 2: case 3: case 4: send_some(); break;
	default:
		begin_batch();
		for (int i = one_in(4) ? 1 + pick(6) : 1; i > 0 && made_size < 4000; i--)
			put_change();
		commit();
	}
}
