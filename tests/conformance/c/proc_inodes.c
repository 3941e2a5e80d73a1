/*
 * Covers: that no two files of a process and its threads in /proc have the same inode number.
 */
#include "case.h"

static ino_t number_of(const char *path)
{
	struct stat status;
	MUST(lstat(path, &status));
	return status.st_ino;
}

static void compare(const char *name)
{
	char process[60], thread[60];
	snprintf(process, sizeof process, "/proc/%d/%s", getpid(), name);
	snprintf(thread, sizeof thread, "/proc/%d/task/%d/%s", getpid(), getpid(), name);
	printf("%s: %s\n", name, number_of(process) == number_of(thread) ? "the same number" : "two numbers");
}

int main(void)
{
	static const char *const names[] = { "", "status", "stat", "maps", "mem", "fd", "fd/0", "fdinfo", "attr", "attr/current", "attr/sockcreate", "ns", "ns/pid", "cwd", "exe", "root", "net" };
	ino_t seen[200];
	int count = 0, twice = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		compare(names[i]);
	DIR *own = opendir("/proc/self");
	for (struct dirent *each; (each = readdir(own)) && count < 200;) {
		char path[300];
		if (each->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/self/%s", each->d_name);
		seen[count] = number_of(path);
		for (int i = 0; i < count; i++)
			twice += seen[i] == seen[count];
		count++;
	}
	closedir(own);
	printf("%d of the same number\n", twice);
	return 0;
}
