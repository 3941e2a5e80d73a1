/* Covers: BPF_PROG_TEST_RUN: which types of programs it runs, what they see and return, what is written back, in what order errors come. */
#define _GNU_SOURCE
#include "bpf_case.h"

#define SOCKET_FILTER 1
#define CGROUP_SKB 8
#define CGROUP_SOCK 9
#define TEST_RUN 10
#define CONTEXT 192

static uint8_t frame[5000], seen[5000], context[5000], context_seen[5000];

/* The attributes of a run; what is to be different is changed afterwards. */
static void prepare(int program, unsigned size)
{
	fresh();
	put32(0, (uint32_t)program); put32(4, 77); put32(8, size); put_address(16, frame);
	memset(seen, 0xee, sizeof seen);
	memset(context_seen, 0xee, sizeof context_seen);
}

static void with_output(unsigned size) { put32(12, size); put_address(24, seen); }
static void with_context(unsigned size) { put32(40, size); put_address(48, context); }
static void with_context_output(unsigned size) { put32(44, size); put_address(56, context_seen); }

static void run(const char *what)
{
	errno = 0;
	long result = bpf(TEST_RUN, 76);
	printf("%s: %ld %s, answer %#x, %u bytes, context of %u\n", what, result, result < 0 ? error_name(errno) : "", get32(4), get32(12), get32(44));
}

static void show_seen(const uint8_t *bytes, unsigned from, unsigned to)
{
	for (unsigned at = from; at < to; at++)
		printf("%02x%s", bytes[at], at + 1 == to || (at - from) % 32 == 31 ? "\n" : "");
}

static int load_one(int type, const struct insn *program, unsigned count, int map)
{
	return (int)MUST(load_at(type, type == CGROUP_DEVICE ? 6 : 0, program, count, map));
}

/* One that returns a word of its context. */
static int reader(int type, int offset)
{
	struct insn program[] = { LDW(0, 1, offset), EXIT };
	return load_one(type, program, COUNT(program), 0);
}

static void types(void)
{
	static const struct insn one[] = { MOV(0, 1), EXIT };
	static const struct insn word[] = { MOV(0, -2), EXIT };
	puts("--- types");
	for (int size = 14; size < 16; size++) {
		for (int type = 0; type < 4; type++) {
			static const int types[] = { SOCKET_FILTER, CGROUP_SKB, CGROUP_SOCK, CGROUP_DEVICE };
			int program = (int)load_at(types[type], types[type] == CGROUP_DEVICE ? 6 : types[type] == CGROUP_SOCK ? 2 : 0, one, COUNT(one), 0);
			prepare(program, (unsigned)size);
			run("one");
			close(program);
		}
	}
	int program = load_one(SOCKET_FILTER, word, COUNT(word), 0);
	prepare(program, 60);
	run("word");
	close(program);
}

