/* More memory than there is, on a machine that swaps: nothing is lost, and nobody is killed; in control groups as well. */
#define _GNU_SOURCE
#include "swap_case.h"
#include "cgroup_case.h"

#define MIB (1 << 20)

/* Most memory is locked, so that little has to be written on a machine of any size. */
static void more_than_there_is(void)
{
	long before = event("pswpout");
	IN_CHILD({
		long locked = figure("/proc/meminfo", "MemAvailable") / 4 - 20 * MIB / PAGE;
		CHECK(locked > 0 && mlock(memory(locked, MAP_PRIVATE | MAP_ANONYMOUS), locked * PAGE) == 0);
		char *place = memory(44 * MIB / PAGE, MAP_PRIVATE | MAP_ANONYMOUS);
		fill(place, 44 * MIB / PAGE);
		CHECK(wrong(place, 44 * MIB / PAGE) == 0);
	});
	CHECK(event("pswpout") > before);
	CHECK(event("pswpin") > 0);
}

static int much_in_a_group(void)
{
	long pages = 16 * MIB / PAGE;
	char *place = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, pages);
	long bad = wrong(place, pages);
	printf("%ld wrong, swap in use: %s\n", bad, number("m", "memory.swap.current") > 2 * MIB ? "much" : "little");
	return 0;
}

static int out_as_far_as_may_be(void)
{
	long pages = 2 * MIB / PAGE;
	char *place = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
	MUST(madvise(place, pages * PAGE, MADV_NOHUGEPAGE));
	fill(place, pages);
	MUST(madvise(place, pages * PAGE, 21));
	long out = number("n", "memory.swap.current");
	CHECK(out > 0 && out <= MIB);
	CHECK(here(place, pages) >= pages / 2);
	CHECK(wrong(place, pages) == 0);
	return 0;
}

static int given_back(void)
{
	long pages = 12 * MIB / PAGE;
	char *place = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, pages);
	put("o", "memory.reclaim", "%d", 2 * MIB);
	CHECK(number("o", "memory.swap.current") >= MIB);
	put("o", "memory.max", "%d", 5 * MIB);
	CHECK(number("o", "memory.current") <= 5 * MIB);
	CHECK(wrong(place, pages) == 0);
	char *fresh = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
	int zeros = (int)MUST(open("/dev/zero", O_RDONLY));
	CHECK(read(zeros, fresh, pages * PAGE) == pages * PAGE);
	CHECK(wrong(place, pages) == 0);
	CHECK(field("o", "memory.events", "oom_kill") == 0);
	return 0;
}

static void show_child(const char *group, int (*run)(void))
{
	IN_CHILD({
		put(group, "cgroup.procs", "0");
		exit(run());
	});
}

static void in_a_group(void)
{
	mount_groups();
	put("", "cgroup.subtree_control", "+memory");
	make_group("m");
	put("m", "memory.max", "%d", 8 * MIB);
	show_child("m", much_in_a_group);
	printf("left: %s, peak: %s\n", number("m", "memory.swap.current") > 2 * MIB ? "much" : "little",
		number("m", "memory.swap.peak") > 2 * MIB ? "much" : "little");
	put("m", "memory.swap.max", "0");
	show_child("m", much_in_a_group);
	printf("%s", get("m", "memory.swap.events"));
	CHECK(field("m", "memory.events", "oom_kill") > 0);
	make_group("n");
	put("n", "memory.swap.max", "%d", MIB);
	show_child("n", out_as_far_as_may_be);
	CHECK(field("n", "memory.swap.events", "max") > 0);
	CHECK(field("n", "memory.swap.events", "fail") > 0);
	make_group("o");
	show_child("o", given_back);
	printf("groups removed: %d %d %d\n", remove_group("m"), remove_group("n"), remove_group("o"));
	put("", "cgroup.subtree_control", "-memory");
	unmount_groups();
}

int main(void)
{
	make_area(DISK, 16383);
	SHOW(on(DISK, 0));
	more_than_there_is();
	in_a_group();
	SHOW(off(DISK));
	return 0;
}
