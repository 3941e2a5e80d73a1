/* Mounts that may not be bound, and what is refused about the propagation of mounts. Sharing is left out.
 * Covers: mount: MS_PRIVATE MS_SLAVE MS_UNBINDABLE MS_REC MS_BIND; /proc/self/mountinfo.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include "case.h"

static void show_fields(const char *name)
{
	char line[512];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	while (fgets(line, sizeof line, f))
		if (strstr(line, name))
			printf("%s: %s\n", name, strstr(line, " unbindable ") ? "unbindable" : "bindable");
	fclose(f);
}

int main(void)
{
	mkdir("a", 0755);
	mkdir("b", 0755);
	mkdir("c", 0755);
	MUST(mount("first", "a", "tmpfs", 0, 0));
	MUST(mount("none", "a", 0, MS_PRIVATE | MS_REC, 0));
	mkdir("a/inner", 0755);
	MUST(mount("second", "a/inner", "tmpfs", 0, 0));
	put_file("a/inner/file", "x", 0644);

	SHOW(mount("none", "b", 0, MS_PRIVATE, 0));
	SHOW(mount("none", "missing", 0, MS_PRIVATE, 0));
	SHOW(mount("none", "a", 0, MS_PRIVATE | MS_SLAVE, 0));
	SHOW(mount("none", "a", 0, MS_PRIVATE | MS_RDONLY, 0));
	SHOW(mount("none", "a", 0, MS_SLAVE, 0));
	SHOW(mount("none", "a", 0, MS_SLAVE | MS_REC | MS_SILENT, 0));
	show_fields("/a/inner");

	SHOW(mount("none", "a/inner", 0, MS_UNBINDABLE, 0));
	show_fields("/a/inner");
	SHOW(mount("a/inner", "b", 0, MS_BIND, 0));
	SHOW(mount("a", "b", 0, MS_BIND | MS_REC, 0));
	SHOW(access("b/inner/file", F_OK));
	SHOW(umount("b"));
	SHOW(mount("none", "a/inner", 0, MS_PRIVATE, 0));
	SHOW(mount("a", "b", 0, MS_BIND | MS_REC, 0));
	SHOW(access("b/inner/file", F_OK));
	SHOW(umount2("b", MNT_DETACH));

	SHOW(mount("none", "a", 0, MS_UNBINDABLE | MS_REC, 0));
	SHOW(mount("a", "b", 0, MS_BIND, 0));
	SHOW(mount("a/inner", "b", 0, MS_BIND, 0));
	SHOW(mount("a", "c", 0, MS_MOVE, 0));
	SHOW(access("c/inner/file", F_OK));
	SHOW(umount2("c", MNT_DETACH));
	return 0;
}