static void what_it_sees(void)
{
	static const int offsets[] = { 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 64, 68, 164, 176 };
	static const unsigned kinds[] = { 0x0800, 0x86dd, 0x0806, 0x1234, 0x05ff, 0x0600, 0x0000, 46 };
	puts("--- what it sees");
	memset(context, 0, sizeof context);
	for (unsigned i = 0; i < COUNT(offsets); i++) {
		int program = reader(SOCKET_FILTER, offsets[i]);
		printf("at %d ", offsets[i]);
		prepare(program, 60);
		run("word");
		for (unsigned kind = 0; kind < COUNT(kinds) && offsets[i] == 16; kind++) {
			frame[12] = (uint8_t)(kinds[kind] >> 8), frame[13] = (uint8_t)kinds[kind];
			prepare(program, 60);
			run("protocol");
			frame[14] = frame[15] = 0xff;
			prepare(program, 60);
			run("protocol of ff");
			prepare(program, 15);
			run("protocol of 1 byte");
			for (unsigned size = 33; size < 55; size += size == 34 ? 19 : 1) {
				prepare(program, size);
				run("protocol of a short header");
			}
			frame[14] = frame[15] = 0;
		}
		for (int first = 0; first < 4 && offsets[i] == 4; first++) {
			frame[0] = (uint8_t)first;
			prepare(program, 60);
			run("kind");
			memset(frame, 0xff, 6);
			prepare(program, 60);
			run("kind of ff");
			memset(frame, 0, 6);
		}
		memset(frame, 0, 14);
		close(program);
	}
	/* Bytes: from where it looks with a load of classic BPF, and with helpers. */
	for (unsigned at = 0; at < sizeof frame; at++)
		frame[at] = (uint8_t)(at * 7 + 1);
	static const int places[] = { 0, 1, 42, 43, 45, 46, -0x100000, -0x100000 + 3, -0x200000, -0x200000 + 10, -0x200000 + 57, -1 };
	for (unsigned i = 0; i < COUNT(places); i++) {
		struct insn look[] = { MOVR(6, 1), INSN(0x20, 0, 0, 0, places[i]), EXIT };
		int program = load_one(SOCKET_FILTER, look, COUNT(look), 0);
		printf("from %d ", places[i]);
		prepare(program, 60);
		run("word");
		close(program);
		struct insn copy[] = { MOV(2, places[i]), MOVR(3, 10), ADD(3, -8), MOV(4, 4), CALL(26), LDW(0, 10, -8), EXIT };
		program = load_one(SOCKET_FILTER, copy, COUNT(copy), 0);
		printf("copied from %d ", places[i]);
		prepare(program, 60);
		run("word");
		close(program);
	}
	static const struct insn uid[] = { CALL(47), EXIT };
	int program = load_one(SOCKET_FILTER, uid, COUNT(uid), 0);
	prepare(program, 60);
	run("user");
	close(program);
	static const struct insn cookie[] = { CALL(46), JEQ(0, 0, 1), MOV(0, 1), EXIT };
	program = load_one(SOCKET_FILTER, cookie, COUNT(cookie), 0);
	prepare(program, 60);
	run("has a cookie");
	close(program);
}

static void what_is_written(void)
{
	static const struct insn leave[] = { LDW(0, 1, 48), STW(1, 48, 0x1234), STW(1, 64, 5), EXIT };
	int program = load_one(SOCKET_FILTER, leave, COUNT(leave), 0);
	puts("--- what is written");
	memset(context, 0, sizeof context);
	for (unsigned i = 0; i < 4; i++) {
		static const unsigned rooms[] = { 0, 1, 60, 100 };
		prepare(program, 60);
		with_output(rooms[i]);
		run("output");
		show_seen(seen, 0, 64);
	}
	prepare(program, 60);
	put32(12, 10);
	run("room without an address");
	for (unsigned i = 0; i < 5; i++) {
		static const unsigned rooms[] = { 1, 64, 192, 193, 4000 };
		prepare(program, 60);
		with_context_output(rooms[i]);
		run("context");
		show_seen(context_seen, 0, 200);
	}
	memset(context + 48, 9, 20);
	memset(context + 8, 3, 4);
	memset(context + 32, 4, 8);
	memset(context + 152, 2, 8);
	for (unsigned i = 0; i < 7; i++) {
		static const unsigned sizes[] = { 1, 8, 50, 100, 192, 193, 4096 };
		prepare(program, 60);
		with_context(sizes[i]);
		with_context_output(192);
		run("context");
		show_seen(context_seen, 0, 192);
	}
	memset(context, 0, sizeof context);
	/* Which bytes may be set. */
	for (unsigned at = 0; at < 200; at++) {
		context[at] = 1;
		prepare(program, 60);
		with_context(200);
		with_context_output(192);
		errno = 0;
		long result = bpf(TEST_RUN, 76);
		printf("%s%s", result < 0 ? error_name(errno) : "ok", at % 16 == 15 ? "\n" : " ");
		context[at] = 0;
	}
	putchar('\n');
	for (unsigned i = 0; i < 6; i++) {
		static const uint32_t wires[] = { 45, 46, 47, 65535, 65536, 65537 };
		prepare(program, 60);
		memcpy(context + 160, &wires[i], 4);
		with_context(192);
		with_context_output(192);
		run("length on the wire");
		show_seen(context_seen, 152, 192);
	}
	memset(context, 0, sizeof context);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t segments[] = { 1, 65535, 65536, 0xffffffff };
		prepare(program, 60);
		memcpy(context + 164, &segments[i], 4);
		memcpy(context + 176, &segments[i], 4);
		with_context(192);
		with_context_output(192);
		run("segments");
		show_seen(context_seen, 152, 192);
	}
	memset(context, 0, sizeof context);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t devices[] = { 1, 999, 0x80000000 };
		prepare(program, 60);
		memcpy(context + 40, &devices[i], 4);
		with_context(192);
		with_context_output(192);
		run("device");
		show_seen(context_seen, 32, 48);
	}
	memset(context, 0, sizeof context);
	close(program);
}

