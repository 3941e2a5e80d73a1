/* statmount(2) and listmount(2): all that they tell, sizes at the edges, namespaces by number, the order of errors. */
#include "case.h"
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#define ROOT "/tmp/sm"
#define UNIQUE (1ull << 31)
#define ALL 0xff
enum { SB_BASIC = 1, MNT_BASIC = 2, PROPAGATE_FROM = 4, MNT_ROOT = 8, MNT_POINT = 16, FS_TYPE = 32, NS_ID = 64, OPTS = 128 };

struct request {
	uint32_t size, spare;
	uint64_t number, parameter, ns;
};

struct report {
	uint32_t size, options;
	uint64_t mask;
	uint32_t major, minor;
	uint64_t magic;
	uint32_t flags, type;
	uint64_t number, parent;
	uint32_t old, old_parent;
	uint64_t attributes, propagation, group, master, from;
	uint32_t root, point;
	uint64_t ns, spare[49];
	char text[];
};

static char buffer[8192];

static long ask(uint64_t number, uint64_t mask, uint64_t ns, size_t size)
{
	struct request r = {sizeof r, 0, number, mask, ns};
	memset(buffer, 0xee, sizeof buffer);
	return syscall(SYS_statmount, &r, buffer, size, 0);
}

static long list(uint64_t number, uint64_t last, uint64_t ns, uint64_t *found, size_t count, unsigned flags)
{
	struct request r = {sizeof r, 0, number, last, ns};
	return syscall(SYS_listmount, &r, found, count, flags);
}

static uint64_t number_of(const char *path)
{
	struct statx x;
	MUST(syscall(SYS_statx, AT_FDCWD, path, 0, 0x4000, &x));
	return ((uint64_t *)&x)[18];
}

static uint64_t ns_number(int ns)
{
	uint64_t number = 0;
	MUST(ioctl(ns, 0x8008b705, &number));
	return number;
}

static void show(const char *name, uint64_t mask)
{
	struct report *r = (struct report *)buffer;
	printf("-- %s %#llx\n", name, (unsigned long long)mask);
	if (TRY(ask(number_of(name), mask, 0, sizeof buffer)) < 0)
		return;
	printf("mask %#llx\n", (unsigned long long)r->mask);
	if (r->mask & SB_BASIC)
		printf("magic %#llx flags %#x major %u\n", (unsigned long long)r->magic, r->flags, r->major);
	if (r->mask & MNT_BASIC) {
		printf("same number %d, old differs %d, attributes %#llx propagation %#llx group %d master %d\n",
			r->number == number_of(name), r->number != r->old, (unsigned long long)r->attributes,
			(unsigned long long)r->propagation, r->group != 0, r->master != 0);
		printf("below the root %d\n", r->parent == number_of(ROOT));
	}
	if (r->mask & PROPAGATE_FROM)
		printf("from %d\n", r->from != 0);
	if (r->mask & FS_TYPE)
		printf("type %s\n", r->text + r->type);
	if (r->mask & MNT_ROOT)
		printf("root %s\n", r->text + r->root);
	if (r->mask & MNT_POINT)
		printf("point %s\n", r->text + r->point);
	if (r->mask & OPTS)
		printf("options end %s\n", r->text[r->options] == ',' ? "wrong" : "well");
	if (r->mask & NS_ID)
		printf("namespace %d\n", r->ns == ns_number((int)MUST(open("/proc/self/ns/mnt", O_RDONLY))));
	if (!(r->mask & OPTS))
		printf("%d bytes more, first %d\n", (int)r->size - 512, r->size > 512 ? r->text[0] : -1);
	else if (!strcmp(name, ROOT "/d"))
		printf("%zu bytes of options\n", strlen(r->text + r->options));
}

static int kinds(const uint64_t *numbers, long count)
{
	int rising = 1;
	for (long i = 1; i < count; i++)
		rising = rising && numbers[i] > numbers[i - 1];
	return rising;
}

