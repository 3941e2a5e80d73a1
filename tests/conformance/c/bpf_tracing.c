/* Covers: bpf (PROG_LOAD, LINK_CREATE, OBJ_GET_INFO_BY_FD), perf_event_open, ioctl (PERF_EVENT_IOC_SET_BPF,
 * PERF_EVENT_IOC_QUERY_BPF): programs at tracepoints and for samples. */
#define _GNU_SOURCE
#include "bpf_case.h"
#include "perf_case.h"

enum { HASH = 1, ARRAY = 2, EVENTS = 4, TRACEPOINT = 5, PERF_EVENT = 7, RAW_TRACEPOINT = 17, SOCKET_FILTER = 1 };
enum { FOR_EVENT = 41 };
#define SIZE(width) ((width) == 8 ? 0x18 : (width) == 4 ? 0 : (width) == 2 ? 8 : 0x10)
#define LOADING(width, off) INSN(0x61 | SIZE(width), 0, 1, off, 0)

static const struct insn one[] = { MOV(0, 1), EXIT }, none[] = { MOV(0, 0), EXIT }, two[] = { MOV(0, 2), EXIT };
/* Counts by process, in a hash table. */
static const struct insn counting[] = {
    CALL(14), INSN(0x77, 0, 0, 0, 32), STXW(10, -4, 0), STDW(10, -16, 1), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(1), JNE(0, 0, 10),
    MAP(1), MOVR(2, 10), ADD(2, -4), MOVR(3, 10), ADD(3, -16), MOV(4, 1), CALL(2), MOV(0, 1), EXIT, MOV(1, 1), INSN(0xdb, 0, 1, 0, 0), MOV(0, 1), EXIT,
};

static int counting_jump_fits[COUNT(counting) == 24 ? 1 : -1];

static int opened(const char *name, pid_t pid, int cpu, uint64_t period)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = tracepoint(name),
		.sample_period = period, .sample_type = PERF_SAMPLE_RAW};
	return (int)MUST(event_open(&attr, pid, cpu, -1, 0));
}

static const char *set(int event, int program) { return said(ioctl(event, PERF_EVENT_IOC_SET_BPF, program)); }

static void accesses(void)
{
	static const int widths[] = {1, 2, 4, 8}, places[] = {0, 4, 7, 8, 9, 10, 12, 64, 88, 95, 96, 160, 168, 172, 175, 176, 183, 184, 8184, 8191, 8192};
	static const int types[] = {TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT};
	for (unsigned t = 0; t < COUNT(types); t++)
		for (unsigned p = 0; p < COUNT(places); p++) {
			printf("type %d, place %d:", types[t], places[p]);
			for (unsigned w = 0; w < COUNT(widths); w++) {
				struct insn load_it[] = {LOADING(widths[w], places[p]), EXIT};
				long fd = load(types[t], load_it, COUNT(load_it), -1);
				struct insn store_it[] = {MOV(0, 0), INSN(0x63 | SIZE(widths[w]), 1, 0, places[p], 0), EXIT};
				long other = load(types[t], store_it, COUNT(store_it), -1);
				printf(" %s", said(fd));
				printf("/%s", said(other));
				if (fd >= 0)
					close((int)fd);
				if (other >= 0)
					close((int)other);
			}
			printf("\n");
		}
}

static void rights(void)
{
	static const int types[] = {TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT};
	for (unsigned t = 0; t < COUNT(types); t++) {
		IN_CHILD(MUST(setuid(1000)); SHOW(load(types[t], one, COUNT(one), -1)));
		SHOW(load(types[t], two, COUNT(two), -1) >= 0);
	}
}

