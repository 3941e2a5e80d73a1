/* O_DIRECT and the memory that it reads into and writes from: pieces of it, other mappings as memory, memory that ends, and memory that is
 * forked, unmapped, written back or killed while the device is at it. */
#define _GNU_SOURCE
#include "case.h"

#include <pthread.h>
#include <sys/mount.h>
#include <sys/uio.h>

#define KIB 1024
#define MIB (KIB * KIB)

static char *wanted;  /* what the file holds */
static int direct, plain;

static char *memory_of(size_t length)
{
	char *place = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		exit(98);
	return place;
}

static void fill(char *where, unsigned seed, int length)
{
	for (int i = 0; i < length; i += 64) {
		seed = seed * 1103515245 + 12345;
		memcpy(where + i, &seed, 4);
	}
}

/* The file's first MiB is what `wanted` says, on the disk too. */
static void refresh(void)
{
	fill(wanted, 5, MIB);
	MUST(pwrite(plain, wanted, MIB, 0));
	MUST(fsync(plain));
}

static int file_is_wanted(void)
{
	static char *copy;
	if (copy == NULL)
		copy = memory_of(MIB);
	memset(copy, 0, MIB);
	return pread(direct, copy, MIB, 0) == MIB && memcmp(copy, wanted, MIB) == 0;
}

static void pieces(void)
{
	char *m = memory_of(MIB);
	struct iovec odd[] = {{m + 512, 1536}, {m + 4096, 0}, {m + 8192, 8192}, {m + 16384, 4096}, {m + 40960 + 3584, 512}, {m + 45056, 1024},
	                      {m + 46592, 5632}, {m + 65536, 100 * KIB}};
	printf("-- pieces\n");
	long total = 0;
	int wrong = 0;
	SHOW(preadv(direct, odd, 8, 4096));
	for (int i = 0; i < 8; i++) {
		wrong += memcmp(odd[i].iov_base, wanted + 4096 + total, odd[i].iov_len) != 0;
		total += odd[i].iov_len;
	}
	printf("wrong %d\n", wrong);
	struct iovec many[300];
	for (int i = 0; i < 300; i++)
		many[i] = (struct iovec){m + (299 - i) * 1024, 512};
	SHOW(preadv(direct, many, 300, 8192));
	for (int i = 0; i < 300; i++)
		wrong += memcmp(many[i].iov_base, wanted + 8192 + i * 512, 512) != 0;
	printf("wrong %d\n", wrong);
	for (int i = 0; i < 300; i++)
		fill(many[i].iov_base, i, 512), memcpy(wanted + 8192 + i * 512, many[i].iov_base, 512);
	SHOW(pwritev(direct, many, 300, 8192));
	CHECK(file_is_wanted());
	struct iovec same[2] = {{m, 4096}, {m, 4096}};
	SHOW(preadv(direct, same, 2, 0));
	CHECK(memcmp(m, wanted, 4096) == 0 || memcmp(m, wanted + 4096, 4096) == 0);
	SHOW(preadv2(direct, odd, 8, 0, 1 /* RWF_HIPRI */));
	SHOW(pwritev2(direct, same, 2, 0, 2 /* RWF_DSYNC */));
	refresh();
	munmap(m, MIB);
}

static void kinds_of_memory(void)
{
	printf("-- kinds of memory\n");
	char *m = memory_of(MIB);
	MUST(mprotect(m, MIB, PROT_READ));
	SHOW(pread(direct, m, 8192, 0));
	SHOW(pwrite(direct, m, 8192, 900 * KIB));
	MUST(mprotect(m, MIB, PROT_NONE));
	SHOW(pwrite(direct, m, 8192, 900 * KIB));
	munmap(m, MIB);
	refresh();
	char *anonymous = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHOW(pread(direct, anonymous, MIB / 2, 0));
	CHECK(memcmp(anonymous, wanted, MIB / 2) == 0);
	int other = MUST(open("/tmp/direct_memory", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(other, MIB));
	char *tmpfs = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	SHOW(pread(direct, tmpfs, MIB / 2, 0));
	MUST(pread(other, anonymous + MIB / 2, MIB / 2, 0));
	CHECK(memcmp(anonymous + MIB / 2, wanted, MIB / 2) == 0);
	MUST(ftruncate(other, 10000));
	SHOW(pread(direct, tmpfs, 8192, 0));
	SHOW(pread(direct, tmpfs + 12288, 8192, 0));
	close(other);
	MUST(unlink("/tmp/direct_memory"));
	/* A private mapping of the file gets copies. */
	char *private = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, plain, 0);
	SHOW(pread(direct, private, 64 * KIB, 128 * KIB));
	CHECK(memcmp(private, wanted + 128 * KIB, 64 * KIB) == 0);
	CHECK(file_is_wanted());
	munmap(private, MIB);
	/* A device's own cache. */
	int device = MUST(open("/dev/vda", O_RDWR));
	char *blocks = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, device, 48 * MIB);
	SHOW(pread(direct, blocks, MIB, 0));
	MUST(msync(blocks, MIB, MS_SYNC));
	int past = MUST(open("/dev/vda", O_RDONLY | O_DIRECT));
	SHOW(pread(past, anonymous, MIB, 48 * MIB));
	CHECK(memcmp(anonymous, wanted, MIB) == 0);
	close(past);
	munmap(blocks, MIB);
	close(device);
	munmap(anonymous, MIB);
	munmap(tmpfs, MIB);
}

