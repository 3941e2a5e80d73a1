/* swapon(2) with SWAP_FLAG_DISCARD: what is discarded at once, and what where slots come free, on disks that are rotational and on others;
 * who may say which a disk is.
 */
#define _GNU_SOURCE
#include "swap_case.h"

#define PAGES 6144
#define LAST 16383
#define CLUSTER 4096 /* sectors */
#define ROTATIONAL "/sys/block/vda/queue/rotational"

/* Sectors of the disk that were discarded. */
static long discarded(void)
{
	long words[17] = { 0 };
	FILE *file = fopen("/sys/block/vda/stat", "r");
	for (int i = 0; file && i < 17 && fscanf(file, "%ld", &words[i]) == 1; i++)
		;
	if (file)
		fclose(file);
	return words[13];
}

static void say(const char *text, size_t length)
{
	errno = 0;
	int fd = open(ROTATIONAL, O_WRONLY);
	long done = fd < 0 ? -1 : write(fd, text, length);
	printf("%s: %ld %s\n", text, done, done < 0 ? error_name(errno) : "");
	if (fd >= 0)
		close(fd);
}

static void settings(void)
{
	struct stat is;
	static const char *const texts[] = { "1", "0", "2\n", "0\n", "+1", "-1", " 1", "1 ", "0x1", "", "\n", "text", "4294967295", "4294967296",
		"99999999999999999999", "0\n\n" };
	show_file(ROTATIONAL);
	MUST(stat(ROTATIONAL, &is));
	printf("mode %o\n", is.st_mode);
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		say(texts[i], strlen(texts[i]));
		show_file(ROTATIONAL);
	}
	say("1\0x", 3);
	show_file(ROTATIONAL);
	IN_CHILD(MUST(setuid(1000)); say("0", 1); show_file(ROTATIONAL));
}

static void try_flags(int flags, int is_rotational)
{
	long before = discarded();
	printf("flags %#x, %s\n", flags, is_rotational ? "rotational" : "not");
	say(is_rotational ? "1" : "0", 1);
	make_area(DISK, LAST);
	MUST(on(DISK, flags));
	show_areas();
	printf("at once: %ld sectors\n", discarded() - before);
	before = discarded();
	char *place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out(place, PAGES);
	CHECK(swapped(place, PAGES) == PAGES);
	CHECK(discarded() == before);
	MUST(munmap(place, PAGES * PAGE));
	int is_due = !is_rotational && (flags & 0x30000) == 0x10000;
	for (int i = 0; i < 100 && discarded() - before < 4 * CLUSTER && (is_due || i < 5); i++)
		sleep_ms(20);
	printf("later: %s\n", discarded() == before ? "none" : discarded() - before >= 4 * CLUSTER ? "much" : "little");
	CHECK((discarded() - before) % CLUSTER == 0);
	place = memory(PAGES, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, PAGES);
	page_out(place, PAGES);
	CHECK(wrong(place, PAGES) == 0);
	page_out(place, PAGES);
	MUST(off(DISK));
	CHECK(wrong(place, PAGES) == 0);
	MUST(munmap(place, PAGES * PAGE));
}

int main(void)
{
	int all[] = { 0, 0x20000, 0x40000, 0x10000, 0x30000, 0x50000, 0x70000 };
	settings();
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		try_flags(all[i], 0);
	try_flags(0x10000, 1);
	try_flags(0x50000, 1);
	return 0;
}
