/* Covers: /proc/PID/pagemap; PROCMAP_QUERY of /proc/PID/maps: sizes, flags, names, build ids, errors and their order. */
#include "case.h"
#include <sys/ioctl.h>

struct query {
	uint64_t size, flags, address, start, end, rights, page_size, offset, inode;
	uint32_t device_major, device_minor, name_size, id_size;
	uint64_t name, id;
};
#define QUERY 0xc0686611ul

static int maps;
static char name[300];

static void ask(const char *what, void *at, unsigned flags, char *base)
{
	struct query q = { .size = sizeof q, .flags = flags, .address = (uint64_t)at, .name = (uint64_t)name, .name_size = sizeof name };
	memset(name, 0, sizeof name);
	if (ioctl(maps, QUERY, &q))
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %+ld %ld rights %lx page %ld offset %lx inode %d device %d name %u %s\n", what, ((long)q.start - (long)base) / PAGE,
		       (long)(q.end - q.start) / PAGE, q.rights, q.page_size, q.offset, q.inode != 0, q.device_major + q.device_minor != 0, q.name_size, name);
}

static void queries(char *self)
{
	maps = (int)MUST(open("/proc/self/maps", O_RDONLY));
	int fd = (int)MUST(syscall(SYS_memfd_create, "some name", 0));
	MUST(ftruncate(fd, 8 * PAGE));
	char *base = (char *)MUST(mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(munmap(base, 16 * PAGE));
	MUST(mmap(base + 1 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	MUST(mmap(base + 3 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	MUST(mmap(base + 5 * PAGE, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 2 * PAGE));
	MUST(mmap(base + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, PAGE));
	MUST(mmap(base + 11 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	for (int page = 0; page < 12; page++)
		for (unsigned flags = 0; flags < 0x40; flags += page == 0 || page == 4 ? 1 : 16) {
			char what[40];
			snprintf(what, sizeof what, "page %d, flags %x", page, flags);
			ask(what, base + page * PAGE + 9, flags, base);
		}
	ask("unknown flags", base, 0x40, base);
	ask("unknown flags", base, 1u << 31, base);
	ask("the highest address", (void *)-1l, 0x10, base);
	ask("beyond the program", (void *)(1l << 47), 0x10, base);
	struct query q = { 0 };
	static const uint64_t sizes[] = { 0, 8, 23, 24, 25, 32, 88, 103, 104, 105, 112, 4096, 4097, -1ul, 1ul << 63 };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char room[4200];
		memset(room, 0, sizeof room);
		q = (struct query){ .size = sizes[i], .address = (uint64_t)base + 4 * PAGE };
		memcpy(room, &q, sizeof q);
		int error = ioctl(maps, QUERY, room) ? errno : 0;
		memcpy(&q, room, sizeof q);
		printf("size %#lx: %s, start %d, page size %ld\n", sizes[i], error ? error_name(error) : "ok", q.start == (uint64_t)base + 3 * PAGE, q.page_size);
		if (sizes[i] > 104 && sizes[i] <= 4096) {
			room[sizes[i] - 1] = 1;
			printf("not zero after it: %s\n", ioctl(maps, QUERY, room) ? error_name(errno) : "ok");
		}
	}
	for (unsigned room = 0; room < 30; room++) {
		memset(name, '!', sizeof name);
		q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .name = room ? (uint64_t)name : 0, .name_size = room };
		int error = ioctl(maps, QUERY, &q) ? errno : 0;
		printf("room %u: %s %u %.4s\n", room, error ? error_name(error) : "ok", q.name_size, name);
	}
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .name_size = 5 };
	SHOW(ioctl(maps, QUERY, &q));
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .name = (uint64_t)name };
	SHOW(ioctl(maps, QUERY, &q));
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .id_size = 5 };
	SHOW(ioctl(maps, QUERY, &q));
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .name = 8, .name_size = 100 };
	SHOW(ioctl(maps, QUERY, &q));
	q = (struct query){ .size = sizeof q, .address = 0, .flags = 0x40, .name = 8 };
	SHOW(ioctl(maps, QUERY, &q));
	SHOW(ioctl(maps, QUERY, (void *)8));
	SHOW(ioctl(maps, 0x1234, &q));
	int other = (int)MUST(open("/proc/self/smaps", O_RDONLY));
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE };
	SHOW(ioctl(other, QUERY, &q));
	close(other);
	/* The program's own build id, and none. */
	unsigned char id[64];
	for (unsigned room = 0; room < 64; room += 19) {
		memset(id, 0, sizeof id);
		q = (struct query){ .size = sizeof q, .address = (uint64_t)queries, .id = room ? (uint64_t)id : 0, .id_size = room };
		int error = ioctl(maps, QUERY, &q) ? errno : 0;
		unsigned sum = 0;
		for (unsigned i = 0; i < sizeof id; i++)
			sum = sum * 31 + id[i];
		printf("room for an id %u: %s %u %x\n", room, error ? error_name(error) : "ok", q.id_size, sum);
	}
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE, .id = (uint64_t)id, .id_size = 64 };
	SHOW(ioctl(maps, QUERY, &q));
	printf("%u\n", q.id_size);
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 3 * PAGE, .id = (uint64_t)id, .id_size = 64 };
	SHOW(ioctl(maps, QUERY, &q));
	printf("%u\n", q.id_size);
	static const char *const labels[] = { "[heap]", "[stack]" };
	char *heap = sbrk(0);
	brk(heap + PAGE);
	ask(labels[0], heap, 0, heap);
	q = (struct query){ .size = sizeof q, .address = (uint64_t)&q, .name = (uint64_t)name, .name_size = sizeof name };
	SHOW(ioctl(maps, QUERY, &q));
	printf("%s\n", name);
	/* A process that has gone. */
	pid_t child = (pid_t)MUST(fork());
	if (child == 0)
		pause();
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/maps", child);
	other = (int)MUST(open(path, O_RDONLY));
	q = (struct query){ .size = sizeof q, .address = (uint64_t)base + 5 * PAGE };
	SHOW(ioctl(other, QUERY, &q));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	SHOW(ioctl(other, QUERY, &q));
	close(other);
}