int main(void)
{
	struct request r = {0};
	uint64_t found[64], other;
	char long_request[4200];

	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", 0, MS_REC | MS_PRIVATE, 0));
	mkdir(ROOT, 0755);
	MUST(mount("root", ROOT, "tmpfs", MS_NOSUID, "size=1m"));
	mkdir(ROOT "/a", 0755);
	mkdir(ROOT "/a/in side", 0755);
	mkdir(ROOT "/b", 0755);
	mkdir(ROOT "/c\\x", 0755);
	mkdir(ROOT "/d", 0755);
	MUST(mount("one", ROOT "/a", "tmpfs", MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOATIME, "size=1m"));
	MUST(mount("none", ROOT "/a", 0, MS_REMOUNT, "size=1m"));
	mkdir(ROOT "/a/in side", 0755);
	MUST(mount(ROOT "/a/in side", ROOT "/c\\x", 0, MS_BIND, 0));
	MUST(mount("p", ROOT "/d", "proc", MS_NODIRATIME | MS_STRICTATIME, 0));
	MUST(mount("none", ROOT "/a", 0, MS_SHARED, 0));
	MUST(mount(ROOT "/a", ROOT "/b", 0, MS_BIND, 0));
	MUST(mount("none", ROOT "/b", 0, MS_SLAVE, 0));

	puts("== what they tell");
	show(ROOT, ALL);
	for (uint64_t bit = 1; bit <= 128; bit *= 2)
		show(ROOT "/a", bit);
	show(ROOT "/b", MNT_BASIC | PROPAGATE_FROM | MNT_POINT);
	show(ROOT "/c\\x", MNT_BASIC | MNT_ROOT | MNT_POINT);
	show(ROOT "/d", SB_BASIC | MNT_BASIC | FS_TYPE | MNT_POINT);
	show(ROOT "/d", OPTS);
	show(ROOT "/a", 0);
	MUST(mount("none", ROOT "/d", 0, MS_UNBINDABLE, 0));
	MUST(mount("none", ROOT "/d", 0, MS_REMOUNT | MS_RDONLY | MS_SYNCHRONOUS | MS_NOSUID, 0));
	show(ROOT "/d", SB_BASIC | MNT_BASIC);
	show(ROOT "/a", 1ull << 40 | SB_BASIC);
	for (uint64_t bit = 256; bit <= 1 << 14; bit *= 2)
		show(ROOT "/a", bit);

	puts("== sizes");
	uint64_t a = number_of(ROOT "/a");
	size_t sizes[] = {0, 1, 4, 8, 16, 511, 512, 513, 517, 518, 519, 520, 4096};
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		printf("%zu: ", sizes[i]);
		SHOW(ask(a, FS_TYPE, 0, sizes[i]));
		printf("%zu: ", sizes[i]);
		SHOW(ask(a, MNT_BASIC, 0, sizes[i]));
		printf("first %#x, after it %#x\n", *(uint32_t *)buffer, (unsigned char)buffer[sizes[i]]);
	}
	uint32_t request_sizes[] = {0, 23, 24, 25, 31, 32, 33, 40, 4096, 4097};
	for (unsigned i = 0; i < sizeof request_sizes / sizeof *request_sizes; i++) {
		memset(long_request, 0, sizeof long_request);
		memcpy(long_request, &(struct request){request_sizes[i], 0, a, FS_TYPE, 0}, sizeof r);
		printf("request of %u: ", request_sizes[i]);
		SHOW(syscall(SYS_statmount, long_request, buffer, 4096, 0));
		long_request[34] = 1;
		printf("with more: ");
		SHOW(syscall(SYS_statmount, long_request, buffer, 4096, 0));
	}

	puts("== errors, and which comes first");
	r = (struct request){sizeof r, 0, a, FS_TYPE, 0};
	SHOW(syscall(SYS_statmount, &r, buffer, 4096, 1));
	SHOW(syscall(SYS_statmount, NULL, buffer, 4096, 1));
	SHOW(syscall(SYS_statmount, NULL, buffer, 4096, 0));
	SHOW(syscall(SYS_statmount, &r, NULL, 4096, 0));
	SHOW(syscall(SYS_statmount, &r, (void *)-1l, 4096, 0));
	SHOW(syscall(SYS_statmount, &r, buffer, -1l, 0));
	SHOW(ask(0, FS_TYPE, 0, 4096));
	SHOW(ask(1, FS_TYPE, 0, 4096));
	SHOW(ask(UNIQUE, FS_TYPE, 0, 4096));
	SHOW(ask(UNIQUE + 1000000, FS_TYPE, 0, 4096));
	SHOW(ask(UNIQUE + 1000000, FS_TYPE, 0, 512));
	SHOW(ask(-1ull, FS_TYPE, 0, 4096));
	SHOW(ask(a, FS_TYPE, 12345678, 4096));
	SHOW(ask(a, FS_TYPE, 12345678, 512));
	r.spare = 7;
	SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
	r.ns = 1;
	SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
	r = (struct request){sizeof r, 0, 5, FS_TYPE, 12345678};
	SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));

	puts("== lists");
	long count = list(number_of(ROOT), 0, 0, found, 64, 0);
	printf("%ld below, rising %d\n", count, kinds(found, count));
	for (long i = 0; i < count; i++) {
		MUST(ask(found[i], MNT_POINT, 0, sizeof buffer));
		puts(((struct report *)buffer)->text + ((struct report *)buffer)->point);
	}
	SHOW(list(number_of(ROOT), found[0], 0, found + 8, 64 - 8, 0));
	SHOW(list(number_of(ROOT), found[count - 1], 0, found + 8, 64 - 8, 0));
	SHOW(list(number_of(ROOT), 0, 0, found + 8, 2, 0));
	CHECK(found[8] == found[0] && found[9] == found[1]);
	SHOW(list(number_of(ROOT), 0, 0, found + 8, 2, 1));
	CHECK(found[8] == found[count - 1] && found[9] == found[count - 2]);
	SHOW(list(number_of(ROOT), found[1], 0, found + 8, 9, 1));
	CHECK(found[8] == found[0]);
	SHOW(list(number_of(ROOT), found[0], 0, found + 8, 9, 1));
	SHOW(list(number_of(ROOT), 0, 0, found + 8, 0, 0));
	SHOW(list(number_of(ROOT "/a"), 0, 0, found + 8, 9, 0));
	CHECK(list(-1ull, 0, 0, found, 64, 0) > count);
	SHOW(list(number_of(ROOT), 0, 0, found, 64, 2));
	SHOW(list(number_of(ROOT), 0, 0, found, 1000001, 2));
	SHOW(list(number_of(ROOT), 0, 0, found, 1000001, 0));
	SHOW(list(number_of(ROOT), 0, 0, NULL, 1, 0));
	SHOW(list(number_of(ROOT), 0, 0, (void *)-8l, 2, 0));
	SHOW(list(5, 0, 0, (void *)-8l, 2, 0));
	SHOW(list(5, 0, 0, found, 2, 0));
	SHOW(list(number_of(ROOT), 5, 0, found, 2, 0));
	SHOW(list(number_of(ROOT), UNIQUE, 0, found, 2, 0));
	SHOW(list(number_of(ROOT), -2ull, 0, found, 2, 0));
	SHOW(list(UNIQUE + 1000000, 0, 0, found, 2, 0));
	SHOW(list(number_of(ROOT), 5, 12345678, found, 2, 0));
	SHOW(list(number_of(ROOT), 0, 12345678, found, 2, 0));

	puts("== namespaces");
	int mine = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
	int uts = (int)MUST(open("/proc/self/ns/uts", O_RDONLY));
	uint64_t first = ns_number(mine), below = number_of(ROOT);
	SHOW(ioctl(uts, 0x8008b705, &other));
	SHOW(ioctl(mine, 0x8008b705, NULL));
	SHOW(ask(number_of(ROOT), FS_TYPE, first, 4096));
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		int own = (int)MUST(open("/proc/self/ns/mnt", O_RDONLY));
		uint64_t second = ns_number(own);
		CHECK(second > first);
		CHECK(number_of(ROOT) != a);
		SHOW(ask(a, FS_TYPE, 0, 4096));
		SHOW(ask(a, FS_TYPE | NS_ID, first, 4096));
		CHECK(((struct report *)buffer)->ns == first);
		SHOW(ask(a, FS_TYPE, second, 4096));
		SHOW(ask(number_of(ROOT "/a"), FS_TYPE | NS_ID, second, 4096));
		CHECK(((struct report *)buffer)->ns == second);
		SHOW(list(below, 0, first, found, 64, 0));
		r = (struct request){sizeof r, mine, below, 0, 0};
		SHOW(syscall(SYS_listmount, &r, found, 64, 0));
		r.parameter = FS_TYPE | NS_ID;
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		CHECK(((struct report *)buffer)->ns == first);
		r.size = 24;
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		r.size = 32;
		r.ns = first;
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		SHOW(syscall(SYS_listmount, &r, found, 64, 0));
		r.ns = 0;
		r.spare = uts;
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		r.spare = open("/", O_RDONLY);
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		r.spare = open("/proc/self/ns/mnt", O_PATH);
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		r.spare = 77;
		SHOW(syscall(SYS_statmount, &r, buffer, 4096, 0));
		SHOW(syscall(SYS_statmount, &r, buffer, 512, 0));
		SHOW(syscall(SYS_statmount, &r, NULL, 4096, 0));
		r.parameter = 0;
		SHOW(syscall(SYS_listmount, &r, NULL, 64, 0));
		SHOW(syscall(SYS_listmount, &r, found, 64, 0));
		r.number = 4;
		SHOW(syscall(SYS_listmount, &r, found, 64, 0));
		struct { uint32_t size, count; uint64_t number; } info = {0, 0, 0};
		SHOW(ioctl(own, 0x8010b70a, &info));
		printf("size %u, count fits %d, number fits %d\n", info.size, (int)info.count > 3, info.number == second);
		int next = ioctl(mine, 0x8010b70b, &info);
		CHECK(next >= 0 && info.number == second);
		CHECK(fcntl(next, F_GETFD) == FD_CLOEXEC);
		SHOW(ioctl(own, 0x8010b70b, &info));
		int before = ioctl(own, 0x8010b70c, 0);
		CHECK(before >= 0 && ns_number(before) == first);
		SHOW(ioctl(own, 0x8010b70a, 0));
		SHOW(ioctl(own, 0x8008b70a, &info));
		SHOW(ioctl(own, 0x8008b70b, &info));
		SHOW(ioctl(uts, 0x8010b70a, &info));
		SHOW(ioctl(uts, 0x8010b70b, &info));
		MUST(setuid(1000));
		SHOW(ask(a, FS_TYPE, first, 4096));
		SHOW(ask(a, FS_TYPE, first, 512));
		SHOW(ask(UNIQUE + 1000000, FS_TYPE, first, 4096));
		SHOW(ask(number_of(ROOT), FS_TYPE, second, 4096));
		SHOW(list(-1ull, 0, first, found, 64, 0));
		SHOW(list(UNIQUE + 1000000, 0, first, found, 64, 0));
		r = (struct request){sizeof r, mine, below, FS_TYPE, 0};
		SHOW(syscall(SYS_statmount, &r, buffer, 512, 0));
		r.parameter = 0;
		r.number = -1ull;
		SHOW(syscall(SYS_listmount, &r, found, 0, 0));
		SHOW(ioctl(own, 0x8010b70c, 0));
		SHOW(ioctl(own, 0x8008b70c, &info));
		SHOW(ioctl(own, 0x8010b70b, 0));
		SHOW(ioctl(own, 0x8010b70a, &info));
		SHOW(ioctl(uts, 0x8010b70b, 0));
	});

	puts("== under another root");
	uint64_t top = number_of("/tmp"), root = number_of(ROOT), proc = number_of(ROOT "/d");
	int own_ns = (int)first;
	(void)own_ns;
	IN_CHILD({
		MUST(chroot(ROOT "/a"));
		MUST(chdir("/"));
		SHOW(ask(a, MNT_POINT, 0, 4096));
		printf("%s\n", ((struct report *)buffer)->text + ((struct report *)buffer)->point);
		SHOW(ask(root, MNT_POINT, 0, 4096));
		printf("mask %#llx\n", (unsigned long long)((struct report *)buffer)->mask);
		SHOW(list(-1ull, 0, 0, found, 64, 0));
		SHOW(list(root, 0, 0, found, 64, 0));
		MUST(setuid(1000));
		SHOW(ask(a, MNT_POINT, 0, 4096));
		SHOW(ask(root, MNT_POINT, 0, 4096));
		SHOW(ask(proc, MNT_POINT, 0, 4096));
		SHOW(ask(top, MNT_POINT, 0, 4096));
		SHOW(list(-1ull, 0, 0, found, 64, 0));
		SHOW(list(root, 0, 0, found, 64, 0));
	});
	return 0;
}
