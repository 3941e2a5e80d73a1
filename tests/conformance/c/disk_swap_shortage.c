/* More memory than there is, on a machine that swaps: nothing is lost, and nobody is killed; in control groups as well. */
#define _GNU_SOURCE
#include "swap_case.h"
#include "cgroup_case.h"

#define MIB (1 << 20)

static void more_than_there_is(void)
{
	long pages = (figure("/proc/meminfo", "MemAvailable") / 4 / 1024 + 24) * 256;
	long before = event("pswpout");
	IN_CHILD({
		char *place = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
		fill(place, pages);
		CHECK(wrong(place, pages) == 0);
		CHECK(wrong(place, pages) == 0);
	});
	CHECK(event("pswpout") > before);
	CHECK(event("pswpin") > 0);
}

static int two_runs(void)
{
	long pages = 24 * MIB / PAGE;
	char *place = memory(pages, MAP_PRIVATE | MAP_ANONYMOUS);
	fill(place, pages);
	long bad = wrong(place, pages);
	printf("%ld wrong, swap in use: %s\n", bad, number("m", "memory.swap.current") > 4 * MIB ? "much" : "little");
	return 0;
}

static void show_child(int (*run)(void))
{
	IN_CHILD({
		put("m", "cgroup.procs", "0");
		exit(run());
	});
}

static void in_a_group(void)
{
	mount_groups();
	put("", "cgroup.subtree_control", "+memory");
	mkdir(at("m", ""), 0755);
	put("m", "memory.max", "%d", 12 * MIB);
	show_child(two_runs);
	printf("left: %ld, peak: %s\n", number("m", "memory.swap.current"), number("m", "memory.swap.peak") > 4 * MIB ? "much" : "little");
	put("m", "memory.swap.max", "0");
	show_child(two_runs);
	printf("%s", get("m", "memory.swap.events"));
	put("m", "memory.swap.max", "%d", MIB);
	show_child(two_runs);
	CHECK(field("m", "memory.swap.events", "max") > 0);
	CHECK(field("m", "memory.swap.events", "fail") > 0);
	CHECK(field("m", "memory.events", "oom_kill") > 0);
	rmdir(at("m", ""));
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