static void helpers(int events, int array)
{
	static const int numbers[] = {1, 4, 5, 6, 7, 8, 14, 15, 16, 22, 25, 26, 42, 45, 46, 47, 55, 56, 80, 112, 113, 114, 115, 118, 125, 174};
	static const int types[] = {TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT, SOCKET_FILTER};
	for (unsigned i = 0; i < COUNT(numbers); i++) {
		int number = numbers[i];
		printf("helper %d:", number);
		for (unsigned t = 0; t < COUNT(types); t++) {
			struct insn plain[] = {CALL(number), MOV(0, 0), EXIT};
			struct insn room[] = {MOVR(1, 10), ADD(1, -16), MOV(2, 16), MOV(3, 0), CALL(number), MOV(0, 0), EXIT};
			struct insn text[] = {STDW(10, -16, 0x61), STDW(10, -8, 0), MOVR(1, 10), ADD(1, -16), MOV(2, 16), CALL(number), MOV(0, 0), EXIT};
			struct insn of_map[] = {MAP(1), MOV(2, 0), MOVR(3, 10), ADD(3, -24), MOV(4, 24), CALL(number), MOV(0, 0), EXIT};
			struct insn output[] = {STDW(10, -8, 1), MAP(2), MOV(3, 0), MOVR(4, 10), ADD(4, -8), MOV(5, 8), CALL(number), MOV(0, 0), EXIT};
			struct insn own[] = {MOVR(2, 10), ADD(2, -24), MOV(3, 24), CALL(number), MOV(0, 0), EXIT};
			struct insn find[] = {STW(10, -4, 0), MAP(1), MOVR(2, 10), ADD(2, -4), CALL(number), MOV(0, 0), EXIT};
			const struct insn *program = plain;
			unsigned count = COUNT(plain);
			int map = events;
			if (number == 1) program = find, count = COUNT(find), map = array;
			if (number == 4 || number == 45 || (number >= 112 && number <= 115) || number == 16) program = room, count = COUNT(room);
			if (number == 6) program = text, count = COUNT(text);
			if (number == 22 || number == 55) program = of_map, count = COUNT(of_map);
			if (number == 25) program = output, count = COUNT(output);
			if (number == 56) program = own, count = COUNT(own);
			if (number == 26 || (number == 25 && types[t] == SOCKET_FILTER)) continue;
			long fd = load(types[t], program, count, map);
			printf(" %s", said(fd));
			if (fd >= 0)
				close((int)fd);
			put_program(types[t], program, count, map);
			put_address(16, "mine");
			fd = bpf(5, 148);
			printf("/%s", said(fd));
			if (fd >= 0)
				close((int)fd);
		}
		printf("\n");
	}
}

static void attaching(void)
{
	int point = (int)MUST(load(TRACEPOINT, one, 2, -1)), sample = (int)MUST(load(PERF_EVENT, one, 2, -1));
	int filter = (int)MUST(load(SOCKET_FILTER, one, 2, -1));
	static const struct insn far[] = {LOADING(8, 64), EXIT}, near[] = {LOADING(8, 56), EXIT}, nearer[] = {LOADING(4, 8), EXIT};
	int fars = (int)MUST(load(TRACEPOINT, far, 2, -1)), nears = (int)MUST(load(TRACEPOINT, near, 2, -1));
	int nearers = (int)MUST(load(TRACEPOINT, nearer, 2, -1));
	int enter = opened("raw_syscalls/sys_enter", 0, -1, 1), getppid_ = opened("syscalls/sys_enter_getppid", 0, -1, 1);
	int leave = opened("syscalls/sys_exit_getppid", 0, -1, 1);
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	int faults = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	printf("nothing %s, a file %s, an event %s\n", set(enter, 999), set(enter, 1), set(enter, enter));
	printf("of samples %s, a filter %s, a point's for a software event %s\n", set(enter, sample), set(enter, filter), set(faults, point));
	printf("far %s %s %s, near %s %s\n", set(enter, fars), set(getppid_, fars), set(leave, fars), set(getppid_, nears), set(leave, nears));
	printf("near %s, again %s, another %s\n", set(enter, nears), set(enter, nears), set(enter, sample));
	printf("nearer %s\n", set(getppid_, nearers));
	printf("samples %s, again %s, a point's %s\n", set(faults, sample), set(faults, sample), set(faults, point));
	IN_CHILD(MUST(setuid(1000)); printf("unprivileged %s\n", set(leave, point)));
	for (int i = 0; i < 9; i++)
		close((int[]){point, sample, filter, fars, nears, nearers, enter, getppid_, leave}[i]);
	close(faults);
}