static void repeated(void)
{
	static const struct insn count[] = { LDW(0, 1, 48), ADD(0, 1), STXW(1, 48, 0), EXIT };
	int program = load_one(SOCKET_FILTER, count, COUNT(count), 0);
	puts("--- repeated");
	for (unsigned i = 0; i < 4; i++) {
		static const unsigned times[] = { 0, 1, 2, 1000 };
		prepare(program, 60);
		put32(32, times[i]);
		with_context_output(192);
		run("times");
		show_seen(context_seen, 48, 68);
	}
	close(program);
}

static void errors(void)
{
	static const struct insn one[] = { MOV(0, 1), EXIT };
	int program = load_one(CGROUP_SKB, one, COUNT(one), 0), map = (int)MUST(create_map(2, 4, 4, 1, 0));
	int device = load_one(CGROUP_DEVICE, one, COUNT(one), 0);
	static const unsigned sizes[] = { 0, 13, 14, 3711, 3712, 3713, 3776, 3777, 4096, 0xffffffff };
	puts("--- errors");
	memset(context, 0, sizeof context);
	for (unsigned i = 0; i < COUNT(sizes); i++) {
		printf("%u ", sizes[i]);
		prepare(program, sizes[i]);
		run("bytes");
	}
	prepare(program, 60); put_address(16, 0); run("no bytes");
	prepare(program, 13); put_address(16, 0); run("no bytes, few");
	prepare(program, 60); put_address(16, (void *)8); run("bad bytes");
	prepare(-1, 60); run("no program");
	prepare(map, 60); run("a map");
	prepare(device, 60); run("another type");
	prepare(device, 60); put32(40, 8); run("another type, size without context");
	prepare(-1, 60); put32(40, 8); run("no program, size without context");
	prepare(-1, 60); put_address(48, context); run("no program, context without size");
	prepare(-1, 60); put32(44, 8); run("no program, size without output");
	prepare(-1, 60); put_address(56, context); run("no program, output without size");
	prepare(-1, 60); put32(76, 1); errno = 0; SHOW(bpf(TEST_RUN, 80));
	prepare(program, 60); put32(76, 1); SHOW(bpf(TEST_RUN, 80));
	prepare(program, 60); SHOW(bpf(TEST_RUN, 36));
	for (int bit = 0; bit < 32; bit += bit < 4 ? 1 : 9) {
		prepare(program, 60);
		put32(64, 1u << bit);
		run("flag");
	}
	prepare(program, 60); put32(68, 1); run("processor");
	prepare(program, 60); put32(72, 1); run("batch");
	prepare(program, 13); put32(72, 1); run("batch, few bytes");
	prepare(program, 60); with_context(4097); run("large context");
	prepare(program, 60); with_context(8); put_address(48, (void *)8); run("bad context");
	prepare(program, 60); put_address(16, 0); with_context(4097); run("no bytes, large context");
	prepare(program, 60); with_output(0); put_address(24, (void *)8); run("bad output");
	prepare(program, 60); with_output(10); put_address(24, (void *)8); run("bad output, small");
	prepare(program, 60); with_context_output(192); put_address(56, (void *)8); run("bad output of the context");
	prepare(program, 60); with_output(10); with_context_output(10); run("both too small");
	show_seen(context_seen, 0, 12);
	context[0] = 1;
	prepare(program, 60); with_context(192); context[40] = 99; run("device, and what must not be set");
	context[0] = 0, context[40] = 0;
	close(program);
}

int main(void)
{
	types();
	what_it_sees();
	what_is_written();
	repeated();
	errors();
	return 0;
}
