/*
 * What the cases about transparent huge pages share: settings, an aligned area, and what smaps says of it.
 */
#ifndef LARGE_H
#define LARGE_H
#include <sys/prctl.h>
#include "case.h"

#define HUGE (2ul << 20)
#define RW (PROT_READ | PROT_WRITE)
#define SETTINGS_AT "/sys/kernel/mm/transparent_hugepage/"
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef PR_GET_THP_DISABLE
#define PR_SET_THP_DISABLE 41
#define PR_GET_THP_DISABLE 42
#endif

/* Write a text to a setting, with one call. */
static inline int store(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, SETTINGS_AT "%s", name);
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int written = write(fd, text, strlen(text)), error = errno;
	close(fd);
	errno = error;
	return written == (int)strlen(text) ? 0 : -1;
}

static inline void show_setting(const char *name)
{
	char path[128], text[256];
	snprintf(path, sizeof path, SETTINGS_AT "%s", name);
	int fd = open(path, O_RDONLY), length = fd < 0 ? -1 : (int)read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (length < 0)
		printf("%s: %s\n", name, error_name(errno));
	else
		printf("%s: %.*s", name, length, text);
}

/* The first number after a word in the smaps lines of all areas that begin in a range, added up. */
static inline long sum_of(void *place, size_t length, const char *word)
{
	char line[512];
	unsigned long low = (unsigned long)place, start, end;
	long sum = 0;
	int here = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-') < line + 17)
			here = start < low + length && end > low;
		if (here && strncmp(line, word, strlen(word)) == 0)
			sum += atol(line + strlen(word));
	}
	if (file)
		fclose(file);
	return sum;
}

/* Whether VmFlags of the area that begins at an address has a word. */
static inline int has_flag(void *place, const char *word)
{
	char line[512];
	unsigned long low = (unsigned long)place, start, end;
	int here = 0, found = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-') < line + 17)
			here = start <= low && low < end;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, word) != NULL;
	}
	if (file)
		fclose(file);
	return found;
}

static inline long huge_kib(void *place, size_t length)
{
	return sum_of(place, length, "AnonHugePages:");
}

/* Anonymous memory that begins at a multiple of a huge page's size; something that cannot be read lies around it. */
static inline char *aligned(size_t length, int prot)
{
	char *place = mmap(0, length + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = (char *)(((unsigned long)place + HUGE) & ~(HUGE - 1));
	return mmap(start, length, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Write to each page a number of its own. */
static inline void fill(char *place, size_t length)
{
	for (size_t i = 0; i < length; i += PAGE)
		*(unsigned *)(place + i) = 7 + i / PAGE;
}

/* How many pages do not hold theirs. */
static inline int wrong(char *place, size_t length)
{
	int count = 0;
	for (size_t i = 0; i < length; i += PAGE)
		count += *(unsigned *)(place + i) != 7 + i / PAGE || *(unsigned *)(place + i + 8) != 0;
	return count;
}

/* A number of /proc/meminfo or /proc/vmstat. */
static inline long figure(const char *path, const char *word)
{
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "r");
	while (file && value == -1 && fgets(line, sizeof line, file))
		if (strncmp(line, word, strlen(word)) == 0)
			value = atol(line + strlen(word));
	if (file)
		fclose(file);
	return value;
}

static const char *const large_names[] = { "enabled", "defrag", "use_zero_page", "khugepaged/defrag" };
static char large_before[4][16];

/* The chosen word of a setting, or all of it. */
static inline void remember(int number)
{
	char path[128], text[256];
	snprintf(path, sizeof path, SETTINGS_AT "%s", large_names[number]);
	int fd = open(path, O_RDONLY), length = fd < 0 ? 0 : (int)read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	char *word = strchr(text, '[');
	word = word ? word + 1 : text;
	word[strcspn(word, "]\n")] = 0;
	snprintf(large_before[number], sizeof large_before[number], "%s", word);
}

static void restore_all(void)
{
	for (int i = 0; i < 4; i++)
		store(large_names[i], large_before[i]);
}

/* Let the settings be what they were when the case ends; and Linux's thread, which joins pages from time to time, sleep
 * meanwhile: the cases show what happens without it. */
static inline void borrow_settings(void)
{
	for (int i = 0; i < 4; i++)
		remember(i);
	atexit(restore_all);
	store("khugepaged/defrag", "0");
}

/* Run a function in a child, and wait for it. */
static inline void in_child(void (*work)(char *), char *place)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		work(place);
		fflush(stdout);
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	if (status != 0)
		printf("the child ended with %x\n", status);
}
#endif
