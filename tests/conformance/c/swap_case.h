/* What the cases about swapping share: headers of areas, and figures of /proc. */
#include "case.h"

#include <sys/mount.h>
#include <sys/sysinfo.h>

#define PREFER 0x8000
#define DISK "/dev/vda"

static inline long on(const char *path, int flags) { return syscall(SYS_swapon, path, flags); }
static inline long off(const char *path) { return syscall(SYS_swapoff, path); }

/* What mkswap(8) writes, for an area whose last page is this one. */
static inline void put_header(int fd, unsigned last, unsigned version, unsigned bad_count, const unsigned *bad)
{
	static char page[PAGE];
	unsigned words[3] = { version, last, bad_count };
	memset(page, 0, sizeof page);
	memcpy(page + 1024, words, sizeof words);
	if (bad_count > 0 && bad)
		memcpy(page + 1536, bad, bad_count * sizeof *bad);
	memcpy(page + PAGE - 10, "SWAPSPACE2", 10);
	MUST(pwrite(fd, page, sizeof page, 0));
}

static inline void make_area(const char *path, unsigned last)
{
	int fd = (int)MUST(open(path, O_RDWR));
	put_header(fd, last, 1, 0, 0);
	MUST(fsync(fd));
	close(fd);
}

/* A figure in KiB of a file of /proc; -1 if it is not there. */
static inline long figure(const char *path, const char *name)
{
	char line[256];
	long found = -1;
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			found = strtol(line + strlen(name) + 1, 0, 10);
	if (file)
		fclose(file);
	return found;
}

/* A count of /proc/vmstat. */
static inline long event(const char *name)
{
	char line[256];
	long found = -1;
	FILE *file = fopen("/proc/vmstat", "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
			found = strtol(line + strlen(name), 0, 10);
	if (file)
		fclose(file);
	return found;
}

/* /proc/swaps, without how much is used. */
static inline void show_areas(void)
{
	char line[512], name[256], type[64];
	long size, used;
	int priority;
	FILE *file = fopen("/proc/swaps", "r");
	while (file && fgets(line, sizeof line, file)) {
		if (sscanf(line, "%255s %63s %ld %ld %d", name, type, &size, &used, &priority) == 5)
			printf("| %s %s %ld %d\n", name, type, size, priority);
		else
			printf("| %s", line);
	}
	if (file)
		fclose(file);
}

static inline char *memory(long pages, int flags)
{
	return mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
}

/* Write to each page what no other page has. */
static inline void fill(char *place, long pages)
{
	for (long page = 0; page < pages; page++)
		for (int at = 0; at < PAGE; at += 512)
			*(long *)(place + page * PAGE + at) = page * 8 + at / 512 + 1;
}

/* How many pages do not have it. */
static inline long wrong(const char *place, long pages)
{
	long found = 0;
	for (long page = 0; page < pages; page++)
		for (int at = 0; at < PAGE; at += 512)
			if (*(const long *)(place + page * PAGE + at) != page * 8 + at / 512 + 1) {
				found++;
				break;
			}
	return found;
}

/* How many pages are in memory, by mincore(2). */
static inline long here(char *place, long pages)
{
	static unsigned char found[1 << 16];
	long count = 0;
	MUST(mincore(place, pages * PAGE, found));
	for (long page = 0; page < pages; page++)
		count += found[page] & 1;
	return count;
}

/* How many pages lie in swap areas, by pagemap. */
static inline long swapped(const char *place, long pages)
{
	long count = 0, word;
	int fd = (int)MUST(open("/proc/self/pagemap", O_RDONLY));
	for (long page = 0; page < pages; page++)
		if (pread(fd, &word, 8, ((long)place / PAGE + page) * 8) == 8)
			count += word >> 62 & 1;
	close(fd);
	return count;
}

/* Have private pages swapped out; as on a busy machine some may stay, ask again. */
static inline void page_out(char *place, long pages)
{
	for (int i = 0; i < 50 && swapped(place, pages) < pages; i++) {
		if (i > 0)
			sleep_ms(20);
		MUST(madvise(place, pages * PAGE, 21));
	}
}

/*
 * The same until they are nowhere else: Linux keeps pages that are being written. Once they are, and were read meanwhile,
 * the next request frees them.
 */
static inline void empty(char *place, long pages)
{
	volatile char *bytes = place;
	for (int i = 0; i < 50; i++) {
		MUST(madvise(place, pages * PAGE, 21));
		if (here(place, pages) == 0)
			return;
		sleep_ms(20);
		for (long page = 0; page < pages; page++)
			(void)bytes[page * PAGE];
	}
}

/* Have shared pages swapped out. Page tables do not tell, nor where Linux keeps them for a while: how many were written does. */
static inline void page_out_shared(char *place, long pages)
{
	long before = event("pswpout");
	for (int i = 0; i < 50 && event("pswpout") - before < pages; i++) {
		if (i > 0)
			sleep_ms(20);
		MUST(madvise(place, pages * PAGE, 21));
	}
	CHECK(event("pswpout") - before >= pages);
}