static void own_mapping(void)
{
	printf("-- a mapping of the file itself\n");
	char *map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0);
	SHOW(pread(direct, map + 512 * KIB, 64 * KIB, 0));
	memcpy(wanted + 512 * KIB, wanted, 64 * KIB);
	CHECK(memcmp(map, wanted, MIB) == 0);
	MUST(fsync(plain));
	CHECK(file_is_wanted());
	SHOW(pread(direct, map, 64 * KIB, 0));
	CHECK(memcmp(map, wanted, MIB) == 0);
	SHOW(pwrite(direct, map + 256 * KIB, 64 * KIB, 128 * KIB));
	memcpy(wanted + 128 * KIB, wanted + 256 * KIB, 64 * KIB);
	CHECK(memcmp(map, wanted, MIB) == 0);
	SHOW(pwrite(direct, map + 300 * KIB, 32 * KIB, 300 * KIB));
	CHECK(file_is_wanted());
	MUST(fsync(plain));
	CHECK(file_is_wanted());
	munmap(map, MIB);
	/* A hole that becomes writable because it is the memory, and is read, too. */
	int fd = MUST(open("holes", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600));
	MUST(ftruncate(fd, 64 * KIB));
	map = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SHOW(pread(fd, map, 64 * KIB, 0));
	int wrong = 0;
	for (int i = 0; i < 64 * KIB; i++)
		wrong += map[i] != 0;
	printf("not zero: %d\n", wrong);
	SHOW(pread(direct, map, 16 * KIB, 0));
	MUST(fsync(fd));
	munmap(map, 64 * KIB);
	char *m = memory_of(64 * KIB);
	SHOW(pread(fd, m, 64 * KIB, 0));
	CHECK(memcmp(m, wanted, 16 * KIB) == 0);
	munmap(m, 64 * KIB);
	close(fd);
	refresh();
}

static void memory_ends(int fd, const char *what)
{
	printf("-- memory ends, %s\n", what);
	char *m = memory_of(4 * MIB);
	MUST(munmap(m + 40 * KIB, 4096));
	SHOW(pread(fd, m, 64 * KIB, 0));
	SHOW(pread(fd, m + 39 * KIB, 2 * KIB, 0));
	SHOW(pread(fd, m + 40 * KIB, 4096, 0));
	struct iovec parts[3] = {{m, 4096}, {m + 38 * KIB, 4096}, {m + 8192, 4096}};
	SHOW(preadv(fd, parts, 3, 0));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, m, 64 * KIB));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pwrite(fd, m, 64 * KIB, 512 * KIB));
	SHOW(pwrite(fd, m + 39 * KIB, 2 * KIB, 512 * KIB));
	SHOW(pwritev(fd, parts, 3, 512 * KIB));
	MUST(munmap(m + 2560 * KIB, 4096));
	SHOW(pread(fd, m + 44 * KIB, 3 * MIB, 0));
	SHOW(pwrite(fd, m + 44 * KIB, 3 * MIB, 4 * MIB));
	munmap(m, 4 * MIB);
}

