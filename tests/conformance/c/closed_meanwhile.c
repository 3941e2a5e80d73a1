/* Another thread closes the descriptor, or removes the name, while a call is about it: nothing is lost, nothing lives twice. */
#define _GNU_SOURCE
#include "case.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/xattr.h>

#define MIB (1l << 20)

static atomic_int fd, started;
static int delay_us;

static void *closes(void *unused)
{
	while (!started)
		;
	usleep(delay_us);
	close(fd);
	return NULL;
}

/* `call` while another thread closes `fd`, which is a fresh file in memory each time; delays of all lengths. */
static void race(const char *what, int rounds, long (*call)(int))
{
	struct sysinfo before, after;
	sysinfo(&before);
	for (int i = 0; i < rounds; i++) {
		pthread_t other;
		fd = memfd_create("file", MFD_ALLOW_SEALING);
		if (ftruncate(fd, 4096) != 0)
			printf("ftruncate: %s\n", error_name(errno));
		started = 0;
		delay_us = i * 37 % 1500;
		pthread_create(&other, NULL, closes, NULL);
		int mine = fd;
		started = 1;
		call(mine);
		pthread_join(other, NULL);
	}
	for (int i = 0; i < 1500; i++) {
		sysinfo(&after);
		if ((long)(before.freeram - after.freeram) * after.mem_unit < 64 * MIB)
			break;
		usleep(20000);
	}
	printf("%s: memory %s\n", what, (long)(before.freeram - after.freeram) * after.mem_unit < 64 * MIB ? "came back" : "is lost");
}

static long allocates(int f) { return fallocate(f, 0, 0, 24 * MIB); }
static long grows_and_writes(int f) { return ftruncate(f, 64 * MIB) + pwrite(f, "end", 3, 64 * MIB - 3); }

static long copies_itself(int f)
{
	long from = 0, to = 8192;
	ftruncate(f, 8192);
	for (int i = 0; i < 100; i++, from = 0)
		syscall(SYS_copy_file_range, f, &from, f, &to, 4096, 0);
	return 0;
}

static long duplicates_far(int f)
{
	static int far = 3000;
	far = far < 30000 ? far + 700 : 3000;
	int made = dup2(f, far);
	if (made >= 0) {
		struct stat st;
		fstat(made, &st);
		close(made);
	}
	return 0;
}

static long files_in_use(void)
{
	long used = -1;
	FILE *f = fopen("/proc/sys/fs/file-nr", "r");
	fscanf(f, "%ld", &used);
	fclose(f);
	return used;
}

/* A child that shares descriptors and is killed in the midst of a call gives back what the call held. */
static void *calls_for_ever(void *unused)
{
	static char page[4096];
	for (;;) {
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4 * MIB);
		fallocate(fd, 0, 0, 4 * MIB);
		fsetxattr(fd, "user.x", page, 16, 0);
		lseek(fd, 0, SEEK_DATA);
	}
	return NULL;
}

static void killed(int rounds)
{
	struct sysinfo before, after;
	sysinfo(&before);
	for (int i = 0; i < rounds; i++) {
		fd = memfd_create("killed", 0);
		int pid = fork();
		if (pid == 0) {
			pthread_t other;
			pthread_create(&other, NULL, calls_for_ever, NULL);
			calls_for_ever(NULL);
		}
		usleep(500 + i * 53 % 2000);
		kill(pid, SIGKILL);
		close(fd);
		int status;
		waitpid(pid, &status, 0);
		if (!WIFSIGNALED(status))
			printf("status %x\n", status);
	}
	for (int i = 0; i < 1500; i++) {
		sysinfo(&after);
		if ((long)(before.freeram - after.freeram) * after.mem_unit < 64 * MIB)
			break;
		usleep(20000);
	}
	printf("killed in a call: memory %s\n", (long)(before.freeram - after.freeram) * after.mem_unit < 64 * MIB ? "came back" : "is lost");
}

int main(void)
{
	struct rlimit limit = { 40000, 40000 };
	printf("limit: %d\n", setrlimit(RLIMIT_NOFILE, &limit));
	int first = dup2(0, 39999);  /* Linux's table grows once */
	close(first);
	long before = files_in_use();
	race("fallocate", 40, allocates);
	race("ftruncate", 40, grows_and_writes);
	race("copy_file_range", 40, copies_itself);
	race("dup2", 100, duplicates_far);
	killed(30);
	long lost = files_in_use() - before;
	if (lost < -64 || lost > 64)  /* Linux counts for each processor by itself */
		printf("%ld files are lost count of\n", lost);
	return 0;
}
