/* Covers: which flags of a file system (`ro`, `sync`, `dirsync`) its next mount still has, for each type: after it was unmounted, beside another
 * mount, after a remount, by mount(2) and by fsconfig(2). All of it in namespaces of its own; what is shared is made writable again. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#ifndef SYS_fsopen
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#define SYS_move_mount 429
#endif
#define ONE "/tmp/flags/one"
#define TWO "/tmp/flags/two"

static const char *const types[] = {
	"tmpfs", "ramfs", "hugetlbfs", "proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup2", "binfmt_misc", "configfs", "tracefs", "bpf",
};

/* The flags of the file system that is mounted there, from the end of its line in mountinfo. */
static void flags_of(const char *what, const char *place)
{
	char line[1024], found[64] = "not mounted", source[64] = "";
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (file && fgets(line, sizeof line, file)) {
		char point[256], type[64], options[512];
		char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 || strcmp(point, place))
			continue;
		if (sscanf(rest, " - %63s %63s %511s", type, source, options) != 3)
			strcpy(source, "?");
		found[0] = 0;
		for (char *word = strtok(options, ","); word; word = strtok(NULL, ","))
			if (!strcmp(word, "ro") || !strcmp(word, "rw") || !strcmp(word, "sync") || !strcmp(word, "dirsync"))
				snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? "," : "", word);
	}
	if (file)
		fclose(file);
	printf("  %s: %s%s%s\n", what, found, *source ? " from " : "", source);
}

static void try(const char *type, const char *place, unsigned long flags, const char *options)
{
	if (mount("source", place, type, flags, options))
		printf("  mount: %s\n", error_name(errno));
}

static void again(const char *type, const char *how, unsigned long flags, const char *options)
{
	printf(" %s\n", how);
	try(type, ONE, flags, options);
	flags_of("first", ONE);
	umount2(ONE, 0);
	try(type, ONE, 0, NULL);
	flags_of("again", ONE);
	umount2(ONE, 0);
}

static void remounted(const char *type, unsigned long flags)
{
	printf(" remounted %#lx\n", flags);
	try(type, ONE, 0, NULL);
	try(NULL, ONE, MS_REMOUNT | flags, NULL);
	flags_of("first", ONE);
	try(type, TWO, 0, NULL);
	flags_of("beside", TWO);
	umount2(TWO, 0);
	umount2(ONE, 0);
	try(type, ONE, 0, NULL);
	flags_of("again", ONE);
	try(NULL, ONE, MS_REMOUNT, NULL);
	flags_of("writable", ONE);
	umount2(ONE, 0);
}

static void beside(const char *type)
{
	puts(" beside");
	try(type, ONE, MS_RDONLY | MS_SYNCHRONOUS, NULL);
	if (mount("other", TWO, type, MS_DIRSYNC, NULL))
		printf("  mount: %s\n", error_name(errno));
	struct stat one, two;
	MUST(stat(ONE, &one));
	MUST(stat(TWO, &two));
	printf("  one device %d\n", one.st_dev == two.st_dev);
	flags_of("first", ONE);
	flags_of("second", TWO);
	umount2(ONE, 0);
	flags_of("left", TWO);
	try(NULL, TWO, MS_REMOUNT, NULL);
	flags_of("writable", TWO);
	umount2(TWO, 0);
}

static void configured(const char *type)
{
	puts(" configured");
	for (int turn = 0; turn < 2; turn++) {
		int fd = (int)syscall(SYS_fsopen, type, 0);
		if (turn == 0 && syscall(SYS_fsconfig, fd, 0, "ro", NULL, 0))
			printf("  ro: %s\n", error_name(errno));
		if (turn == 0 && syscall(SYS_fsconfig, fd, 0, "sync", NULL, 0))
			printf("  sync: %s\n", error_name(errno));
		if (syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0))
			printf("  create: %s\n", error_name(errno));
		int made = (int)syscall(SYS_fsmount, fd, 0, 0);
		close(fd);
		if (made < 0 || syscall(SYS_move_mount, made, "", AT_FDCWD, ONE, 4))
			printf("  mount: %s\n", error_name(errno));
		if (made >= 0)
			close(made);
		flags_of(turn ? "again" : "first", ONE);
		umount2(ONE, 0);
	}
	/* A context that was made and never mounted leaves nothing either. */
	int fd = (int)syscall(SYS_fsopen, type, 0);
	syscall(SYS_fsconfig, fd, 0, "ro", NULL, 0);
	if (syscall(SYS_fsconfig, fd, 6, NULL, NULL, 0))
		printf("  create: %s\n", error_name(errno));
	close(fd);
	try(type, ONE, 0, NULL);
	flags_of("after one that was not mounted", ONE);
	try(NULL, ONE, MS_REMOUNT, NULL);
	flags_of("writable", ONE);
	umount2(ONE, 0);
}

/* The owner and mode of the root of tracefs, which stays: what a mount leaves out stays as it was. */
static void owned_root(const char *what, const char *options, int is_remount)
{
	struct stat st;
	if (mount("source", ONE, "tracefs", is_remount ? MS_REMOUNT : 0, options))
		printf("  mount: %s\n", error_name(errno));
	MUST(stat(ONE, &st));
	printf("  %s: %o %u %u\n", what, st.st_mode, st.st_uid, st.st_gid);
}

static void owned_roots(void)
{
	puts("roots of tracefs");
	owned_root("plain", NULL, 0);
	owned_root("over itself, with options", "mode=750,uid=3,gid=4", 0);
	owned_root("remounted", "mode=711", 1);
	owned_root("plain remount", NULL, 1);
	umount2(ONE, 0);
	owned_root("mounted again, with a mode", "mode=751", 0);
	umount2(ONE, 0);
	owned_root("mounted again", NULL, 0);
	owned_root("root's", "mode=700,uid=0,gid=0", 1);
	umount2(ONE, 0);
}

/* Only a regular file that is open for writing keeps devtmpfs writable. */
static void written_devices(void)
{
	puts("writers of devtmpfs");
	MUST(mount("source", ONE, "devtmpfs", 0, NULL));
	int device = (int)MUST(open(ONE "/null", O_RDWR));
	SHOW(mount("other", TWO, "devtmpfs", MS_RDONLY, NULL));
	SHOW(mount(NULL, ONE, NULL, MS_REMOUNT, NULL));
	SHOW(umount2(TWO, 0));
	SHOW(mount(NULL, ONE, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	SHOW(mount(NULL, ONE, NULL, MS_REMOUNT, NULL));
	int file = (int)MUST(open(ONE "/flags-again", O_RDWR | O_CREAT, 0600));
	SHOW(mount("other", TWO, "devtmpfs", MS_RDONLY, NULL));
	SHOW(umount2(TWO, 0));
	SHOW(mount(NULL, ONE, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	close(file);
	close(device);
	SHOW(unlink(ONE "/flags-again"));
	SHOW(umount2(ONE, 0));
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS | CLONE_NEWIPC));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/tmp/flags", 0755);
	mkdir(ONE, 0755);
	mkdir(TWO, 0755);
	for (unsigned t = 0; t < sizeof types / sizeof *types; t++) {
		puts(types[t]);
		again(types[t], "option", 0, "ro");
		again(types[t], "flags", MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC, NULL);
		again(types[t], "options", 0, "sync,dirsync,ro,rw");
		remounted(types[t], MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC);
		beside(types[t]);
		configured(types[t]);
	}
	owned_roots();
	written_devices();
	return 0;
}