static void end_of_file(void)
{
	printf("-- the end of the file\n");
	int fd = MUST(open("short", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(pwrite(fd, wanted, 5000, 0));
	MUST(fsync(fd));
	MUST(fcntl(fd, F_SETFL, O_DIRECT));
	char *m = memory_of(32 * KIB);
	MUST(munmap(m + 16 * KIB, 16 * KIB));
	memset(m, 'x', 16 * KIB);
	SHOW(pread(fd, m, 16 * KIB, 0));
	CHECK(memcmp(m, wanted, 5000) == 0);
	int leaked = 0;
	for (int i = 5000; i < 16 * KIB; i++)
		leaked += m[i] != 'x' && m[i] != 0;
	printf("leaked %d\n", leaked);
	/* A failed write past the end leaves the file as it was. */
	struct stat status;
	SHOW(pwrite(fd, (char *)4096, 8192, 8192));
	SHOW(pwrite(fd, m + 8 * KIB, 64 * KIB, 8192));
	MUST(fstat(fd, &status));
	printf("size %ld blocks %ld\n", (long)status.st_size, (long)status.st_blocks);
	munmap(m, 16 * KIB);
	close(fd);
}

/* ---- While the device is at it ---- */

#define PART (128 * KIB)

static char *target;  /* of the reads of a thread */
static volatile int stop, wrong_reads, reads;

static void *read_on(void *unused)
{
	(void)unused;
	while (!stop) {
		/* The first and the last page hold other things, too. */
		if (pread(direct, target + 512, PART, 0) != PART || memcmp(target + 512, wanted, PART) != 0)
			wrong_reads++;
		memset(target + 512, 0, PART);
		reads++;
	}
	return NULL;
}

static void forks(void)
{
	pthread_t thread;
	int changed = 0, lost = 0;
	printf("-- fork\n");
	target = memory_of(2 * PART);
	stop = wrong_reads = reads = 0;
	MUST(pthread_create(&thread, NULL, read_on, NULL));
	for (int i = 0; i < 16; i++) {
		int go[2], status;
		char byte = 0;
		MUST(pipe(go));
		pid_t child = MUST(fork());
		if (child == 0) {
			char *copy = memory_of(2 * PART);
			memcpy(copy, target, 2 * PART);
			close(go[1]);
			read(go[0], &byte, 1);
			_exit(memcmp(copy, target, 2 * PART) != 0);
		}
		target[i] = (char)i;  /* in the same pages as the bytes that are read */
		target[512 + PART + i] = (char)i;
		for (int before = reads; reads < before + 2;)
			sched_yield();
		lost += target[i] != (char)i || target[512 + PART + i] != (char)i;
		close(go[0]);
		close(go[1]);
		MUST(waitpid(child, &status, 0));
		changed += status != 0;
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("wrong reads %d, memory of children changed %d, bytes lost %d\n", wrong_reads, changed, lost);
	munmap(target, 2 * PART);
}

static void *read_once(void *where)
{
	pread(direct, where, MIB, 0);
	return NULL;
}

static void unmaps(void)
{
	int wrong = 0;
	printf("-- munmap\n");
	char *pattern = memory_of(MIB), *other = memory_of(MIB);
	memset(other, 'p', MIB);
	for (int i = 0; i < 10; i++) {
		pthread_t thread;
		char *m = memory_of(MIB);
		memset(m, 1, MIB);
		MUST(pthread_create(&thread, NULL, read_once, m));
		for (int j = 0; j < i % 4; j++)
			sched_yield();
		MUST(munmap(m, MIB));
		/* The frames that came free must not be those that the device still writes to. */
		MUST(madvise(pattern, MIB, MADV_DONTNEED));
		memset(pattern, 'p', MIB);
		pthread_join(thread, NULL);
		wrong += memcmp(pattern, other, MIB) != 0;
	}
	printf("wrong %d\n", wrong);
	munmap(pattern, MIB);
	munmap(other, MIB);
}

static int cleaned;

static void *clean_on(void *map)
{
	while (!stop) {
		msync(map, MIB, MS_SYNC);
		cleaned++;
	}
	return NULL;
}

/* A page that was written back while the device filled it is written back again. */
static void write_backs(void)
{
	pthread_t thread;
	int wrong = 0;
	printf("-- write-back\n");
	int fd = MUST(open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600));
	int past = MUST(open("copy", O_RDONLY | O_DIRECT));
	MUST(ftruncate(fd, MIB));
	char *map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *m = memory_of(MIB);
	stop = 0;
	MUST(pthread_create(&thread, NULL, clean_on, map));
	for (int i = 0; i < 6; i++) {
		memset(map, i, MIB);
		wrong += pread(direct, map, MIB, 0) != MIB;
		MUST(fsync(fd));
		wrong += pread(past, m, MIB, 0) != MIB || memcmp(m, wanted, MIB) != 0;
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("wrong %d, cleaned %d\n", wrong, cleaned > 0);
	munmap(map, MIB);
	munmap(m, MIB);
	close(past);
	close(fd);
}

static void kills(void)
{
	int wrong = 0;
	printf("-- kill\n");
	char *pattern = memory_of(MIB), *other = memory_of(MIB);
	memset(other, 'p', MIB);
	for (int i = 0; i < 10; i++) {
		int status;
		int ready[2];
		char byte;
		MUST(pipe(ready));
		pid_t child = MUST(fork());
		if (child == 0) {
			char *m = memory_of(MIB);
			write(ready[1], "r", 1);
			for (;;)
				pread(direct, m, MIB, 0);
		}
		MUST(read(ready[0], &byte, 1));
		for (int j = 0; j < i % 5; j++)
			sched_yield();
		kill(child, SIGKILL);
		MUST(madvise(pattern, MIB, MADV_DONTNEED));
		memset(pattern, 'p', MIB);
		MUST(waitpid(child, &status, 0));
		wrong += memcmp(pattern, other, MIB) != 0;
		close(ready[0]);
		close(ready[1]);
	}
	printf("wrong %d\n", wrong);
	munmap(pattern, MIB);
	munmap(other, MIB);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	MUST(system("mke2fs -F -b 4096 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	wanted = memory_of(MIB);
	plain = MUST(open("file", O_RDWR | O_CREAT, 0600));
	direct = MUST(open("file", O_RDWR | O_DIRECT));
	refresh();
	pieces();
	kinds_of_memory();
	own_mapping();
	MUST(ftruncate(plain, 8 * MIB));
	memory_ends(direct, "file");
	int device = MUST(open("/dev/vda", O_RDWR | O_DIRECT));
	MUST(lseek(device, 0, SEEK_SET));
	end_of_file();
	refresh();
	forks();
	unmaps();
	write_backs();
	kills();
	CHECK(file_is_wanted());
	close(direct);
	close(plain);
	MUST(chdir("/"));
	MUST(umount("/mnt"));
	memory_ends(device, "device");
	close(device);
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
