/* What the cases about merging equal pages (KSM) share. */
#include <sys/prctl.h>
#include "case.h"

#define KSM "/sys/kernel/mm/ksm/"
#define RW (PROT_READ | PROT_WRITE)
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

static inline long number_in(const char *path, const char *word)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "r");
	while (file && value == -1 && fgets(line, sizeof line, file)) {
		size_t length = strlen(word);
		if (strncmp(line, word, length) == 0)
			value = atol(line + length);
	}
	if (file)
		fclose(file);
	return value;
}

static inline long ksm(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, KSM "%s", name);
	return number_in(path, "");
}

static inline void store(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, KSM "%s", name);
	errno = 0;
	int fd = open(path, O_WRONLY);
	ssize_t result = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s to %s: %s\n", text, name, result < 0 ? error_name(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

/* Wait until a figure has a value. */
static inline void until_ksm(const char *name, long value)
{
	long found = -1;
	for (int i = 0; i < 6000 && (found = ksm(name)) != value; i++)
		sleep_ms(10);
	if (found == value)
		printf("%s becomes %ld\n", name, value);
	else
		printf("%s is %ld, and never %ld\n", name, found, value);
}

static inline void until_merged(long value)
{
	long found = -1;
	for (int i = 0; i < 6000 && (found = number_in("/proc/self/ksm_merging_pages", "")) != value; i++)
		sleep_ms(10);
	if (found == value)
		printf("the process merges %ld pages\n", value);
	else
		printf("the process merges %ld pages, and never %ld\n", found, value);
}

/* A figure of smaps about the area that holds an address, in KiB; or whether a flag is there. */
static inline long in_smaps(const void *at, const char *word, const char *flag)
{
	char line[512];
	unsigned long from, to, address = (unsigned long)at;
	int inside = 0;
	long value = -1;
	FILE *file = fopen("/proc/self/smaps", "r");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= address && address < to;
		else if (inside && strncmp(line, word, strlen(word)) == 0)
			value = flag ? strstr(line, flag) != NULL : atol(line + strlen(word));
	}
	if (file)
		fclose(file);
	return value;
}

static inline int is_mergeable(const void *at)
{
	return (int)in_smaps(at, "VmFlags:", " mg ");
}

static inline char *map(size_t pages, int prot, int flags)
{
	char *at = mmap(NULL, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		exit(98);
	return at;
}
