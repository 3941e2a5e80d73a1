/* Covers: memfd_create(2): every flag and size of huge pages, names, the order of errors, what files are like at first; vm.memfd_noexec, and
 * how pid namespaces inherit it.
 */
#define _GNU_SOURCE
#include "case.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#define CLOEXEC 1u
#define SEALING 2u
#define HUGE 4u
#define NOEXEC 8u
#define EXEC 16u
#define SETTING "/proc/sys/vm/memfd_noexec"

static int make(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }

static void look_at(const char *what, int fd)
{
	struct stat is;
	char text[400] = "", path[64];
	if (fd < 0) {
		printf("%s: %s\n", what, error_name(errno));
		return;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, text, sizeof text - 1);
	MUST(fstat(fd, &is));
	printf("%s: mode %o, links %ld, size %ld, blocks of %ld, owner %d:%d, flags %#x %d, seals %#x, name of %zd: %s\n", what, is.st_mode,
		(long)is.st_nlink, (long)is.st_size, (long)is.st_blksize, (int)is.st_uid, (int)is.st_gid, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD),
		fcntl(fd, 1034), length, text);
	close(fd);
}

static void try(const char *name, unsigned flags)
{
	char what[64];
	errno = 0;
	snprintf(what, sizeof what, "flags %#x", flags);
	look_at(what, make(name, flags));
}

static void flags(void)
{
	puts("--- flags");
	for (unsigned i = 0; i < 64; i++)
		try("flags", i);
	for (int bit = 5; bit < 32; bit++) {
		try("bit", 1u << bit);
		try("bit", 1u << bit | HUGE);
	}
	for (unsigned shift = 0; shift < 64; shift++) {
		try("size", shift << 26 | HUGE);
		try("size", shift << 26 | HUGE | NOEXEC | SEALING);
	}
}

static void names(void)
{
	static char name[600];
	puts("--- names");
	for (int length = 0; length < 600; length = length == 0 ? 1 : length == 1 ? 247 : length < 257 ? length + 1 : length == 257 ? 599 : 600) {
		memset(name, 'n', sizeof name);
		name[length] = 0;
		printf("%d ", length);
		try(name, 0);
	}
	try("a/b\n\\ \x7f\xff*", 0);
	char *place = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(munmap(place + 2 * PAGE, PAGE));
	memset(place, 'x', 2 * PAGE);
	try(place, 0);
	for (int left = 248; left < 252; left++) {
		printf("%d at the end ", left);
		try(place + 2 * PAGE - left, 0);
	}
	place[2 * PAGE - 1] = 0;
	try(place + 2 * PAGE - 3, 0);
	try(0, 0);
	try((char *)-1, 0);
	try((char *)(1ul << 63), 0);
}

static void orders(void)
{
	struct rlimit none = { 3, 3 };
	static char name[300];
	memset(name, 'n', sizeof name - 1);
	puts("--- orders");
	try(0, 0x100);
	try(0, EXEC | NOEXEC);
	try(0, HUGE | 63u << 26);
	try(name, HUGE | 63u << 26);
	MUST(setrlimit(RLIMIT_NOFILE, &none));
	try("name", 0);
	try("name", HUGE | 63u << 26);
	try(name, 0);
	try(0, 0);
	try("name", 0x100);
}

static void set(const char *text)
{
	errno = 0;
	int fd = open(SETTING, O_WRONLY);
	long done = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s: %ld %s\n", text, done, done < 0 ? error_name(errno) : "");
	if (fd >= 0)
		close(fd);
	show_file(SETTING);
}

static void all_defaults(void)
{
	static const unsigned some[] = { 0, CLOEXEC, SEALING, EXEC, NOEXEC, EXEC | SEALING, NOEXEC | SEALING, HUGE, HUGE | EXEC, HUGE | NOEXEC,
		EXEC | NOEXEC, 0x100, HUGE | 63u << 26 };
	for (unsigned i = 0; i < sizeof some / sizeof *some; i++)
		try("some", some[i]);
	try(0, EXEC);
	try(0, 0);
}

/* Run something as the first process of a new pid namespace. */
#define IN_NAMESPACE(...) IN_CHILD(MUST(unshare(CLONE_NEWPID)); IN_CHILD(__VA_ARGS__))

static void settings(void)
{
	struct stat is;
	puts("--- vm.memfd_noexec");
	MUST(stat(SETTING, &is));
	printf("mode %o\n", is.st_mode);
	set("3");
	set("-1");
	set("x");
	for (int scope = 0; scope < 3; scope++) {
		set(scope == 0 ? "0" : scope == 1 ? "1" : "2");
		all_defaults();
		IN_CHILD(MUST(setuid(1000)); set("0"); try("user", 0); try("user", EXEC));
		IN_NAMESPACE(show_file(SETTING); set("0"); set("1"); set("0"); try("inside", 0); set("2"); try("inside", EXEC));
		IN_NAMESPACE(show_file(SETTING); set("2"); IN_NAMESPACE(show_file(SETTING); set("0"); try("deep", EXEC)));
	}
	set("0");
	show_file(SETTING);
	try("again", 0);
}

/* What is set above later holds below, too, and what was set below stays. */
static void later(void)
{
	int go[2], done[2];
	char byte;
	puts("--- later");
	MUST(pipe(go));
	MUST(pipe(done));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(unshare(CLONE_NEWPID));
		pid_t inner = (pid_t)MUST(fork());
		if (inner == 0) {
			for (int i = 0; i < 4; i++) {
				MUST(read(go[0], &byte, 1));
				show_file(SETTING);
				try("inside", 0);
				if (i == 1)
					set("0");
				if (i == 2)
					set("1");
				MUST(write(done[1], "x", 1));
			}
			fflush(stdout);
			_exit(0);
		}
		show_end(inner);
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		set(i == 1 ? "1" : i == 2 ? "0" : i == 3 ? "0" : "0");
		MUST(write(go[1], "x", 1));
		MUST(read(done[0], &byte, 1));
	}
	show_end(child);
	set("0");
}

/* Setting it needs CAP_SYS_ADMIN over the pid namespace, and the file is root's. */
static void rights(void)
{
	puts("--- rights");
	IN_CHILD(MUST(unshare(CLONE_NEWUSER)); set("1"));
	IN_CHILD(MUST(unshare(CLONE_NEWUSER | CLONE_NEWPID)); IN_CHILD(set("1"); try("owned", 0)));
	IN_CHILD(int fd = (int)MUST(open(SETTING, O_WRONLY)); MUST(unshare(CLONE_NEWUSER)); SHOW(write(fd, "1", 1)); SHOW(write(fd, "x", 1)));
	IN_CHILD(int fd = (int)MUST(open(SETTING, O_WRONLY)); MUST(unshare(CLONE_NEWUSER | CLONE_NEWPID));
		IN_CHILD(SHOW(write(fd, "1", 1)); show_file(SETTING)));
	show_file(SETTING);
}

int main(void)
{
	int null = (int)MUST(open("/dev/null", O_RDONLY));
	MUST(dup2(null, 0));
	if (null > 0)
		close(null);
	flags();
	names();
	IN_CHILD(orders());
	settings();
	later();
	rights();
	return 0;
}
