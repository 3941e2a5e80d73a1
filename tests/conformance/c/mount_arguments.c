/*
 * Covers: the arguments of mount(2): pointers that lead nowhere, texts that are too long, that end at a page or have no end, in which order they are
 * looked at; what is left of options that fill a page; sources of bind mounts and moves that are missing or wrong; flags beyond 32 bits; places that
 * have been removed; remounts by the administrator of a user namespace.
 */
#define _GNU_SOURCE
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#define AT "/tmp/arguments/at"
#define MOUNT(source, target, type, flags, data) syscall(SYS_mount, (long)(source), (long)(target), (long)(type), (long)(flags), (long)(data))
#define COUNT(array) (sizeof(array) / sizeof *(array))

static char *pages; /* two, and a hole behind them */

/* A text of that many bytes, without its NUL if it is to end at the hole. */
static char *text_of(const char *start, size_t length, int has_end)
{
	char *at = pages + 2 * PAGE - length - (has_end ? 1 : 0);
	memset(at, 'x', length);
	memcpy(at, start, strlen(start) < length ? strlen(start) : length);
	if (has_end)
		at[length] = 0;
	return at;
}

static void pointers(void)
{
	static const unsigned long bad[] = { 1, 4095, 0x7fffffffe000, 0x7ffffffff000, 0x800000000000, 0x7fffffffffffffff, -1ul, -4096ul };
	for (unsigned i = 0; i < COUNT(bad); i++) {
		printf("%#lx\n", bad[i]);
		SHOW(MOUNT(bad[i], AT, "tmpfs", 0, 0));
		SHOW(MOUNT("none", bad[i], "tmpfs", 0, 0));
		SHOW(MOUNT("none", AT, bad[i], 0, 0));
		SHOW(MOUNT("none", AT, "tmpfs", 0, bad[i]));
		SHOW(MOUNT(bad[i], "/absent", "tmpfs", MS_NOUSER, 0));
		SHOW(MOUNT("none", bad[i], "absent", MS_NOUSER, 0));
		SHOW(MOUNT("none", "/absent", bad[i], MS_NOUSER, 0));
		SHOW(MOUNT("none", "/absent", "tmpfs", MS_NOUSER, bad[i]));
		SHOW(MOUNT(bad[i], AT, 0, MS_PRIVATE, 0));
		SHOW(MOUNT(0, AT, bad[i], MS_PRIVATE, 0));
		SHOW(MOUNT(0, AT, 0, MS_PRIVATE, bad[i]));
	}
	SHOW(MOUNT(0, 0, 0, 0, 0));
	SHOW(MOUNT("none", 0, "tmpfs", 0, 0));
	SHOW(MOUNT("none", "", "tmpfs", 0, 0));
	SHOW(MOUNT(0, AT, "tmpfs", 0, 0));
	SHOW(umount2(AT, 0));
	SHOW(MOUNT("", AT, "tmpfs", 0, 0));
	SHOW(umount2(AT, 0));
	SHOW(MOUNT("none", AT, "", 0, 0));
	SHOW(MOUNT("none", AT, "tmpfs", MS_NOUSER, 0));
	SHOW(MOUNT("none", "/absent", "tmpfs", MS_NOUSER, 0));
	SHOW(MOUNT("none", AT, "absent", MS_NOUSER, 0));
}

static void lengths(void)
{
	static const int lengths[] = { 1, 15, 16, 63, 255, 256, 4094, 4095, 4096, 4097 };
	for (unsigned i = 0; i < COUNT(lengths); i++)
		for (int end = 1; end >= 0; end--) {
			int n = lengths[i];
			printf("%d bytes%s:", n, end ? "" : " without an end");
			printf(" source %s", MOUNT(text_of("s", n, end), AT, "tmpfs", 0, 0) ? error_name(errno) : "ok");
			umount2(AT, 0);
			printf(" target %s", MOUNT("none", text_of("/tmp/", n, end), "tmpfs", 0, 0) ? error_name(errno) : "ok");
			printf(" type %s", MOUNT("none", AT, text_of("tmpfs", n, end), 0, 0) ? error_name(errno) : "ok");
			printf(" options %s", MOUNT("none", AT, "tmpfs", 0, text_of("mode=700,", n, end)) ? error_name(errno) : "ok");
			while (umount2(AT, 0) == 0)
				;
			printf(" of commas %s\n", MOUNT("none", AT, "ramfs", 0, memset(text_of("", n, end), ',', n)) ? error_name(errno) : "ok");
			while (umount2(AT, 0) == 0)
				;
		}
	/* A source that is long is shown whole. */
	SHOW(MOUNT(text_of("long", 200, 1), AT, "tmpfs", 0, 0));
	char line[8192];
	FILE *file = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, file))
		if (strstr(line, " " AT " "))
			printf("%zu bytes of source\n", strcspn(line, " "));
	fclose(file);
	SHOW(umount2(AT, 0));
	/* Characters that are written by their numbers. */
	SHOW(MOUNT("a b\tc\nd\\e#f,\"'", AT, "tmpfs", 0, 0));
	file = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, file))
		if (strstr(line, " " AT " "))
			printf("%.*s\n", (int)strcspn(line, " "), line);
	fclose(file);
	SHOW(umount2(AT, 0));
}

