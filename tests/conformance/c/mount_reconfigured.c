/* Covers: flags of file systems that fsconfig(2) sets in a new one and in one that fspick(2) has found, each after each: what is refused, what
 * mountinfo shows then; the same words as options of a remount by mount(2).
 */
#define _GNU_SOURCE
#include "case.h"
#include <sys/mount.h>

#define AT "/tmp/picked"
#define FLAG 0
#define STRING 1
#define CREATE 6
#define RECONFIGURE 7

static const char *const words[] = { "ro", "rw", "sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "silent", "loud", "posixacl",
	"noatime", "unknown" };
static const char *const types[] = { "tmpfs", "ramfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs", "cgroup2", "bpf" };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void show(void)
{
	char line[1024], point[256], options[256], of_system[512], type[64], source[64];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	while (file && fgets(line, sizeof line, file)) {
		char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) != 2 || strcmp(point, AT))
			continue;
		sscanf(rest, " - %63s %63s %511s", type, source, of_system);
		printf(" [%s]", options);
		for (char *word = strtok(of_system, ","); word; word = strtok(NULL, ","))
			if (strncmp(word, "size=", 5) && strncmp(word, "nr_inodes=", 10) && strncmp(word, "mode=", 5) && strcmp(word, "inode64"))
				printf(" %s", word);
	}
	if (file)
		fclose(file);
	putchar('\n');
}

static const char *said(long result) { return result < 0 ? error_name(errno) : "ok"; }

static long set(int fd, int command, const char *word, const char *value) { return syscall(SYS_fsconfig, fd, command, word, value, 0); }

static void pick(const char *first, const char *second)
{
	int fd = (int)syscall(SYS_fspick, AT_FDCWD, AT, 0);
	printf("  %s", said(fd));
	printf(" %s: %s", first, said(set(fd, FLAG, first, 0)));
	if (second)
		printf(" %s: %s", second, said(set(fd, FLAG, second, 0)));
	printf(" again: %s", said(set(fd, RECONFIGURE, 0, 0)));
	show();
	close(fd);
}

int main(void)
{
	MUST(mkdir(AT, 0755));
	for (unsigned t = 0; t < COUNT(types); t++) {
		for (unsigned w = 0; w < COUNT(words); w++) {
			int fd = (int)syscall(SYS_fsopen, types[t], 0);
			printf("%s", types[t]);
			printf(" %s: %s", words[w], said(set(fd, FLAG, words[w], 0)));
			printf(" with a value: %s", said(set(fd, STRING, words[w], "1")));
			printf(" created: %s", said(set(fd, CREATE, 0, 0)));
			int mounted = (int)syscall(SYS_fsmount, fd, 0, 0);
			if (mounted < 0 || syscall(SYS_move_mount, mounted, "", AT_FDCWD, AT, 4)) {
				printf(" %s\n", error_name(errno));
				close(fd);
				continue;
			}
			close(mounted);
			show();
			/* The context is now as one of fspick(2). */
			for (int i = 0; i < 3; i++) {
				printf("  the same context: %s", i == 0 ? said(set(fd, FLAG, "sync", 0)) : i == 2 ? said(set(fd, FLAG, "lazytime", 0)) : "");
				printf(" again: %s", said(set(fd, RECONFIGURE, 0, 0)));
				show();
			}
			printf("  created: %s", said(set(fd, CREATE, 0, 0)));
			printf(" mounted: %s", said(syscall(SYS_fsmount, fd, 0, 0)));
			show();
			close(fd);
			if (t < 2)
				for (unsigned v = 0; v < COUNT(words); v++) {
					pick(words[v], 0);
					if (t == 0)
						pick(words[v], words[w]);
				}
			else
				pick(words[w], 0);
			if (t < 2)
				for (unsigned v = 0; v < COUNT(words); v++) {
					printf("  remount with %s: %s", words[v], said(mount("none", AT, types[t], MS_REMOUNT, words[v])));
					show();
				}
			pick("rw", "async");
			pick("nolazytime", "nomand");
			MUST(umount2(AT, 0));
		}
	}
	return 0;
}