static void count_calls(void)
{
	int table = (int)MUST(create_map(HASH, 4, 8, 64, 0));
	int program = (int)MUST(load(TRACEPOINT, counting, COUNT(counting), table));
	int event = opened("syscalls/sys_enter_getppid", -1, 0, 1);
	ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
	printf("set %s\n", set(event, program));
	close(program);
	for (int i = 0; i < 5; i++)
		syscall(SYS_getppid);
	syscall(SYS_getpid);
	pid_t child = fork();
	if (child == 0) {
		syscall(SYS_getppid);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	uint32_t pid = (uint32_t)getpid(), other = (uint32_t)child;
	uint64_t value = 0;
	printf("own %s", said(LOOKUP(table, &pid, &value)));
	printf(" %llu, the child's", (unsigned long long)value);
	printf(" %s", said(LOOKUP(table, &other, &value)));
	printf(" %llu\n", (unsigned long long)value);
	close(event);
	syscall(SYS_getppid);
	LOOKUP(table, &pid, &value);
	printf("closed: %llu\n", (unsigned long long)value);
	close(table);
}

static void filtering(void)
{
	static const struct insn *programs[] = {one, none, two};
	for (int i = 0; i < 3; i++) {
		int event = opened("syscalls/sys_enter_getppid", 0, -1, 1), other = opened("syscalls/sys_enter_getppid", 0, -1, 1);
		struct ring ring = map_ring(event, 1);
		int program = (int)MUST(load(TRACEPOINT, programs[i], 2, -1));
		printf("%s:", set(event, program));
		for (int call = 0; call < 3; call++)
			syscall(SYS_getppid);
		int records = 0;
		while (next_record(&ring))
			records++;
		printf(" %d records, counts %llu %llu\n", records, (unsigned long long)count_of(event), (unsigned long long)count_of(other));
		munmap(ring.page, 2 * PAGE);
		close(event), close(other), close(program);
	}
	/* Of some calls of one tracepoint: those whose first argument is odd. */
	static const struct insn odd[] = {LOADING(8, 16), INSN(0x57, 0, 0, 0, 1), EXIT};
	int event = opened("syscalls/sys_enter_close", 0, -1, 1), program = (int)MUST(load(TRACEPOINT, odd, COUNT(odd), -1));
	printf("%s:", set(event, program));
	for (int fd = 900; fd < 907; fd++)
		close(fd);
	printf(" %llu\n", (unsigned long long)count_of(event));
	close(event), close(program);
}

static void samples(void)
{
	static unsigned char area[8 * PAGE] __attribute__((aligned(PAGE)));
	uint64_t wanted = (uintptr_t)area + 3 * PAGE;
	struct insn program[] = {INSN(0x79, 6, 1, 176, 0), INSN(0x77, 6, 0, 0, 12), INSN(0x18, 2, 0, 0, (uint32_t)(wanted >> 12)),
		INSN(0, 0, 0, 0, (uint32_t)(wanted >> 44)), MOV(0, 0), INSN(0x5d, 6, 2, 1, 0), MOV(0, 1), EXIT};
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.sample_period = 1;
	attr.sample_type = PERF_SAMPLE_ADDR;
	int event = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(event, 4);
	printf("%s\n", set(event, (int)MUST(load(PERF_EVENT, program, COUNT(program), -1))));
	ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	for (int page = 0; page < 8; page++)
		((volatile unsigned char *)area)[page * PAGE] = 1;
	ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;)
		printf("a sample of page %lld\n", (long long)(*(uint64_t *)(record + 1) - (uintptr_t)area) / PAGE);
	close(event);
}

