/* Covers: write, read, lseek, writev, pwritev2: RWF_APPEND, getdents64, by several processes at once: appends to one file of a tmpfs, and
 * calls through one description. Nothing is lost, and nothing is read twice. */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/uio.h>
#include "case.h"

enum { PROCESSES = 4, RECORDS = 400, SIZE = 1500, FILES = 300 };

static char counts[PROCESSES * RECORDS * 2], *seen;

static void fill(char *record, int who, int number)
{
	int sum = who * RECORDS + number;
	for (int i = 0; i < SIZE; i += (int)sizeof sum)
		memcpy(record + i, &sum, sizeof sum);
}

/* Which record it is; -1: a mixture. */
static int number_of(const char *record)
{
	int sum, other;
	memcpy(&sum, record, sizeof sum);
	for (int i = 0; i < SIZE; i += (int)sizeof sum) {
		memcpy(&other, record + i, sizeof other);
		if (other != sum)
			return -1;
	}
	return sum >= 0 && sum < PROCESSES * RECORDS ? sum : -1;
}

static void all_at_once(void (*act)(int who, int fd), int fd)
{
	fflush(stdout);
	for (int who = 0; who < PROCESSES; who++)
		if (MUST(fork()) == 0) {
			act(who, fd);
			_exit(0);
		}
	int status, failures = 0;
	while (wait(&status) > 0)
		failures += status != 0;
	CHECK(failures == 0);
}

static void write_all(int who, int fd)
{
	static char record[SIZE];
	for (int number = 0; number < RECORDS; number++) {
		fill(record, who, number);
		struct iovec pieces[] = {{record, 700}, {record + 700, SIZE - 700}};
		if ((number % 2 ? write(fd, record, SIZE) : writev(fd, pieces, 2)) != SIZE)
			_exit(1);
	}
}

static void append_all(int who, int fd)
{
	write_all(who, (int)MUST(open("log", O_WRONLY | O_APPEND)));
	(void)fd;
}

static void ask_to_append(int who, int fd)
{
	static char record[SIZE];
	int own = (int)MUST(open("log", O_WRONLY));
	for (int number = 0; number < RECORDS; number++) {
		fill(record, who, number);
		struct iovec piece = {record, SIZE};
		if (syscall(SYS_pwritev2, own, &piece, 1, 0L, 0L, 16) != SIZE)
			_exit(1);
	}
	(void)fd;
}

static void read_all(int who, int fd)
{
	static char record[SIZE];
	ssize_t n;
	while ((n = read(fd, record, SIZE)) == SIZE) {
		int number = number_of(record);
		if (number < 0)
			_exit(1);
		__atomic_add_fetch(&seen[number], 1, __ATOMIC_RELAXED);
	}
	if (n != 0)
		_exit(2);
	(void)who;
}

static void list_all(int who, int fd)
{
	static char buffer[400];
	long n;
	while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
		for (long at = 0; at < n; at += *(unsigned short *)(buffer + at + 16)) {
			const char *name = buffer + at + 19;
			if (name[0] == 'f')
				__atomic_add_fetch(&seen[atoi(name + 1)], 1, __ATOMIC_RELAXED);
		}
	(void)who;
}

/* Each of the first `count` was counted once. */
static int once(const char *what, int count)
{
	for (int i = 0; i < count; i++)
		if (what[i] != 1)
			return 0;
	return 1;
}

static void check_log(void)
{
	static char record[SIZE];
	int fd = (int)MUST(open("log", O_RDONLY)), mixtures = 0;
	memset(counts, 0, sizeof counts);
	SHOW(lseek(fd, 0, SEEK_END));
	lseek(fd, 0, SEEK_SET);
	while (read(fd, record, SIZE) == SIZE) {
		int number = number_of(record);
		if (number < 0)
			mixtures++;
		else
			counts[number]++;
	}
	CHECK(mixtures == 0);
	CHECK(once(counts, PROCESSES * RECORDS));
	close(fd);
}

int main(void)
{
	MUST(mkdir("memory", 0755));
	MUST(mount("none", "memory", "tmpfs", 0, ""));
	MUST(chdir("memory"));
	seen = (char *)MUST(mmap(0, sizeof counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

	int fd = (int)MUST(open("log", O_RDWR | O_CREAT, 0644));
	all_at_once(append_all, fd);
	check_log();
	MUST(ftruncate(fd, 0));
	all_at_once(ask_to_append, fd);
	check_log();
	MUST(ftruncate(fd, 0));
	all_at_once(write_all, fd);
	SHOW(lseek(fd, 0, SEEK_CUR));
	check_log();

	MUST(lseek(fd, 0, SEEK_SET));
	all_at_once(read_all, fd);
	CHECK(once(seen, PROCESSES * RECORDS));

	MUST(mkdir("many", 0755));
	for (int i = 0; i < FILES; i++) {
		char name[32];
		snprintf(name, sizeof name, "many/f%d", i);
		close((int)MUST(open(name, O_WRONLY | O_CREAT, 0644)));
	}
	memset(seen, 0, sizeof counts);
	all_at_once(list_all, (int)MUST(open("many", O_RDONLY | O_DIRECTORY)));
	CHECK(once(seen, FILES));

	/* What appends nothing leaves the position alone. */
	int append = (int)MUST(open("log", O_RDWR | O_APPEND));
	MUST(lseek(append, 3, SEEK_SET));
	SHOW(write(append, "", 0));
	SHOW(write(append, (void *)16, 1));
	SHOW(lseek(append, 0, SEEK_CUR));
	SHOW(write(append, "x", 1));
	SHOW(lseek(append, 0, SEEK_CUR));
	MUST(umount2(".", MNT_DETACH));
	return 0;
}