static int pagemap;

static void words(const char *what, char *at, int count)
{
	uint64_t found[16];
	printf("%s: %ld", what, (long)pread(pagemap, found, count * 8, (uint64_t)at / PAGE * 8));
	for (int i = 0; i < count; i++)
		printf(" %lx%s", found[i] >> 55, found[i] & ((1ul << 55) - 1) ? "+" : "");
	printf("\n");
}

static void pages(void)
{
	uint64_t word = 7;
	struct stat status;
	MUST(stat("/proc/self/pagemap", &status));
	printf("mode %o, size %ld\n", status.st_mode, (long)status.st_size);
	pagemap = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	int fd = (int)MUST(syscall(SYS_memfd_create, "pages", 0));
	MUST(ftruncate(fd, 8 * PAGE));
	char *at = (char *)MUST(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *shared = (char *)MUST(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	words("untouched", at, 8);
	at[PAGE] = at[3 * PAGE] = 1;
	words("touched", at, 8);
	MUST(mprotect(at + 3 * PAGE, PAGE, PROT_NONE));
	words("hidden", at, 8);
	MUST(munmap(at + 5 * PAGE, PAGE));
	words("with a hole", at, 8);
	words("of a file", shared, 4);
	shared[PAGE] = 1;
	words("of a file", shared + PAGE, 1);
	IN_CHILD(words("in a child", at + PAGE, 1); at[PAGE] = 2; words("its own", at + PAGE, 1));
	SHOW(pread(pagemap, &word, 7, 0));
	SHOW(pread(pagemap, &word, 8, 1));
	SHOW(pread(pagemap, &word, 0, 0));
	SHOW(pread(pagemap, &word, 0, 3));
	SHOW(pread(pagemap, &word, 8, 0));
	printf("%lx\n", word);
	SHOW(pread(pagemap, (void *)8, 8, 0));
	SHOW(pread(pagemap, &word, 8, (1l << 47) / PAGE * 8));
	SHOW(pread(pagemap, &word, 8, (1l << 47) / PAGE * 8 - 8));
	SHOW(pread(pagemap, &word, 8, (1l << 47) / PAGE * 8 - 16));
	SHOW(pread(pagemap, &word, 8, 1l << 62));
	SHOW(lseek(pagemap, 16, SEEK_SET));
	SHOW(read(pagemap, &word, 8));
	SHOW(lseek(pagemap, 0, SEEK_CUR));
	SHOW(lseek(pagemap, 0, SEEK_END));
	SHOW(lseek(pagemap, 5, SEEK_CUR));
	SHOW(read(pagemap, &word, 8));
	SHOW(write(pagemap, &word, 8));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		words("a descriptor of root's", at + PAGE, 1);
		SHOW(open("/proc/1/pagemap", O_RDONLY));
		SHOW(open("/proc/self/pagemap", O_RDONLY) >= 0));
}

int main(int argc, char **argv)
{
	queries(argv[0]);
	pages();
	return 0;
}