static void output(void)
{
	static const unsigned forms[][4] = {{4, 4, 2, 0}, {4, 8, 2, 0}, {8, 4, 2, 0}, {4, 4, 0, 0}, {4, 4, 2, 1}, {4, 4, 2, 0x80}, {4, 4, 2, 0x400}, {4, 4, 2, 0x800}, {4, 4, 2, 8}};
	for (unsigned i = 0; i < COUNT(forms); i++) {
		long fd = create_map(EVENTS, forms[i][0], forms[i][1], forms[i][2], forms[i][3]);
		printf("create %u %u %u %#x: %s\n", forms[i][0], forms[i][1], forms[i][2], forms[i][3], said(fd));
		if (fd >= 0)
			close((int)fd);
	}
	SHOW(create_map(ARRAY, 4, 4, 1, 0x800));
	int map = (int)MUST(create_map(EVENTS, 4, 4, 3, 0));
	struct perf_event_attr attr = software(PERF_COUNT_SW_BPF_OUTPUT);
	attr.sample_type = PERF_SAMPLE_RAW;
	attr.sample_period = 1;
	attr.wakeup_events = 1;
	attr.disabled = 0;
	int event = (int)MUST(event_open(&attr, -1, 0, -1, 0));
	attr.config = PERF_COUNT_SW_DUMMY;
	int dummy = (int)MUST(event_open(&attr, -1, 0, -1, 0));
	attr.inherit = 1;
	int shared = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	uint32_t key = 0, value = 0;
	SHOW(UPDATE(map, &key, &map, 0));
	SHOW(UPDATE(map, &key, &shared, 0));
	SHOW(UPDATE(map, &key, &event, 1));
	SHOW(UPDATE(map, &key, &event, 0));
	SHOW(LOOKUP(map, &key, &value));
	key = 1;
	SHOW(UPDATE(map, &key, &dummy, 0));
	SHOW(delete(map, &key));
	SHOW(delete(map, &key));
	SHOW(UPDATE(map, &key, &dummy, 0));
	key = 3;
	SHOW(UPDATE(map, &key, &event, 0));
	SHOW(delete(map, &key));
	SHOW(next_key(map, NULL, &value));
	struct ring ring = map_ring(event, 1);
	int results = (int)MUST(create_map(ARRAY, 4, 8, 1, 0));
	static const struct { uint32_t low; uint32_t high; unsigned size; } calls[] = {{0xffffffff, 0, 8}, {0, 0, 12}, {1, 0, 8}, {2, 0, 8}, {3, 0, 8}, {0, 1, 8}, {0, 0, 0}, {0, 0, 1}};
	for (unsigned i = 0; i < COUNT(calls); i++) {
		struct insn program[] = {MOVR(6, 1), STDW(10, -16, 0x11223344), STDW(10, -8, 0x55), MAP(2), INSN(0x18, 3, 0, 0, calls[i].low), INSN(0, 0, 0, 0, calls[i].high),
			MOVR(4, 10), ADD(4, -16), MOV(5, (int)calls[i].size), CALL(25), STXDW(10, -24, 0), STW(10, -28, 0), INSN(0x18, 1, 1, 0, results), INSN(0, 0, 0, 0, 0),
			MOVR(2, 10), ADD(2, -28), MOVR(3, 10), ADD(3, -24), MOV(4, 0), CALL(2), MOV(0, 0), EXIT};
		int loaded = (int)MUST(load(TRACEPOINT, program, COUNT(program), map)), hit = opened("syscalls/sys_enter_getppid", 0, -1, 1);
		MUST(ioctl(hit, PERF_EVENT_IOC_SET_BPF, loaded));
		syscall(SYS_getppid);
		close(hit), close(loaded);
		int64_t result = 0;
		key = 0;
		LOOKUP(results, &key, &result);
		printf("output %#x %u of %u: %lld", calls[i].low, calls[i].high, calls[i].size, (long long)result);
		struct pollfd poll_it = {.fd = event, .events = POLLIN};
		int ready = poll(&poll_it, 1, 0);
		for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
			uint32_t *half = (uint32_t *)(record + 1);
			printf("; type %u, %u bytes, raw %u, %x", record->type, record->size, half[0], record->size > 12 ? half[1] & (calls[i].size > 1 ? ~0u : 0xffu) : 0);
		}
		printf("; %d\n", ready);
	}
	printf("count %llu\n", (unsigned long long)count_of(event));
	helpers(map, results);
	close(map), close(event), close(dummy), close(results), close(shared);
}

/* What helpers say of the memory of the process. */
static void memory(void)
{
	int results = (int)MUST(create_map(ARRAY, 4, 24, 1, 0));
	static char path[PAGE] __attribute__((aligned(PAGE)));
	strcpy(path, "/nowhere/at/all");
	static const int forms[][2] = {{112, 4}, {112, 16}, {112, 0}, {114, 16}, {114, 4}, {114, 1}, {114, 0}, {4, 8}, {45, 16}, {113, 8}, {115, 8}};
	for (int there = 1; there >= 0; there--)
		for (unsigned i = 0; i < COUNT(forms); i++) {
			struct insn program[] = {INSN(0x79, 3, 1, 16, 0), STDW(10, -24, -1), STDW(10, -16, -1), MOVR(1, 10), ADD(1, -24), MOV(2, forms[i][1]), CALL(forms[i][0]),
				STXDW(10, -32, 0), STW(10, -36, 0), MAP(1), MOVR(2, 10), ADD(2, -36), MOVR(3, 10), ADD(3, -32), MOV(4, 0), CALL(2), MOV(0, 0), EXIT};
			int loaded = (int)MUST(load(TRACEPOINT, program, COUNT(program), results)), hit = opened("syscalls/sys_enter_unlink", 0, -1, 1);
			MUST(ioctl(hit, PERF_EVENT_IOC_SET_BPF, loaded));
			syscall(SYS_unlink, there ? path : (char *)16);
			close(hit), close(loaded);
			uint32_t key = 0;
			struct { int64_t result; unsigned char bytes[16]; } seen;
			LOOKUP(results, &key, &seen);
			if (forms[i][0] == 113 || forms[i][0] == 115)
				seen.result = seen.result == 0 ? 0 : seen.result;
			printf("helper %d of %d: %lld", forms[i][0], forms[i][1], (long long)seen.result);
			for (int at = 0; at < 16; at++)
				printf(" %02x", seen.bytes[at]);
			printf("\n");
		}
	close(results);
}

