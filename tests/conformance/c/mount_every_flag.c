/* Covers: every flag of mount(2), alone, for new mounts, remounts, bind mounts and their remounts: what is refused, what mountinfo and statvfs(3) show. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define AT "/tmp/every"
#define OTHER "/tmp/other"

/* The options of the mount and of its file system. */
static void show(const char *place)
{
	char line[1024];
	struct statvfs info;
	const char *found = 0;
	static char options[256], of_system[512];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (file && fgets(line, sizeof line, file)) {
		char point[256], type[64], source[64];
		char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) != 2 || strcmp(point, place))
			continue;
		sscanf(rest, " - %63s %63s %511s", type, source, of_system);
		found = options;
	}
	if (file)
		fclose(file);
	if (!found || statvfs(place, &info)) {
		puts("  not mounted");
		return;
	}
	for (char *word = strtok(of_system, ","); word; word = strtok(NULL, ","))
		if (strncmp(word, "size=", 5) && strncmp(word, "nr_inodes=", 10))
			printf(" %s", word);
	printf(" (%s) %#lx\n", options, info.f_flag);
}

static int try(const char *what, const char *source, const char *type, unsigned long flags, const char *options)
{
	int result = mount(source, AT, type, flags, options);
	printf("%s %#lx%s%s: %s", what, flags, options ? " " : "", options ? options : "", result ? error_name(errno) : "");
	if (result)
		puts("");
	return result;
}

static void alone(const char *type)
{
	for (int bit = 0; bit < 33; bit++) {
		unsigned long flag = 1ul << bit;
		if (try(type, "none", type, flag, NULL) == 0) {
			show(AT);
			umount2(AT, 0);
		}
	}
	if (try(type, "none", type, 0xc0ed0000ul | MS_NODEV, NULL) == 0) {
		show(AT);
		umount2(AT, 0);
	}
}

static void again(unsigned long with)
{
	for (int bit = 0; bit < 33; bit++) {
		unsigned long flag = 1ul << bit;
		MUST(mount("none", AT, "tmpfs", 0, "mode=700"));
		if (try("remount", "none", NULL, flag | with, NULL) == 0)
			show(AT);
		umount2(AT, 0);
		MUST(mount("none", AT, "tmpfs", MS_NOSUID | MS_NODIRATIME | MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME, NULL));
		if (try("remount of more", "none", NULL, flag | with, NULL) == 0)
			show(AT);
		umount2(AT, 0);
	}
}

static void bound(void)
{
	for (int bit = 0; bit < 33; bit++) {
		unsigned long flag = 1ul << bit;
		if (flag == MS_REMOUNT)
			continue;
		if (try("bind", OTHER, "ignored", flag | MS_BIND, "ignored") == 0) {
			show(AT);
			show(OTHER);
			umount2(AT, 0);
		}
	}
}

static void by_options(void)
{
	static const char *const all[] = {
		"ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "iversion", "noiversion", "lazytime,nolazytime",
		"nosuid", "noatime", "silent", "loud", "posixacl", "acl", "remount", "bind", "ro,lazytime,sync",
	};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		if (try("options", "none", "tmpfs", 0, all[i]) == 0) {
			show(AT);
			umount2(AT, 0);
		}
		MUST(mount("none", AT, "tmpfs", MS_LAZYTIME | MS_MANDLOCK, NULL));
		if (try("again", "none", "tmpfs", MS_REMOUNT, all[i]) == 0)
			show(AT);
		umount2(AT, 0);
	}
}

static void as_somebody(void)
{
	setgid(1000);
	setuid(1000);
	try("somebody", "none", "tmpfs", 0, NULL);
	try("somebody", "none", "tmpfs", 1ul << 31, NULL);
	try("somebody", "none", NULL, MS_REMOUNT, NULL);
	try("somebody", "none", "nonsense", 0, NULL);
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/tmp", 0777);
	MUST(mkdir(AT, 0755));
	MUST(mkdir(OTHER, 0755));
	MUST(mount("none", OTHER, "tmpfs", MS_NOEXEC, "mode=755"));
	puts("new");
	alone("tmpfs");
	alone("ramfs");
	puts("remounted");
	again(MS_REMOUNT);
	again(MS_REMOUNT | MS_BIND);
	puts("bound");
	bound();
	puts("options");
	by_options();
	IN_CHILD(as_somebody());
	return 0;
}
