/* Programs for packets and sockets of groups, and filters of sockets: instructions that the verifier mostly passes, maps, and
 * packets that they judge. */

#define MOST_INSTRUCTIONS 200

static struct { struct value maps[3], programs[3], group; int map_count, program_count; int value_size[3]; } filter_state;
static uint64_t code[MOST_INSTRUCTIONS];
static int code_length, map_places[16], map_numbers[16], map_uses, program_type;

static void emit(int operation, int to, int from, int offset, int32_t constant)
{
	if (code_length >= MOST_INSTRUCTIONS - 20)
		return;
	if (chaos == 2 && one_in(60))
		switch (pick(4)) {
		case 0: operation = pick(256); break;
		case 1: to = pick(12); break;
		case 2: offset += (int)pick(9) - 4; break;
		default: constant = edge();
		}
	code[code_length++] = (uint64_t)(operation & 255) | (uint64_t)(to & 15) << 8 | (uint64_t)(from & 15) << 12
		| (uint64_t)(offset & 0xffff) << 16 | (uint64_t)(uint32_t)constant << 32;
}

/* A map into a register. */
static void emit_map(int to, int which)
{
	if (map_uses < 16 && code_length < MOST_INSTRUCTIONS - 20) {
		map_places[map_uses] = code_length;
		map_numbers[map_uses++] = which;
	}
	emit(0x18, to, 1, 0, 0);
	emit(0, 0, 0, 0, 0);
}

static void emit_sum(void)
{
	static const uint8_t operations[] = { 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x57, 0x67, 0x77, 0x87, 0x97, 0x9f, 0xa7, 0xaf, 0xb7, 0xbf, 0xc7,
		0x04, 0x0c, 0x14, 0x24, 0x34, 0x3c, 0x54, 0x64, 0x6c, 0x74, 0x84, 0x94, 0xa4, 0xb4, 0xbc, 0xc4, 0xd4, 0xdc };
	int operation = operations[pick(COUNT(operations))], kind = operation & 0xf0;
	int shift = kind == 0x60 || kind == 0x70 || kind == 0xc0;
	int32_t constant = shift ? pick(operation & 3 ? 64 : 32) & ((operation & 7) == 4 ? 31 : 63) : (kind == 0x30 || kind == 0x90) ? 1 + pick(9) : edge();
	if (kind == 0xd0)
		constant = 16 << pick(3);
	int by_register = operation & 8;
	emit(operation, 7 + pick(3), by_register && kind != 0xd0 ? 7 + pick(3) : 0, 0, kind == 0x80 || (by_register && kind != 0xd0) ? 0 : constant);
}

/* A jump over what comes; `end_jump` says how far. */
static int emit_jump(int operation, int to, int from, int32_t constant)
{
	emit(operation, to, from, 0, constant);
	return code_length - 1;
}

static void end_jump(int place)
{
	if (place >= 0)
		code[place] = (code[place] & ~0xffff0000ull) | (uint64_t)((code_length - place - 1) & 0xffff) << 16;
}

static void emit_packet_bytes(void)
{
	int offset = pick(44), width = 1 << pick(3), place;
	emit(0x61, 2, 6, 76, 0);
	emit(0x61, 3, 6, 80, 0);
	emit(0xbf, 4, 2, 0, 0);
	emit(0x07, 4, 0, 0, offset + width - (chaos == 2 && one_in(20)));
	place = emit_jump(0x2d, 4, 3, 0);
	emit(width == 1 ? 0x71 : width == 2 ? 0x69 : 0x61, 7, 2, offset, 0);
	if (one_in(3)) { /* at a place that the packet says */
		emit(0x57, 7, 0, 0, 15);
		emit(0x0f, 2, 7, 0, 0);
		emit(0xbf, 4, 2, 0, 0);
		emit(0x07, 4, 0, 0, 4);
		int inner = emit_jump(0x2d, 4, 3, 0);
		emit(0x61, 8, 2, 0, 0);
		end_jump(inner);
	}
	end_jump(place);
}

/* The loads of classic programs, which filters of sockets have. */
static void emit_look(void)
{
	static const int starts[] = { 0, 0, 0, -0x100000, -0x200000, -0x1000 };
	int size = ONE_OF(0x00, 0x08, 0x10), offset = starts[pick(COUNT(starts))] + (int)pick(44);
	if (one_in(3)) {
		emit(0x57, 7, 0, 0, 63);
		emit(0x40 | size, 0, 7, 0, offset);
	} else
		emit(0x20 | size, 0, 0, 0, offset);
	emit(0xbf, 7 + pick(3), 0, 0, 0);
}