static void questions(void)
{
	struct { uint32_t room, count, numbers[70]; } query;
	int events[3], programs[2] = {(int)MUST(load(TRACEPOINT, one, 2, -1)), (int)MUST(load(TRACEPOINT, one, 2, -1))};
	for (int i = 0; i < 3; i++)
		events[i] = opened("syscalls/sys_enter_getppid", 0, -1, 1);
	for (int attached = 0; attached < 3; attached++) {
		static const unsigned rooms[] = {0, 1, 2, 3, 64, 65};
		for (unsigned i = 0; i < COUNT(rooms); i++) {
			memset(&query, 0xff, sizeof query);
			query.room = rooms[i];
			long result = ioctl(events[2], PERF_EVENT_IOC_QUERY_BPF, &query);
			printf("%d attached, room %u: %s, count %d, numbers %d %d %d\n", attached, rooms[i], said(result), (int)query.count, query.numbers[0] != ~0u,
				query.numbers[1] != ~0u, query.numbers[2] != ~0u);
		}
		if (attached == 1)
			printf("the same %s\n", set(events[1], programs[0]));
		if (attached < 2)
			MUST(ioctl(events[attached], PERF_EVENT_IOC_SET_BPF, programs[attached]));
	}
	SHOW(ioctl(events[2], PERF_EVENT_IOC_QUERY_BPF, 1));
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	int dummy = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	SHOW(ioctl(dummy, PERF_EVENT_IOC_QUERY_BPF, &query));
	IN_CHILD(MUST(setuid(1000)); SHOW(ioctl(events[2], PERF_EVENT_IOC_QUERY_BPF, &query)));
	for (int i = 0; i < 3; i++)
		close(events[i]);
	close(programs[0]), close(programs[1]), close(dummy);
}

static long link_to(int program, int event, int purpose, unsigned flags, uint64_t cookie)
{
	fresh();
	put32(0, (uint32_t)program); put32(4, (uint32_t)event); put32(8, (uint32_t)purpose); put32(12, flags); put64(16, cookie);
	return bpf(28, 24);
}

static void links(void)
{
	int table = (int)MUST(create_map(HASH, 4, 8, 64, 0));
	int program = (int)MUST(load(TRACEPOINT, counting, COUNT(counting), table)), sample = (int)MUST(load(PERF_EVENT, one, 2, -1));
	int event = opened("syscalls/sys_enter_getppid", 0, -1, 1);
	SHOW(link_to(program, event, 40, 0, 0));
	SHOW(link_to(program, event, 0, 0, 0));
	SHOW(link_to(program, event, FOR_EVENT, 1, 0));
	SHOW(link_to(program, program, FOR_EVENT, 0, 0));
	SHOW(link_to(program, 999, FOR_EVENT, 0, 0));
	SHOW(link_to(sample, event, FOR_EVENT, 0, 0));
	int link = (int)MUST(link_to(program, event, FOR_EVENT, 0, 77));
	SHOW(link_to(program, event, FOR_EVENT, 0, 0));
	printf("set %s\n", set(event, program));
	close(event);
	syscall(SYS_getppid);
	uint32_t pid = (uint32_t)getpid();
	uint64_t value = 0;
	SHOW(LOOKUP(table, &pid, &value));
	printf("%llu\n", (unsigned long long)value);
	struct { uint32_t type, id, program, pad, kind, pad2; uint64_t name; uint32_t length, pad3; uint64_t cookie; char rest[64]; } info;
	char name[40];
	for (unsigned room = 0; room < 40; room += 5) {
		memset(&info, 0, sizeof info);
		memset(name, '.', sizeof name);
		info.length = room;
		info.name = room ? (uintptr_t)name : 0;
		fresh();
		put32(0, (uint32_t)link); put32(4, 64); put_address(8, &info);
		long result = bpf(15, 16);
		printf("room %u: %s, type %u, kind %u, length %u, cookie %llu, %.8s\n", room, said(result), info.type, info.kind, info.length, (unsigned long long)info.cookie, name);
	}
	fresh();
	put32(0, (uint32_t)link); put32(4, (uint32_t)program);
	SHOW(bpf(29, 16));
	fresh();
	put32(0, (uint32_t)link);
	SHOW(bpf(34, 4));
	close(link);
	syscall(SYS_getppid);
	SHOW(LOOKUP(table, &pid, &value));
	printf("%llu\n", (unsigned long long)value);
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	int dummy = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	link = (int)MUST(link_to(sample, dummy, FOR_EVENT, 0, 78));
	memset(&info, 0, sizeof info);
	fresh();
	put32(0, (uint32_t)link); put32(4, 64); put_address(8, &info);
	SHOW(bpf(15, 16));
	printf("type %u, kind %u, config %llu, of %u, cookie %llu\n", info.type, info.kind, (unsigned long long)info.name, info.length, (unsigned long long)info.cookie);
	close(link), close(table), close(program), close(sample), close(dummy);
}

