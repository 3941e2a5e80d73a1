/* landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2): versions, sizes, errors and their order. */
#include "landlock_case.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>

static long create_raw(const void *set, size_t size, unsigned flags)
{
	return syscall(SYS_landlock_create_ruleset, set, size, flags);
}

static long add(int set, int kind, const void *rule, unsigned flags)
{
	return syscall(SYS_landlock_add_rule, set, kind, rule, flags);
}

static void rulesets(void)
{
	char big[4200] = "";
	struct ruleset all = {ALL_FILES, 3, 3};
	SHOW(create_raw(NULL, 0, 1));
	SHOW(create_raw(NULL, 0, 2));
	SHOW(create_raw(NULL, 0, 3));
	SHOW(create_raw(NULL, 1, 1));
	SHOW(create_raw(&all, 0, 1));
	SHOW(create_raw(&all, sizeof all, 1));
	SHOW(create_raw(&all, sizeof all, 0x80000000));
	SHOW(create_raw(NULL, 0, 0));
	SHOW(create_raw(NULL, sizeof all, 0));
	SHOW(create_raw(NULL, 5000, 0));
	memcpy(big, &all, sizeof all);
	size_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 32, 4096, 4097, -1ul};
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		printf("size %ld: ", (long)sizes[i]);
		TRY(create_raw(big, sizes[i], 0));
	}
	big[24] = 1;
	TRY(create_raw(big, 24, 0));
	TRY(create_raw(big, 25, 0));
	TRY(create_raw(big, 4096, 0));
	TRY(create_raw((void *)8, 24, 0));
	TRY(create(0, 0, 0));
	TRY(create(ALL_FILES + 1, 0, 0));
	TRY(create(1ull << 63, 0, 0));
	TRY(create(0, 4, 0));
	TRY(create(0, 1ull << 40, 0));
	TRY(create(0, 0, 4));
	TRY(create(0, 0, 3));
	TRY(create(0, 3, 0));
	TRY(create(1, 0, 0));
	int set = create(READ_FILE, 0, 0);
	CHECK(fcntl(set, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(set, F_GETFL) & O_ACCMODE) == O_RDWR);
	char link[64] = "", name[64];
	snprintf(name, sizeof name, "/proc/self/fd/%d", set);
	SHOW(readlink(name, link, sizeof link));
	puts(link);
	SHOW(read(set, big, 4));
	SHOW(write(set, big, 4));
	SHOW(lseek(set, 0, SEEK_SET));
	SHOW(ioctl(set, 0x5401, big));
}

static void rules(void)
{
	int set = create(READ_FILE | READ_DIR | MAKE_REG, BIND, 0), ends[2];
	int directory = open("/tmp/ll", O_PATH), file = open("/tmp/ll/file", O_PATH), plain = open("/tmp/ll/file", O_RDONLY);
	MUST(pipe(ends));
	struct path_rule rule = {READ_FILE, directory};
	SHOW(add(set, 1, &rule, 0));
	SHOW(add(set, 1, &rule, 1));
	SHOW(add(-1, 1, &rule, 1));
	SHOW(add(-1, 1, &rule, 0));
	SHOW(add(99, 9, NULL, 0));
	SHOW(add(directory, 1, &rule, 0));
	SHOW(add(plain, 1, &rule, 0));
	SHOW(add(ends[0], 9, &rule, 0));
	SHOW(add(set, 0, &rule, 0));
	SHOW(add(set, 3, &rule, 0));
	SHOW(add(set, 1, NULL, 0));
	SHOW(add(set, 1, (void *)-8l, 0));
	SHOW(add(set, 2, NULL, 0));
	rule.rights = 0;
	SHOW(add(set, 1, &rule, 0));
	rule.parent = -1;
	SHOW(add(set, 1, &rule, 0));
	rule.rights = WRITE_FILE;
	SHOW(add(set, 1, &rule, 0));
	rule.rights = 1ull << 40;
	SHOW(add(set, 1, &rule, 0));
	rule.rights = READ_FILE;
	SHOW(add(set, 1, &rule, 0));
	rule.parent = set;
	SHOW(add(set, 1, &rule, 0));
	rule.parent = ends[0];
	SHOW(add(set, 1, &rule, 0));
	rule.parent = eventfd(0, 0);
	SHOW(add(set, 1, &rule, 0));
	rule.parent = open("/proc/self/ns/uts", O_RDONLY);
	SHOW(add(set, 1, &rule, 0));
	rule.parent = memfd_create("x", 0);
	SHOW(add(set, 1, &rule, 0));
	rule.parent = open("/proc/self", O_PATH);
	SHOW(add(set, 1, &rule, 0));
	rule.parent = file;
	SHOW(add(set, 1, &rule, 0));
	rule.parent = plain;
	SHOW(add(set, 1, &rule, 0));
	rule.rights = READ_DIR;
	SHOW(add(set, 1, &rule, 0));
	rule.rights = MAKE_REG | READ_FILE;
	SHOW(add(set, 1, &rule, 0));
	rule.parent = directory;
	SHOW(add(set, 1, &rule, 0));
	SHOW(allow_port(set, 80, BIND));
	SHOW(allow_port(set, 80, CONNECT));
	SHOW(allow_port(set, 80, 0));
	SHOW(allow_port(set, 0, BIND));
	SHOW(allow_port(set, 65535, BIND));
	SHOW(allow_port(set, 65536, BIND));
	SHOW(allow_port(set, -1ull, BIND));
	SHOW(allow_port(set, 65536, 0));
	SHOW(allow_port(set, 65536, 8));
	SHOW(allow(create(0, BIND, 0), "/tmp", READ_FILE));
	SHOW(allow_port(create(READ_FILE, 0, 0), 80, BIND));
}

static void restrictions(void)
{
	int set = create(MAKE_SOCK, 0, 0), directory = open("/tmp", O_RDONLY);
	SHOW(syscall(SYS_landlock_restrict_self, -1, 0));
	SHOW(syscall(SYS_landlock_restrict_self, -1, 1));
	SHOW(syscall(SYS_landlock_restrict_self, directory, 0));
	SHOW(syscall(SYS_landlock_restrict_self, set, 1));
	SHOW(syscall(SYS_landlock_restrict_self, set, 0x80000000));
	IN_CHILD(MUST(setuid(1000)); SHOW(syscall(SYS_landlock_restrict_self, set, 0));
		SHOW(syscall(SYS_landlock_restrict_self, -1, 1));
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		SHOW(syscall(SYS_landlock_restrict_self, set, 0));
		SHOW(syscall(SYS_landlock_restrict_self, -1, 1)););
	for (int i = 0; i < 18; i++)
		SHOW(syscall(SYS_landlock_restrict_self, set, 0));
	SHOW(mknod("/tmp/ll/sock", S_IFSOCK | 0600, 0));
	SHOW(mknod("/tmp/ll/pipe", S_IFIFO | 0600, 0));
	int empty = create(0, BIND, 0);
	SHOW(syscall(SYS_landlock_restrict_self, empty, 0));
	IN_CHILD(SHOW(syscall(SYS_landlock_restrict_self, empty, 0)); SHOW(mknod("/tmp/ll/sock", S_IFSOCK | 0600, 0)););
}

int main(void)
{
	mkdir("/tmp/ll", 0777);
	put_file("/tmp/ll/file", "x", 0666);
	puts("== rulesets");
	rulesets();
	puts("== rules");
	rules();
	puts("== restrictions");
	IN_CHILD(restrictions());
	unlink("/tmp/ll/pipe");
	unlink("/tmp/ll/file");
	rmdir("/tmp/ll");
	return 0;
}
