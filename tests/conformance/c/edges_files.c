/* Files of the greatest sizes, positions and offsets at the edge of 63 bits, and ancillary data where no memory is. */
#include "case.h"

#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LEAST (-0x7fffffffffffffffL - 1)
#define MOST 0x7fffffffffffffffL
#define EACH(list, name) for (unsigned name = 0; name < sizeof list / sizeof *list; name++)

static const long offsets[] = { 0, 1, 4096, 1L << 40, 1L << 62, MOST - 8192, MOST - 4096, MOST - 4095, MOST - 100, MOST - 2, MOST - 1, MOST, -1, LEAST };

static void result(const char *call, long first, long second, long value)
{
	printf("  %s (%lx, %lx): ", call, first, second);
	if (value < 0)
		printf("%s\n", error_name(errno));
	else
		printf("%lx\n", value);
}

/* A file that ends anywhere: growing, shrinking, holes, pages, advice. */
static void sizes(const char *path)
{
	printf("%s\n", path);
	int fd = MUST(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(write(fd, "data", 4));
	EACH (offsets, i)
		EACH (offsets, j) {
			struct stat status;
			struct { unsigned long offset, length; } all = { 0, 0 };
			unsigned long found[5];
			int grown = ftruncate(fd, offsets[i]);
			int shrunk = ftruncate(fd, offsets[j]);
			MUST(fstat(fd, &status));
			printf("  size (%lx, %lx): %s, %s, %lx\n", offsets[i], offsets[j], grown ? "no" : "yes", shrunk ? "no" : "yes",
			       (long)status.st_size);
			if (i == j) {
				EACH (offsets, k) {
					result("SEEK_DATA", offsets[i], offsets[k], lseek(fd, offsets[k], SEEK_DATA));
					result("SEEK_HOLE", offsets[i], offsets[k], lseek(fd, offsets[k], SEEK_HOLE));
					result("SEEK_END", offsets[i], offsets[k], lseek(fd, offsets[k], SEEK_END));
					result("punch", offsets[i], offsets[k], fallocate(fd, 3, offsets[k], 1));
					result("punch", offsets[i], offsets[k], fallocate(fd, 3, offsets[k], 4096));
				}
				syscall(451, fd, &all, found, 0);
				syscall(SYS_fadvise64, fd, 0L, MOST, 4);
			}
		}
	close(fd);
	unlink(path);
}

/* A page of a file that ends where no file can be longer. */
static void pages(void)
{
	static const long places[] = { 0, 4096, 1L << 40, (MOST - 4095) & ~4095L };
	unsigned char there[2];
	int fd = MUST(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600));
	MUST(ftruncate(fd, MOST));
	EACH (places, i) {
		char *map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, places[i]);
		printf("map at %lx: %s\n", places[i], map == MAP_FAILED ? error_name(errno) : "ok");
		if (map == MAP_FAILED)
			continue;
		IN_CHILD(map[0] = 1; printf("touched\n"));
		SHOW(mincore(map, 8192, there));
		SHOW(madvise(map, 4096, MADV_REMOVE));
		SHOW(msync(map, 8192, MS_SYNC));
		MUST(munmap(map, 8192));
	}
	for (int i = 0; i < 3; i++) {
		SHOW(pwrite(fd, "end", 3, MOST - 3 - i));
		SHOW(pwrite(fd, "end", 3, MOST - 4096 * 2 - i));
	}
	SHOW(lseek(fd, MOST - 4096 * 3, SEEK_DATA) > 0);
	lseek(fd, MOST - 4096, SEEK_HOLE); /* Linux adds past the greatest number here */
	SHOW(ftruncate(fd, MOST - 1));
	SHOW(ftruncate(fd, 0));
	close(fd);
	unlink("mapped");
}

