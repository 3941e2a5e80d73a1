/* swapon(2) with SWAP_FLAG_DISCARD: what is discarded at once, and what where slots come free. */
#define _GNU_SOURCE
#include "swap_case.h"

#define PAGES 6144
#define LAST 16383
#define CLUSTER 4096 /* sectors */

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

static void try_flags(int flags)
{
	long before = discarded();
	printf("flags %#x\n", flags);
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
	for (int i = 0; i < 100 && discarded() - before < 4 * CLUSTER && (flags & 0x20000) == 0 && flags != 0; i++)
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
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		try_flags(all[i]);
	return 0;
}
