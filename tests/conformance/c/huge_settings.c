/* Covers: files about huge pages: /proc/sys/vm, /sys/kernel/mm/hugepages, /proc/meminfo, /proc/self/status; who may change them. */
#include <dirent.h>
#include <sys/mount.h>
#include "huge_case.h"

#define SYS "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static void show(const char *path)
{
	char text[64] = "";
	struct stat info;
	int fd = open(path, O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	stat(path, &info);
	printf("%s %o: %s%s", path, info.st_mode & 07777, length < 0 ? error_name(errno) : text, length < 0 ? "\n" : "");
}

static void store(const char *path, const char *text)
{
	errno = 0;
	int fd = open(path, O_WRONLY);
	ssize_t result = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s to %s: %s\n", text, path, result < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

static void lines_of(const char *path, const char *word)
{
	char line[256];
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strstr(line, word))
			printf("%s", line);
	if (file)
		fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void as_somebody(char *unused)
{
	(void)unused;
	setgid(1000);
	setuid(1000);
	store(SYS "nr_hugepages", "3");
	store(POOL_AT, "3");
	char *p = map_huge(1, RW, MAP_PRIVATE);
	printf("mapped by a user: %s\n", p == MAP_FAILED ? error_name(errno) : "ok");
	printf("written: %s\n", writing(p, 1));
	lines_of("/proc/self/status", "Huge");
	lines_of("/proc/self/status", "VmLck");
}

int main(void)
{
	struct dirent **names;
	setvbuf(stdout, 0, _IOLBF, 0);
	catch_faults();
	mount("sysfs", "/sys", "sysfs", 0, 0);
	store(POOL_AT, "0");
	int count = scandir(SYS, &names, 0, by_name);
	for (int i = 0; i < count; i++) {
		char path[512];
		if (names[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, SYS "%s", names[i]->d_name);
		show(path);
	}
	show("/proc/sys/vm/nr_hugepages");
	show("/proc/sys/vm/nr_hugepages_mempolicy");
	show("/proc/sys/vm/nr_overcommit_hugepages");
	show("/proc/sys/vm/hugetlb_shm_group");
	lines_of("/proc/meminfo", "HugePages_");
	lines_of("/proc/meminfo", "Hugepagesize");
	store(SYS "nr_hugepages", "2\n");
	lines_of("/proc/meminfo", "HugePages_");
	lines_of("/proc/meminfo", "Hugetlb");
	show(POOL_AT);
	store(SYS "nr_overcommit_hugepages", "5");
	show(SURPLUS_AT);
	store(SURPLUS_AT, "0");
	store(SYS "free_hugepages", "1");
	store(SYS "nr_hugepages", "many");
	store(SYS "nr_hugepages", "-1");
	store(POOL_AT, "many");
	store(SYS "nr_hugepages_mempolicy", "3");
	show(SYS "free_hugepages");
	store(POOL_AT, "2");
	lines_of("/proc/self/status", "Huge");
	in_child(as_somebody, 0);
	char *p = map_huge(1, RW, MAP_PRIVATE);
	show(SYS "resv_hugepages");
	*p = 1;
	lines_of("/proc/self/status", "Huge");
	munmap(p, HUGE);
	store(POOL_AT, "0");
	show(SYS "nr_hugepages");
	return 0;
}