static void transfers(const char *what, int fd)
{
	static const unsigned long counts[] = { 0, 1, 2, 100, 4096 };
	static char buffer[4096];
	int ends[2];
	MUST(pipe(ends));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	int null = MUST(open("/dev/null", O_RDWR)), file = MUST(open("target", O_RDWR | O_CREAT | O_TRUNC, 0600));
	printf("%s\n", what);
	EACH (offsets, i)
		EACH (counts, j) {
			long offset = offsets[i], copy;
			unsigned long count = counts[j];
			struct iovec part = { buffer, count };
			result("pread", offset, count, pread(fd, buffer, count, offset));
			result("preadv", offset, count, syscall(SYS_preadv, fd, &part, 1, offset, 0));
			copy = offset;
			result("sendfile", offset, count, sendfile(null, fd, &copy, count));
			copy = offset;
			result("copy_file_range", offset, count, syscall(SYS_copy_file_range, fd, &copy, file, 0, count, 0));
			copy = offset;
			result("splice", offset, count, syscall(SYS_splice, fd, &copy, ends[1], 0, count, 0));
			while (read(ends[0], buffer, sizeof buffer) > 0)
				;
		}
	close(ends[0]);
	close(ends[1]);
	close(null);
	close(file);
}

/* What is written at the end of all offsets; and by position, wherever that could be set. */
static void writes(const char *what, int fd)
{
	static char buffer[100];
	printf("%s\n", what);
	EACH (offsets, i) {
		long there = lseek(fd, offsets[i], SEEK_SET);
		result("SEEK_SET", offsets[i], 0, there);
		if (offsets[i] < 1L << 62 && offsets[i] > 4096)
			continue;
		result("read", offsets[i], 10, read(fd, buffer, 10));
		lseek(fd, offsets[i], SEEK_SET);
		result("write", offsets[i], 10, write(fd, buffer, 10));
		result("write", offsets[i], 1, write(fd, buffer, 1));
		result("pwrite", offsets[i], 10, pwrite(fd, buffer, 10, offsets[i]));
		result("SEEK_CUR", offsets[i], 0, lseek(fd, 0, SEEK_CUR));
		EACH (offsets, j)
			result("SEEK_CUR", offsets[i], offsets[j], lseek(fd, offsets[j], SEEK_CUR) < 0 ? -1 : 0);
	}
	close(fd);
}

static void seeks(const char *path)
{
	int fd = MUST(open(path, O_RDONLY));
	printf("%s\n", path);
	EACH (offsets, i)
		EACH (offsets, j) {
			lseek(fd, offsets[i], SEEK_SET);
			result("SEEK_CUR", offsets[i], offsets[j], lseek(fd, offsets[j], SEEK_CUR) == -1 && errno ? -1 : 0);
		}
	close(fd);
}

/* A message with descriptors or credentials, whose control data are to go where no memory is. */
static void control(void)
{
	static const long places[] = { 1, (1L << 47) - 4096, 1L << 47, 1L << 62, MOST, MOST - 3, MOST - 15, MOST - 16, MOST - 31, LEAST, -1, -16, -32 };
	static const long rooms[] = { 0, 15, 16, 20, 24, 64, 4096, MOST, LEAST, -1 };
	int pair[2], on = 1, passed = MUST(open("/dev/null", O_RDONLY));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	EACH (places, i)
		EACH (rooms, j) {
			union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } data = {
				.header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
			char byte = 'x';
			struct iovec part = { &byte, 1 };
			struct msghdr out = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = sizeof data };
			struct { void *name; unsigned length, pad; struct iovec *parts; unsigned long count; long control, room; int flags; } in =
				{ 0, 0, 0, &part, 1, places[i], rooms[j], 0 };
			memcpy(CMSG_DATA(&data.header), &passed, sizeof passed);
			MUST(sendmsg(pair[1], &out, 0));
			long got = syscall(SYS_recvmsg, pair[0], &in, MSG_DONTWAIT);
			result("recvmsg", places[i], rooms[j], got);
			if (got < 0)
				recv(pair[0], &byte, 1, MSG_DONTWAIT);
		}
	int gone = open("/dev/null", O_RDONLY);
	printf("descriptors are %s\n", gone == passed + 1 ? "closed" : "left");
}