static long raw_point(const char *name, int program)
{
	fresh();
	put_address(0, name); put32(8, (uint32_t)program);
	return bpf(17, 16);
}

static void raw_points(void)
{
	int results = (int)MUST(create_map(ARRAY, 4, 8, 1, 0));
	struct insn program[] = {INSN(0x79, 6, 1, 8, 0), JNE(6, SYS_getppid, 10), STXDW(10, -8, 6), STW(10, -12, 0), MAP(1), MOVR(2, 10), ADD(2, -12), MOVR(3, 10), ADD(3, -8),
		MOV(4, 0), CALL(2), MOV(0, 0), EXIT};
	static const struct insn far[] = {LOADING(8, 16), EXIT};
	int loaded = (int)MUST(load(RAW_TRACEPOINT, program, COUNT(program), results)), fars = (int)MUST(load(RAW_TRACEPOINT, far, 2, -1));
	SHOW(raw_point("sys_nothing", loaded));
	SHOW(raw_point("sys_enter", fars));
	SHOW(raw_point("sys_enter", 999));
	SHOW(raw_point("sys_enter", results));
	SHOW(raw_point((char *)1, loaded));
	int link = (int)MUST(raw_point("sys_enter", loaded));
	syscall(SYS_getppid);
	close(link);
	uint32_t key = 0;
	uint64_t value = 0;
	LOOKUP(results, &key, &value);
	printf("call %llu\n", (unsigned long long)value);
	int point = (int)MUST(load(TRACEPOINT, one, 2, -1));
	SHOW(raw_point("sys_enter", point));
	close(results), close(loaded), close(fars), close(point);
}

static void ask(int fd, unsigned room, unsigned flags)
{
	char name[40];
	memset(name, '.', sizeof name);
	fresh();
	put32(0, (uint32_t)getpid()); put32(4, (uint32_t)fd); put32(8, flags); put32(12, room); put_address(16, name); put32(28, 99); put64(32, 99);
	long result = bpf(20, 48);
	printf("room %u: %s, length %u, program %d, kind %u, %u, %.20s\n", room, said(result), get32(12), get32(24) != 0, get32(28), get32(32), name);
}

static void descriptors(void)
{
	int event = opened("syscalls/sys_enter_getppid", 0, -1, 1), program = (int)MUST(load(TRACEPOINT, one, 2, -1));
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	int dummy = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	ask(event, 40, 0);
	MUST(ioctl(event, PERF_EVENT_IOC_SET_BPF, program));
	ask(event, 40, 0), ask(event, 0, 0), ask(event, 1, 0), ask(event, 17, 0), ask(event, 18, 0), ask(event, 18, 1);
	ask(dummy, 40, 0), ask(program, 40, 0), ask(999, 40, 0);
	MUST(ioctl(dummy, PERF_EVENT_IOC_SET_BPF, (int)MUST(load(PERF_EVENT, one, 2, -1))));
	ask(dummy, 40, 0);
	int raw = (int)MUST(raw_point("sys_exit", (int)MUST(load(RAW_TRACEPOINT, one, 2, -1))));
	ask(raw, 40, 0);
	close(event), close(dummy), close(program), close(raw);
}

int main(void)
{
	unsigned long first = 1; /* where the events of processors are */
	(void)counting_jump_fits;
	MUST(syscall(SYS_sched_setaffinity, 0, sizeof first, &first));
	mount_tracefs();
	accesses();
	rights();
	attaching();
	count_calls();
	filtering();
	samples();
	output();
	memory();
	questions();
	links();
	raw_points();
	descriptors();
	unmount_tracefs();
	return 0;
}
