/* Covers: memfd_secret: flags, what its descriptor refuses, sizes, mappings, and who does not reach its pages. */
#include "case.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/vfs.h>

static int secret(unsigned flags) { return (int)syscall(447, flags); }

static void flag_words(void *at)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[300];
	int inside = 0;
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long)at && (unsigned long)at < end;
		else if (inside && (!strncmp(line, "VmFlags", 7) || !strncmp(line, "Size", 4)))
			printf("%s", line);
	}
	fclose(maps);
}

int main(void)
{
	char text[64] = "text";
	for (int i = 0; i < 32; i++)
		printf("flag %d: %s\n", i, secret(1u << i) < 0 ? error_name(errno) : "ok");
	SHOW(fcntl(secret(O_CLOEXEC), F_GETFD));
	int fd = secret(0);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL));
	struct stat status;
	MUST(fstat(fd, &status));
	printf("mode %o, size %ld, %ld links, %ld blocks of %ld, uid %d\n", status.st_mode, (long)status.st_size, (long)status.st_nlink, (long)status.st_blocks,
	       (long)status.st_blksize, status.st_uid);
	struct statfs system;
	MUST(fstatfs(fd, &system));
	printf("magic %lx\n", (long)system.f_type);
	char path[64], target[64] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	SHOW(readlink(path, target, sizeof target - 1));
	printf("%s\n", target);
	SHOW(read(fd, text, 4));
	SHOW(write(fd, text, 4));
	SHOW(pread(fd, text, 4, 0));
	SHOW(pwrite(fd, text, 4, 0));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(fsync(fd));
	SHOW(fallocate(fd, 0, 0, PAGE));
	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	SHOW(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED);
	char *early = (char *)MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	IN_CHILD(early[0] = 1);
	SHOW(ftruncate(fd, -1));
	SHOW(ftruncate(fd, 0));
	SHOW(ftruncate(fd, 2 * PAGE + 5));
	SHOW(ftruncate(fd, 2 * PAGE + 5));
	SHOW(ftruncate(fd, 0));
	SHOW(ftruncate(fd, 10 * PAGE));
	early[0] = 1;
	char *at = (char *)MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	printf("%d\n", at[0]);
	at[2 * PAGE + 4095] = 5;
	IN_CHILD(at[3 * PAGE] = 1);
	IN_CHILD(printf("%d\n", at[0]); at[1] = 9);
	printf("%d\n", at[1]);
	flag_words(at);
	SHOW(munlock(at, PAGE));
	flag_words(at);
	SHOW(mlock(at, PAGE));
	flag_words(at);
	SHOW(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
	SHOW(mprotect(at, PAGE, PROT_READ));
	SHOW(mprotect(at, PAGE, PROT_READ | PROT_WRITE));
	/* Nobody else reads it: not a debugger's file, not another call's pages; copies by a call of its own are the program's. */
	int ends[2], mem = (int)MUST(open("/proc/self/mem", O_RDWR));
	MUST(pipe(ends));
	SHOW(pread(mem, text, 4, (off_t)at));
	SHOW(pwrite(mem, text, 4, (off_t)at));
	SHOW(write(ends[1], at, 4));
	SHOW(read(ends[0], at, 4));
	struct iovec here = { text, 4 }, there = { at, 4 };
	SHOW(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	SHOW(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	SHOW(madvise(at, PAGE, MADV_REMOVE));
	/* Mappings do not count as locked. */
	IN_CHILD(
		struct rlimit limit = { 4 * PAGE, 4 * PAGE };
		MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
		MUST(setresuid(1000, 1000, 1000));
		SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
		SHOW(munmap(early, PAGE));
		SHOW(munmap(at, 4 * PAGE));
		SHOW(mmap(NULL, 5 * PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
		SHOW(mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
		SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED));
	close(fd);
	printf("%d\n", at[2 * PAGE + 4095]);
	return 0;
}
