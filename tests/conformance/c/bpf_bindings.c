/* Covers: BPF_PROG_BIND_MAP, BPF_ENABLE_STATS and kernel.bpf_stats_enabled: who may, errors, and what is counted. */
#define _GNU_SOURCE
#include "bpf_case.h"

#define SOCKET_FILTER 1
#define TEST_RUN 10
#define ENABLE_STATS 32
#define BIND 35
#define SETTING "/proc/sys/kernel/bpf_stats_enabled"

static const struct insn one[] = { MOV(0, 1), EXIT };

static long bind_map(int program, int map, unsigned flags)
{
	fresh();
	put32(0, (uint32_t)program); put32(4, (uint32_t)map); put32(8, flags);
	return bpf(BIND, 12);
}

static long enable(unsigned type)
{
	fresh();
	put32(0, type);
	return bpf(ENABLE_STATS, 4);
}

/* Runs that were counted, and whether they took any time, by the file's information and by fdinfo. */
static void show_counts(const char *when, int program)
{
	uint64_t words[29] = { 0 };
	char path[64], line[128];
	fresh();
	put32(0, (uint32_t)program); put32(4, sizeof words); put_address(8, words);
	MUST(bpf(15, 16));
	printf("%s: %ld runs, %s time, %u maps", when, (long)words[25], words[24] > 0 ? "some" : "no", (unsigned)(words[6] >> 32));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", program);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "run_cnt", 7) == 0)
			printf(", %s", line);
	if (file)
		fclose(file);
}

static void run(int program, unsigned times)
{
	static uint8_t frame[60];
	fresh();
	put32(0, (uint32_t)program); put32(8, sizeof frame); put_address(16, frame); put32(32, times);
	MUST(bpf(TEST_RUN, 76));
}

static void binding(void)
{
	int program = (int)MUST(load_at(SOCKET_FILTER, 0, one, COUNT(one), 0));
	int map = (int)MUST(create_map(2, 4, 4, 1, 0)), other = (int)MUST(create_map(1, 4, 4, 1, 0)), null = (int)MUST(open("/dev/null", O_RDONLY));
	puts("--- binding");
	show_counts("at first", program);
	SHOW(bind_map(program, map, 0));
	SHOW(bind_map(program, map, 0));
	show_counts("once", program);
	SHOW(bind_map(program, other, 0));
	show_counts("two", program);
	SHOW(bind_map(program, map, 1));
	SHOW(bind_map(-1, map, 1));
	SHOW(bind_map(-1, map, 0));
	SHOW(bind_map(map, map, 0));
	SHOW(bind_map(map, -1, 0));
	SHOW(bind_map(program, -1, 0));
	SHOW(bind_map(program, program, 0));
	SHOW(bind_map(program, null, 0));
	SHOW(bind_map(null, map, 0));
	fresh();
	put32(0, (uint32_t)program); put32(4, (uint32_t)map); put32(12, 1);
	SHOW(bpf(BIND, 16));
	/* Maps stay as long as the program: their numbers lead to them. */
	uint32_t numbers[4] = { 0 };
	uint64_t words[29] = { 0 };
	words[6] = 4ull << 32, words[7] = (uintptr_t)numbers;
	fresh();
	put32(0, (uint32_t)program); put32(4, sizeof words); put_address(8, words);
	MUST(bpf(15, 16));
	CHECK(numbers[0] != 0 && numbers[1] != 0 && numbers[0] != numbers[1] && numbers[2] == 0);
	close(map);
	close(other);
	fresh();
	put32(0, numbers[1]);
	int again = (int)TRY(bpf(14, 12));
	close(again);
	close(program);
	for (int i = 0; i < 100; i++) { /* until the kernel has got round to it */
		fresh();
		put32(0, numbers[1]);
		again = (int)bpf(14, 12);
		if (again < 0)
			break;
		close(again);
		sleep_ms(20);
	}
	CHECK(again < 0 && errno == ENOENT);
	program = (int)MUST(load_at(SOCKET_FILTER, 0, one, COUNT(one), 0));
	map = (int)MUST(create_map(2, 4, 4, 1, 0));
	IN_CHILD(MUST(setuid(1000)); SHOW(bind_map(program, map, 0)); show_counts("as a user", program));
	/* A map that the program uses counts once. */
	static const struct insn uses[] = { MAP(1), MOV(0, 1), EXIT };
	int user = (int)MUST(load_at(SOCKET_FILTER, 0, uses, COUNT(uses), map));
	show_counts("uses one", user);
	SHOW(bind_map(user, map, 0));
	show_counts("uses one, and binds it", user);
}

static void set(const char *text)
{
	errno = 0;
	int fd = open(SETTING, O_WRONLY);
	long done = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("set to %s: %ld %s\n", text, done, done < 0 ? error_name(errno) : "");
	if (fd >= 0)
		close(fd);
	show_file(SETTING);
}

static void counting(void)
{
	int program = (int)MUST(load_at(SOCKET_FILTER, 0, one, COUNT(one), 0));
	char path[64], text[64] = "";
	puts("--- counting");
	run(program, 3);
	show_counts("nobody asks", program);
	for (unsigned type = 1; type < 4; type++)
		SHOW(enable(type));
	SHOW(enable(0xffffffff));
	fresh();
	put32(4, 1);
	SHOW(bpf(ENABLE_STATS, 8));
	int first = (int)TRY(enable(0)), second = (int)TRY(enable(0));
	snprintf(path, sizeof path, "/proc/self/fd/%d", first);
	MUST(readlink(path, text, sizeof text - 1));
	printf("%s, flags %#x %d\n", text, fcntl(first, F_GETFL), fcntl(first, F_GETFD));
	char byte;
	SHOW(read(first, &byte, 1));
	SHOW(write(first, &byte, 1));
	show_file(SETTING);
	run(program, 3);
	show_counts("two ask", program);
	close(first);
	run(program, 1);
	show_counts("one asks", program);
	close(second);
	run(program, 5);
	show_counts("nobody asks", program);
	set("1");
	run(program, 100);
	show_counts("the setting asks", program);
	set("1");
	set("2");
	set("-1");
	set("x");
	set("0");
	run(program, 5);
	show_counts("nobody asks", program);
	IN_CHILD(MUST(setuid(1000)); SHOW(enable(0)); SHOW(enable(1)); set("1"));
}

int main(void)
{
	struct stat is;
	MUST(stat(SETTING, &is));
	printf("mode %o\n", is.st_mode);
	binding();
	counting();
	return 0;
}