static void sources(void)
{
	static const char *const sources[] = { 0, "", "/absent", "/tmp/arguments/file", "/tmp/arguments/file/", "/tmp/arguments/file/x", "/tmp/arguments/from",
		"/tmp/arguments", "/tmp/arguments/link", "/tmp/arguments/nowhere", "/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/fd/0", "/", ".", "..",
		"/proc/self/exe", "/dev/null" };
	static const char *const targets[] = { AT, "/tmp/arguments/target", "/absent", "/", "/tmp/arguments/link", "/tmp/arguments/from", "/tmp/arguments" };
	static const unsigned long flags[] = { MS_BIND, MS_BIND | MS_REC, MS_MOVE };
	MUST(mount("none", "/tmp/arguments/from", "tmpfs", 0, 0));
	for (unsigned t = 0; t < COUNT(targets); t++)
		for (unsigned f = 0; f < COUNT(flags); f++) {
			printf("%#lx to %s:", flags[f], targets[t]);
			for (unsigned s = 0; s < COUNT(sources); s++) {
				fflush(stdout);
				pid_t child = (pid_t)MUST(fork());
				if (child == 0) {
					MUST(unshare(CLONE_NEWNS));
					printf(" %s %s", sources[s] ? sources[s] : "none", MOUNT(sources[s], targets[t], "any", flags[f], "any") ? error_name(errno) : "ok");
					fflush(stdout);
					_exit(0);
				}
				MUST(waitpid(child, NULL, 0));
			}
			putchar('\n');
		}
	MUST(umount("/tmp/arguments/from"));
}

static void wide(void)
{
	for (int bit = 32; bit < 64; bit++)
		if (MOUNT("none", AT, "tmpfs", 1ul << bit, 0))
			printf("bit %d: %s\n", bit, error_name(errno));
		else
			MUST(umount(AT));
	static const unsigned long flags[] = { -1ul, 0x7fffffff, 0xffffffff, 0x8000000000000000, 0xc0ed0000, 0xc0ed0001, 0xc0edffff, 0xc0ed0020, 0x1c0ed0000,
		0xc0ec0000, MS_REMOUNT | 0xc0ed0000, 1 << 22, 1 << 26, 1 << 27, 1 << 28,
		1 << 29, 1 << 30, MS_RMT_MASK, MS_MGC_MSK };
	for (unsigned i = 0; i < COUNT(flags); i++) {
		printf("%#lx: %s\n", flags[i], MOUNT("none", AT, "tmpfs", flags[i], 0) ? error_name(errno) : "ok");
		umount2(AT, 0);
	}
}