/* What a filter wants to know beside the packet. */
static void emit_whose(void)
{
	emit(0xbf, 1, 6, 0, 0);
	if (one_in(2)) {
		emit(0x85, 0, 0, 0, ONE_OF(46, 47));
	} else {
		emit(0xb7, 2, 0, 0, ONE_OF(0, 9, 20, 60000, 70000));
		emit(0xbf, 3, 10, 0, 0);
		emit(0x07, 3, 0, 0, -16);
		emit(0xb7, 4, 0, 0, ONE_OF(1, 4, 8, 16));
		emit(0xb7, 5, 0, 0, ONE_OF(0, 1, 2));
		emit(0x85, 0, 0, 0, 68);
	}
	emit(0xbf, 7 + pick(3), 0, 0, 0);
}

/* What a program for sockets sees, and what it may change. */
static void emit_socket(void)
{
	static const uint8_t fields[] = { 0, 4, 8, 12, 16, 20, 24, 28, 44, 48, 52, 72, 76 };
	emit(0x61, 7 + pick(3), 6, fields[pick(one_in(3) ? COUNT(fields) : 6)], 0);
	if (one_in(2))
		emit(0x63, 6, 7 + pick(3), ONE_OF(0, 16, 20), 0);
}

static void emit_map_use(void)
{
	if (filter_state.map_count == 0)
		return;
	int which = pick(filter_state.map_count), place;
	emit(0x62, 10, 0, -4, ONE_OF(0, 1, 3, 7));
	emit_map(1, which);
	emit(0xbf, 2, 10, 0, 0);
	emit(0x07, 2, 0, 0, -4);
	switch (pick(5)) {
	case 0:
		for (int at = 8; at <= 8 + (filter_state.value_size[which] & ~7); at += 8)
			emit(0x7a, 10, 0, -8 - at, 5);
		emit(0xbf, 3, 10, 0, 0);
		emit(0x07, 3, 0, 0, -8 - (8 + (filter_state.value_size[which] & ~7)) + (chaos == 2 && one_in(10) ? 8 : 0));
		emit(0xb7, 4, 0, 0, ONE_OF(0, 1, 2));
		emit(0x85, 0, 0, 0, 2);
		break;
	case 1:
		emit(0x85, 0, 0, 0, 3);
		break;
	default:
		emit(0x85, 0, 0, 0, 1);
		place = emit_jump(0x15, 0, 0, 0);
		if (one_in(3)) { /* a place in the value that a register says */
			emit(0x57, 8, 0, 0, filter_state.value_size[which] > 8 ? 8 : 0);
			emit(0x0f, 0, 8, 0, 0);
		}
		if (one_in(2))
			emit(0xdb, 0, 7, 0, ONE_OF(0, 1, 0x40, 0x50, 0xa0, 0xe1, 0xf1));
		else
			emit(0x79, 7, 0, 0, 0), emit(0x07, 7, 0, 0, 1), emit(0x7b, 0, 7, 0, 0);
		end_jump(place);
	}
}

