/* Covers: numbers that programs write to files of /proc/PID and /sys: blanks, signs, bases, what follows a zero byte. */
#define _GNU_SOURCE
#include "case.h"

static const struct {
	const char *bytes;
	size_t size;
} written[] = {
	{"9\0", 2}, {"9\0x", 3}, {"9\n\0", 3}, {" 9", 2}, {"9 \n", 3}, {"\v9", 2}, {"9\t", 2}, {"0x9", 3}, {"011", 3}, {"09", 2},
	{"+9", 2}, {"9 9", 3}, {"9\n\n", 3}, {"\0", 1}, {"\n", 1}, {"-9\0", 3}, {"-9", 2}, {"99999999999", 11}, {"            9", 13},
	{"ten", 3}, {"0x", 2}, {"12\n", 3},
};

static void try_all(const char *path, const char *usual)
{
	printf("%s\n", path);
	for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
		char text[64] = "";
		int fd = (int)MUST(open(path, O_WRONLY));
		errno = 0;
		long done = write(fd, written[i].bytes, written[i].size);
		int error = errno;
		close(fd);
		fd = (int)MUST(open(path, O_RDONLY));
		long got = read(fd, text, sizeof text - 1);
		close(fd);
		if (got > 0 && text[got - 1] == '\n')
			text[got - 1] = 0;
		printf("  %zu: %ld %s, then %s\n", i, done, done < 0 ? error_name(error) : "", text);
		fd = (int)MUST(open(path, O_WRONLY));
		if (write(fd, usual, strlen(usual)) < 0)
			printf("  cannot be restored: %s\n", error_name(errno));
		close(fd);
	}
}

int main(void)
{
	try_all("/proc/self/oom_score_adj", "0");
	try_all("/proc/self/coredump_filter", "0x33");
	try_all("/proc/self/timerslack_ns", "50000");
	try_all("/proc/self/comm", "usual");
	try_all("/sys/class/net/lo/tx_queue_len", "1000");
	return 0;
}