/* Places that have lost their name, as targets and as sources; sources that may not be bound. */
static void removed(void)
{
	MUST(mount("none", "from", "tmpfs", 0, 0));
	mkdir("gone", 0755);
	mkdir("from/gone", 0755);
	put_file("lost", "", 0644);
	int directory = (int)MUST(open("gone", O_RDONLY)), file = (int)MUST(open("lost", O_RDONLY)), inner = (int)MUST(open("from/gone", O_RDONLY));
	char gone[64], lost[64], within[64];
	sprintf(gone, "/proc/self/fd/%d", directory);
	sprintf(lost, "/proc/self/fd/%d", file);
	sprintf(within, "/proc/self/fd/%d", inner);
	MUST(rmdir("gone"));
	MUST(rmdir("from/gone"));
	MUST(unlink("lost"));
	const char *const places[] = { gone, lost, within };
	for (int i = 0; i < 3; i++) {
		SHOW(MOUNT("none", places[i], "tmpfs", 0, 0));
		SHOW(MOUNT("none", places[i], "absent", 0, 0));
		SHOW(MOUNT("none", places[i], "tmpfs", 0, "unknown"));
		SHOW(MOUNT("from", places[i], 0, MS_BIND, 0));
		SHOW(MOUNT("file", places[i], 0, MS_BIND, 0));
		SHOW(MOUNT("from", places[i], 0, MS_MOVE, 0));
		SHOW(MOUNT(0, places[i], 0, MS_PRIVATE, 0));
		SHOW(MOUNT(0, places[i], 0, MS_REMOUNT, 0));
		SHOW(MOUNT(places[i], AT, 0, MS_BIND, 0));
		SHOW(umount2(AT, 0));
		SHOW(MOUNT(places[i], "target", 0, MS_BIND, 0));
		SHOW(umount2("target", 0));
		SHOW(MOUNT(places[i], AT, 0, MS_BIND | MS_REC, 0));
		SHOW(umount2(AT, 0));
		SHOW(MOUNT(places[i], AT, 0, MS_MOVE, 0));
	}
	close(inner);
	MUST(MOUNT(0, "from", 0, MS_UNBINDABLE, 0));
	SHOW(MOUNT("from", AT, 0, MS_BIND, 0));
	SHOW(MOUNT("from", "target", 0, MS_BIND, 0));
	SHOW(MOUNT("from", "target", 0, MS_MOVE, 0));
	SHOW(MOUNT("from", places[0], 0, MS_BIND, 0));
	MUST(MOUNT("none", AT, "tmpfs", 0, 0));
	MUST(MOUNT(0, AT, 0, MS_SHARED, 0));
	mkdir(AT "/in", 0755);
	SHOW(MOUNT("from", AT "/in", 0, MS_MOVE, 0));
	SHOW(MOUNT("from", AT "/in", 0, MS_BIND, 0));
	SHOW(MOUNT(AT, AT "/in", 0, MS_MOVE, 0));
	MUST(umount(AT));
	MUST(umount("from"));
	close(directory);
	close(file);
	int ends[2];
	MUST(pipe(ends));
	sprintf(gone, "/proc/self/fd/%d", ends[0]);
	SHOW(MOUNT(gone, "target", 0, MS_BIND, 0));
	SHOW(MOUNT(gone, AT, 0, MS_BIND, 0));
	SHOW(MOUNT(gone, "target", 0, MS_MOVE, 0));
	SHOW(MOUNT(0, gone, 0, MS_PRIVATE, 0));
	SHOW(MOUNT(0, gone, 0, MS_REMOUNT, 0));
	int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
	sprintf(gone, "/proc/self/fd/%d", process);
	SHOW(MOUNT(gone, "target", 0, MS_BIND, 0));
	umount2("target", 0);
	close(process);
	close(ends[0]);
	close(ends[1]);
}

/* The administrator of a user namespace remounts what is not his: in which order are options looked at, locks and rights? */
static void of_others(void)
{
	static const char *const types[] = { "tmpfs", "ramfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs", "cgroup2", "hugetlbfs", "configfs", "tracefs" };
	static const char *const options[] = { 0, "", "ro", "rw", "unknown", "mode=9", "mode=700", "size=x", "dirsync", "sync", "hidepid=9", "source=x", "uid=77" };
	static const unsigned long flags[] = { 0, MS_RDONLY, MS_NOSUID, MS_NOATIME, MS_BIND, MS_BIND | MS_RDONLY, MS_BIND | MS_NOSUID };
	for (unsigned t = 0; t < COUNT(types); t++) {
		printf("%s\n", types[t]);
		if (MOUNT("none", AT, types[t], MS_NODEV, 0)) {
			printf("  %s\n", error_name(errno));
			continue;
		}
		IN_CHILD({
			MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
			for (unsigned f = 0; f < COUNT(flags); f++)
				for (int locked = 0; locked < 2; locked++) {
					printf(" %#lx:", flags[f] | (locked ? MS_NODEV : 0));
					for (unsigned o = 0; o < COUNT(options); o++)
						printf(" %s %s", options[o] ? options[o] : "none",
						       MOUNT("none", AT, 0, MS_REMOUNT | flags[f] | (locked ? MS_NODEV : 0), options[o]) ? error_name(errno) : "ok");
					putchar('\n');
				}
			SHOW(MOUNT(0, AT, 0, MS_PRIVATE, 0));
			SHOW(MOUNT(0, AT, 0, MS_SHARED, 0));
			SHOW(MOUNT(AT, "from", 0, MS_BIND, 0));
			SHOW(MOUNT(AT, "from", 0, MS_MOVE, 0));
			SHOW(umount2(AT, 0));
			SHOW(umount2(AT, MNT_FORCE));
			SHOW(umount2(AT, MNT_DETACH));
		});
		MUST(umount(AT));
	}
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(pages + 2 * PAGE, PAGE);
	mkdir("/tmp/arguments", 0755);
	MUST(chdir("/tmp/arguments"));
	mkdir("at", 0755);
	mkdir("from", 0755);
	put_file("file", "x", 0644);
	put_file("target", "x", 0644);
	symlink("from", "link");
	symlink("absent", "nowhere");
	puts("== pointers");
	pointers();
	puts("== lengths");
	lengths();
	puts("== sources");
	sources();
	puts("== wide");
	wide();
	puts("== removed");
	removed();
	puts("== of others");
	of_others();
	puts("== pointers of somebody");
	IN_CHILD(MUST(setuid(1000)); pointers(); sources());
	return 0;
}
