/*
 * Covers: every two flags of mount(2) together: a new mount, a remount and a bind mount's remount, a move and a change of propagation, with all that
 * may be given beside; what is refused, what mountinfo and statvfs(3) show; three times that exclude each other.
 */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define AT "/tmp/pairs"
#define FROM "/tmp/pairs-from"
#define BITS 33

/* What is seen at a place: options of the mount and of its file system, its propagation, what statvfs(3) says. */
static const char *state(const char *place)
{
	static char found[800];
	char line[1024];
	struct statvfs info;
	FILE *file = fopen("/proc/self/mountinfo", "r");
	strcpy(found, "nothing");
	while (file && fgets(line, sizeof line, file)) {
		char point[256], options[256], type[64], source[64], of_system[256];
		char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) != 2 || strcmp(point, place))
			continue;
		sscanf(rest, " - %63s %63s %255s", type, source, of_system);
		char *size = strstr(of_system, ",size=");
		if (size)
			*size = 0;
		if (statvfs(place, &info))
			info.f_flag = 0;
		snprintf(found, sizeof found, "%s %s%s%s%s %#lx", options, of_system, strstr(line, " shared:") ? " shared" : "",
			 strstr(line, " master:") ? " slave" : "", strstr(line, " unbindable") ? " unbindable" : "", info.f_flag);
	}
	if (file)
		fclose(file);
	return found;
}

static char last[1024];

/* Say what came of two bits, in one line with all that follow and came to the same. */
static void line(int first, int second, const char *text)
{
	if (strcmp(last, text)) {
		printf("%s%s:", *last ? "\n" : "", text);
		snprintf(last, sizeof last, "%s", text);
	}
	printf(" %d+%d", first, second);
}

static void over(void)
{
	puts("");
	last[0] = 0;
}

static void pairs(const char *what, void (*before)(void), unsigned long with, unsigned long without, const char *source, const char *type)
{
	printf("== %s\n", what);
	for (int a = 0; a < BITS; a++)
		for (int b = a + 1; b < BITS; b++) {
			unsigned long flags = 1ul << a | 1ul << b;
			char text[900];
			if (flags & without)
				continue;
			before();
			if (mount(source, AT, type, flags | with, NULL))
				snprintf(text, sizeof text, "%s", error_name(errno));
			else
				snprintf(text, sizeof text, "ok %s", state(AT));
			line(a, b, text);
			while (umount2(AT, MNT_DETACH) == 0)
				;
			while (umount2(FROM, MNT_DETACH) == 0)
				;
		}
	over();
}

static void nothing(void) {}
static void one(void) { MUST(mount("none", AT, "tmpfs", MS_NOSUID | MS_NODIRATIME, "mode=700")); }
static void bound(void)
{
	MUST(mount("none", FROM, "tmpfs", 0, "mode=700"));
	MUST(mount(FROM, AT, NULL, MS_BIND, NULL));
}
static void source(void) { MUST(mount("none", FROM, "tmpfs", MS_NODEV, "mode=700")); }
static void shared(void)
{
	one();
	MUST(mount(NULL, AT, NULL, MS_SHARED, NULL));
}

static void propagation(unsigned long kind, const char *name)
{
	char what[64];
	snprintf(what, sizeof what, "%s, with two more", name);
	pairs(what, shared, kind, MS_REMOUNT | MS_BIND | MS_MOVE, NULL, NULL);
}

int main(void)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("/tmp", 0777);
	MUST(mkdir(AT, 0755));
	MUST(mkdir(FROM, 0755));
	pairs("new", nothing, 0, MS_BIND | MS_MOVE | MS_REMOUNT, "none", "tmpfs");
	pairs("new, without a type", nothing, 0, MS_REMOUNT | MS_BIND | MS_MOVE, "none", NULL);
	pairs("remounted", one, MS_REMOUNT, MS_REMOUNT, "none", NULL);
	pairs("remounted, one place", bound, MS_REMOUNT | MS_BIND, MS_REMOUNT | MS_BIND, "none", NULL);
	pairs("bound", source, MS_BIND, MS_REMOUNT, FROM, NULL);
	pairs("moved", source, MS_MOVE, MS_REMOUNT | MS_BIND, FROM, NULL);
	propagation(MS_PRIVATE, "private");
	propagation(MS_SLAVE, "slave");
	propagation(MS_SHARED | MS_REC, "shared");
	propagation(MS_UNBINDABLE | MS_SILENT, "unbindable");
	return 0;
}