static void emit_part(void)
{
	static const uint8_t jumps[] = { 0x15, 0x25, 0x35, 0x45, 0x55, 0x65, 0x75, 0xa5, 0xb5, 0xc5, 0xd5, 0x16, 0x26, 0x56, 0x66, 0xc6, 0x1d, 0x2d, 0x3d, 0x5d, 0x6d, 0xad,
		0xcd, 0x1e, 0xae };
	static const uint8_t fields[] = { 0, 0, 4, 16, 16, 20, 24, 28, 36, 40, 48, 52, 56, 60, 64 };
	int place, start;
	int which = pick(9);
	if ((which == 0 || which == 4) && !one_in(10)) /* the kernel lets a program for packets neither look at them itself nor loop */
		which = 7;
	if (program_type == 1 && (which == 5 || which == 7) && one_in(2)) {
		if (one_in(2))
			emit_look();
		else
			emit_whose();
		return;
	}
	if (program_type == 9 && (which == 5 || which == 7)) {
		emit_socket();
		return;
	}
	switch (which) {
	case 0: emit_packet_bytes(); break;
	case 1: case 2: emit_map_use(); break;
	case 3:
		place = emit_jump(jumps[pick(COUNT(jumps))], 7 + pick(3), 0, edge());
		if (place >= 0 && code[place] & 8)
			code[place] = (code[place] & 0xffff0fffull) | 9 << 12;
		for (int i = 1 + pick(4); i > 0; i--)
			emit_sum();
		end_jump(place);
		break;
	case 4: /* a loop that ends */
		emit(0xb7, 9, 0, 0, 0);
		start = code_length;
		if (one_in(2))
			emit_sum();
		else
			emit(0x0f, 7, 9, 0, 0);
		emit(0x07, 9, 0, 0, 1);
		emit(0xa5, 9, 0, start - code_length - 1, ONE_OF(2, 10, 100));
		break;
	case 5:
		emit(0x61, 7 + pick(3), 6, is_odd() ? pick(200) : fields[pick(COUNT(fields))], 0);
		if (is_odd())
			emit(0x63, 6, 7, ONE_OF(8, 32, 48, 52, 60), 0);
		break;
	case 6:
		emit(0x85, 0, 0, 0, ONE_OF(5, 7, 8, 125, 42));
		emit(0xbf, 7, 0, 0, 0);
		break;
	case 7: /* bytes of the packet by a call */
		emit(0xbf, 1, 6, 0, 0);
		emit(0xb7, 2, 0, 0, ONE_OF(0, 9, 20, 60000));
		emit(0xbf, 3, 10, 0, 0);
		emit(0x07, 3, 0, 0, -16);
		emit(0xb7, 4, 0, 0, ONE_OF(1, 4, 8, 16));
		emit(0x85, 0, 0, 0, 26);
		break;
	default:
		emit(0x7b, 10, 7 + pick(3), -8 - 8 * (int)pick(8), 0);
		emit_sum(), emit_sum();
	}
}

static void make_map(void)
{
	int which = filter_state.map_count < 3 ? filter_state.map_count++ : (int)pick(3);
	int kind = ONE_OF(1, 1, 2, 2, 2), size = ONE_OF(8, 8, 16, 64);
	uint32_t attributes[20] = { kind, 4, size, ONE_OF(1, 4, 8, 100), kind == 1 ? pick(2) : 0 };
	filter_state.value_size[which] = size;
	filter_state.maps[which] = STEP(SYS_bpf, N(0), N(keep_bytes(attributes, sizeof attributes)), N(sizeof attributes));
}

static void load_program(void)
{
	code_length = map_uses = 0;
	program_type = ONE_OF(8, 8, 8, 15, 1, 1, 9);
	emit(0xbf, 6, 1, 0, 0);
	for (int i = 7; i < 10; i++)
		emit(0xb7, i, 0, 0, i == 8 ? 0 : edge());
	for (int i = 1 + pick(7); i > 0; i--)
		emit_part();
	code[code_length++] = 0xb7 | (uint64_t)(one_in(6) ? 0 : one_in(12) ? pick(5) : 1) << 32;
	code[code_length++] = 0x95;
	uint64_t at = keep_bytes(code, 8 * code_length);
	for (int i = 0; i < map_uses; i++)
		keep_store(STORE_VALUE, at + 8 * map_places[i] + 4, filter_state.maps[map_numbers[i]], 4);
	struct { uint32_t kind, count; uint64_t code, license; uint32_t level, size; uint64_t log; uint32_t version, flags; char name[16]; uint32_t index, attach; } load = {
		program_type, code_length, at, keep_string("GPL"), 0, 0, 0, 0, ONE_OF(0, 0, 0, 1, 2), "fuzz", 0,
		program_type == 9 ? ONE_OF(0, 2, 12, 13, 34) : pick(2) };
	if (one_in(4))
		load.level = ONE_OF(1, 2, 4), load.size = ONE_OF(4096, 128, 70000), load.log = place(4096);
	struct value program = STEP(SYS_bpf, N(5), N(keep_bytes(&load, sizeof load)), N(sizeof load));
	filter_state.programs[filter_state.program_count < 3 ? filter_state.program_count++ : (int)pick(3)] = program;
}

static struct value a_filter(void) { return filter_state.program_count ? filter_state.programs[pick(filter_state.program_count)] : N(-1); }
static struct value a_map(void) { return filter_state.map_count ? filter_state.maps[pick(filter_state.map_count)] : N(-1); }

static void attach(int command)
{
	uint32_t attributes[8] = { 0, 0, ONE_OF(0, 1, 1, 0, 6, 2, 12, 34), ONE_OF(0, 2, 2, 1, 6) };
	uint64_t at = keep_bytes(attributes, sizeof attributes);
	keep_store(STORE_VALUE, at, filter_state.group, 4);
	keep_store(STORE_VALUE, at + 4, a_filter(), 4);
	if (one_in(6))
		keep_store(STORE_VALUE, at + 16, a_filter(), 4);
	STEP(SYS_bpf, N(command), N(at), N(32));
}