/* The same at the ends of mapped memory, so that a part of a message can be written: what does the program learn, and get? */
static void control_at_holes(void)
{
	static const long places[] = { -24, -16, -12, -8, -4, 0, PAGE - 48, PAGE - 44, PAGE - 40, PAGE - 36, PAGE - 32, PAGE - 28, PAGE - 24, PAGE - 20, PAGE - 16, PAGE - 8 };
	static const long rooms[] = { 16, 20, 24, 44, 52, 60, 64, 88, 200 };
	static const int switches[][2] = { { 0, 0 }, { SO_PASSCRED, 0 }, { 76 /* SO_PASSPIDFD */, 0 }, { SO_PASSCRED, 76 } };
	char *map = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PAGE;
	MUST(munmap(map - PAGE, PAGE));
	MUST(munmap(map + PAGE, PAGE));
	EACH (switches, way) {
		int pair[2], on = 1, passed = MUST(open("/dev/null", O_RDONLY));
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
		for (int i = 0; i < 2; i++)
			if (switches[way][i])
				MUST(setsockopt(pair[0], SOL_SOCKET, switches[way][i], &on, sizeof on));
		EACH (places, i)
			EACH (rooms, j) {
				union { char bytes[CMSG_SPACE(2 * sizeof(int))]; struct cmsghdr header; } data = {
					.header = { .cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
				char byte = 'x';
				struct iovec part = { &byte, 1 };
				struct msghdr out = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = sizeof data };
				struct msghdr in = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = map + places[i], .msg_controllen = rooms[j] };
				int both[2] = { passed, passed }, open_ones = 0;
				memcpy(CMSG_DATA(&data.header), both, sizeof both);
				memset(map, 0, PAGE);
				MUST(sendmsg(pair[1], &out, 0));
				long got = recvmsg(pair[0], &in, MSG_DONTWAIT);
				for (int fd = pair[1] + 1; fd < pair[1] + 10; fd++)
					open_ones += close(fd) == 0;
				printf("  %d: at %ld, room %ld: %ld, flags %x, used %ld, descriptors %d\n", way, places[i], rooms[j], got, in.msg_flags,
				       (long)in.msg_controllen, open_ones);
			}
		close(passed);
		close(pair[0]);
		close(pair[1]);
	}
}

/* No descriptor is left for what is received. */
static void control_without_descriptors(void)
{
	int pair[2], on = 1, passed = MUST(open("/dev/null", O_RDONLY)), number;
	struct rlimit limit = { 0, 100 };
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	MUST(setsockopt(pair[0], SOL_SOCKET, 76, &on, sizeof on));
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } data = {
		.header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	char byte = 'x', back[100];
	struct iovec part = { &byte, 1 };
	struct msghdr out = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &data, .msg_controllen = sizeof data };
	struct msghdr in = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = back, .msg_controllen = sizeof back };
	memcpy(CMSG_DATA(&data.header), &passed, sizeof passed);
	MUST(sendmsg(pair[1], &out, 0));
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	SHOW(recvmsg(pair[0], &in, 0));
	printf("flags %x, used %zu\n", in.msg_flags, (size_t)in.msg_controllen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&in); c; c = CMSG_NXTHDR(&in, c)) {
		memcpy(&number, CMSG_DATA(c), sizeof number);
		printf("type %d, length %zu, %d\n", c->cmsg_type, (size_t)c->cmsg_len, number);
	}
}

int main(void)
{
	int fd;
	sizes("/tmp/edge");
	pages();
	put_file("source", "some text", 0600);
	fd = MUST(open("source", O_RDWR));
	transfers("a file", fd);
	MUST(ftruncate(fd, MOST));
	transfers("the longest file", fd);
	writes("a file", MUST(open("written", O_RDWR | O_CREAT, 0600)));
	writes("/dev/null", MUST(open("/dev/null", O_RDWR)));
	fd = MUST(open("/proc/self/comm", O_RDWR));
	SHOW(lseek(fd, MOST - 2, SEEK_SET) == MOST - 2);
	SHOW(write(fd, "name", 4));
	SHOW(read(fd, (char[4]){ 0 }, 4));
	close(fd);
	writes("/dev/vda", MUST(open("/dev/vda", O_RDWR)));
	seeks("/proc/self/mem");
	seeks("/proc/self/status");
	control();
	control_at_holes();
	control_without_descriptors();
	return 0;
}