static void use_map(void)
{
	struct { uint64_t map, key, value, flags; } use = { 0, keep_bytes((uint64_t[]){ pick(5) }, 8), place(128), ONE_OF(0, 0, 1, 2) };
	uint64_t at = keep_bytes(&use, sizeof use);
	keep_store(STORE_VALUE, at, a_map(), 4);
	STEP(SYS_bpf, N(ONE_OF(1, 2, 2, 3, 4)), N(at), N(32));
}

static uint64_t a_pin(void)
{
	static const char *const names[] = { "bfz/a", "bfz/b", "bfz/dz0/a", "bfz/m0", "bfz/none/a" };
	return keep_string(names[pick(COUNT(names))]);
}

static void pin_one(void)
{
	uint32_t attributes[5] = { 0 };
	uint64_t name = a_pin(), at = keep_bytes(attributes, sizeof attributes);
	keep_store(STORE_VALUE, at, N(name), 8);
	keep_store(STORE_VALUE, at + 8, one_in(2) ? a_filter() : a_map(), 4);
	STEP(SYS_bpf, N(6), N(at), N(20));
}

static void get_one(void)
{
	uint32_t attributes[5] = { 0, 0, 0, ONE_OF(0, 0, 0, 8, 16) };
	uint64_t name = a_pin(), at = keep_bytes(attributes, sizeof attributes);
	keep_store(STORE_VALUE, at, N(name), 8);
	struct value got = STEP(SYS_bpf, N(7), N(at), N(20));
	if (one_in(2) && filter_state.map_count)
		filter_state.maps[pick(filter_state.map_count)] = got;
	else if (filter_state.program_count)
		filter_state.programs[pick(filter_state.program_count)] = got;
}

static void begin_filters(void)
{
	memset(&filter_state, 0, sizeof filter_state);
	filter_state.group = opened(one_in(4) ? "cgz" : "cgz/a", O_RDONLY | O_DIRECTORY, FD_DIRECTORY);
	begin_traffic();
	for (int i = pick(3); i > 0; i--)
		make_map();
	load_program();
	attach(8);
}

static void filters_deed(void)
{
	uint8_t packet[64] = { 0x45 };
	switch (pick(18)) {
	case 0: make_map(); break;
	case 14: pin_one(); break;
	case 15: get_one(); break;
	case 16: STEP(one_in(2) ? SYS_unlink : SYS_rmdir, N(a_pin())); break;
	case 17: STEP(one_in(2) ? SYS_rename : SYS_link, N(a_pin()), N(a_pin())); break;
	case 1: case 2: load_program(); break;
	case 3: case 4: attach(one_in(4) ? 9 : 8); break;
	case 5: use_map(); break;
	case 6: { /* a trial run */
		struct { uint32_t program, result, in_size, out_size; uint64_t in, out; uint32_t repeat, duration; uint64_t more[4]; } test = {
			0, 0, one_in(3) ? pick(64) : 64, one_in(2) ? 64 : 0, keep_bytes(packet, 64), place(64), ONE_OF(0, 1, 3) };
		uint64_t at = keep_bytes(&test, sizeof test);
		keep_store(STORE_VALUE, at, a_filter(), 4);
		STEP(SYS_bpf, N(10), N(at), N(sizeof test));
		break;
	}
	case 7: { /* a question about it */
		uint32_t question[10] = { 0, ONE_OF(0, 240, 88, 64) };
		uint64_t into = place(240), at = keep_bytes(question, sizeof question);
		keep_store(STORE_VALUE, at, one_in(2) ? a_filter() : a_map(), 4);
		keep_store(STORE_VALUE, at + 8, N(into), 8);
		STEP(SYS_bpf, N(15), N(at), N(16));
		break;
	}
	case 9:
	case 10: { /* a socket's filter */
		struct value socket_ = one_in(2) ? traffic.udp4 : one_in(2) ? traffic.listener : one_in(2) ? traffic.stream : traffic.raw;
		uint64_t at = keep_bytes((uint64_t[]){ 0 }, 8);
		keep_store(STORE_VALUE, at, a_filter(), 4);
		STEP(SYS_setsockopt, socket_, N(SOL_SOCKET), N(one_in(5) ? 27 : 50), N(at), N(4));
		break;
	}
	case 8:
		STEP(SYS_close, one_in(2) ? a_filter() : a_map());
		break;
	default: send_some();
	}
}
