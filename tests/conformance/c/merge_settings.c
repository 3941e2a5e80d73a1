/* Covers: which memory is mergeable (madvise MADV_MERGEABLE, prctl PR_SET_MEMORY_MERGE), and the settings in /sys/kernel/mm/ksm. */
#define _GNU_SOURCE
#include "merge_case.h"

static void each_text(const char *name, const char *usual)
{
	static const char *texts[] = {
		"", "-1", "0", "1", "3", "256", "4294967295", "4294967296", "x", "0x10", " 7", "7 ", "7\n", "+5", "y", "None", "on", "oFf", "o",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		store(name, texts[i]);
		printf("%s: %ld\n", name, ksm(name));
	}
	store(name, usual);
}

static void the_files(void)
{
	static const char *names[] = {
		"run", "pages_to_scan", "sleep_millisecs", "max_page_sharing", "use_zero_pages", "smart_scan", "merge_across_nodes",
		"stable_node_chains_prune_millisecs", "pages_shared", "pages_sharing", "pages_unshared", "pages_volatile",
		"ksm_zero_pages", "stable_node_chains", "stable_node_dups", "general_profit",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];
		struct stat info;
		snprintf(path, sizeof path, KSM "%s", names[i]);
		MUST(stat(path, &info));
		printf("%s %o: %ld\n", names[i], info.st_mode & 07777, ksm(names[i]));
	}
	struct stat info;
	MUST(stat("/proc/self/ksm_stat", &info));
	printf("ksm_stat %o\n", info.st_mode & 07777);
	MUST(stat("/proc/self/ksm_merging_pages", &info));
	printf("ksm_merging_pages %o\n", info.st_mode & 07777);
	show_file("/proc/self/ksm_stat");
	show_file("/proc/self/ksm_merging_pages");
}

static void advice(void)
{
	char *a = map(64, RW, MAP_PRIVATE);
	TRY(madvise(a + PAGE, 4 * PAGE, MADV_MERGEABLE));
	printf("before, in, after: %d %d %d\n", is_mergeable(a), is_mergeable(a + PAGE), is_mergeable(a + 5 * PAGE));
	printf("size: %ld\n", in_smaps(a + PAGE, "Size:", NULL));
	TRY(madvise(a + PAGE, 4 * PAGE, MADV_UNMERGEABLE));
	printf("in: %d, joined: %d\n", is_mergeable(a + PAGE), in_smaps(a + PAGE, "Size:", NULL) >= 256);
	TRY(madvise(a + 1, PAGE, MADV_MERGEABLE));
	TRY(madvise(a, 0, MADV_MERGEABLE));
	TRY(munmap(a + 8 * PAGE, PAGE));
	TRY(madvise(a + 6 * PAGE, 4 * PAGE, MADV_MERGEABLE));
	printf("around a hole: %d %d\n", is_mergeable(a + 7 * PAGE), is_mergeable(a + 9 * PAGE));
	TRY(madvise(a + 6 * PAGE, 4 * PAGE, MADV_UNMERGEABLE));
	printf("around a hole: %d %d\n", is_mergeable(a + 7 * PAGE), is_mergeable(a + 9 * PAGE));

	char *shared = map(1, RW, MAP_SHARED);
	TRY(madvise(shared, PAGE, MADV_MERGEABLE));
	printf("shared: %d\n", is_mergeable(shared));
	int fd = (int)MUST(memfd_create("file", 0));
	MUST(ftruncate(fd, 4 * PAGE));
	char *file = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	TRY(madvise(file, PAGE, MADV_MERGEABLE));
	printf("private, of a file: %d\n", is_mergeable(file));
	char *read_only = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	TRY(madvise(read_only, PAGE, MADV_MERGEABLE));
	printf("shared, read-only: %d\n", is_mergeable(read_only));
	char *none = map(1, PROT_NONE, MAP_PRIVATE);
	TRY(madvise(none, PAGE, MADV_MERGEABLE));
	printf("without access: %d\n", is_mergeable(none));
	char *grows = map(2, RW, MAP_PRIVATE | MAP_GROWSDOWN);
	TRY(madvise(grows, PAGE, MADV_MERGEABLE));
	printf("that grows: %d\n", is_mergeable(grows));
	char *locked = map(2, RW, MAP_PRIVATE | MAP_LOCKED);
	TRY(madvise(locked, PAGE, MADV_MERGEABLE));
	printf("locked: %d\n", is_mergeable(locked));
	char *moved = mremap(locked, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	printf("moved and grown: %d\n", is_mergeable(moved + PAGE));
	close(fd);
}

static char in_data[2 * PAGE] = { 1 };

static void of_all(const char *when)
{
	char *heap = sbrk(0);
	sbrk(4 * PAGE);
	char *fresh = map(2, RW, MAP_PRIVATE), *shared = map(2, RW, MAP_SHARED);
	printf("%s: get %d; code %d, data %d, stack %d, heap %d, new %d, shared %d\n", when, prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0),
	       is_mergeable(of_all), is_mergeable(in_data + PAGE), is_mergeable(&heap), is_mergeable(heap + PAGE), is_mergeable(fresh),
	       is_mergeable(shared));
}

static void everything(void)
{
	SHOW(prctl(PR_GET_MEMORY_MERGE, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 1));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 1, 1, 0, 0));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 1, 0, 1, 0));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 1));
	of_all("before");
	char *own = map(4, RW, MAP_PRIVATE);
	TRY(madvise(own, PAGE, MADV_MERGEABLE));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0));
	printf("advised, not switched on: %d\n", is_mergeable(own));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 2, 0, 0, 0));
	of_all("on");
	printf("next to the advised page: %d\n", is_mergeable(own + PAGE));
	TRY(madvise(own, PAGE, MADV_UNMERGEABLE));
	printf("advised against: %d\n", is_mergeable(own));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0));
	printf("switched on again: %d\n", is_mergeable(own));
	IN_CHILD(of_all("in a child"));
	IN_CHILD(execl("/proc/self/exe", "merge_settings", "again", NULL));
	SHOW(prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0));
	of_all("off");
	TRY(madvise(own, PAGE, MADV_MERGEABLE));
	IN_CHILD(printf("advised, in a child: %d %d\n", is_mergeable(own), prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0)));
	IN_CHILD(execl("/proc/self/exe", "merge_settings", "again", NULL));
	IN_CHILD(MUST(setuid(1000)); SHOW(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0)); of_all("a user's"));
}

int main(int count, char **arguments)
{
	(void)arguments;
	if (count > 1) {
		of_all("in a new program");
		return 0;
	}
	the_files();
	each_text("pages_to_scan", "100");
	each_text("sleep_millisecs", "20");
	each_text("max_page_sharing", "256");
	each_text("use_zero_pages", "0");
	each_text("smart_scan", "1");
	each_text("merge_across_nodes", "1");
	each_text("stable_node_chains_prune_millisecs", "2000");
	store("run", "3");
	store("run", "-1");
	store("run", "x");
	store("run", "2 ");
	store("run", "2\n");
	store("run", "0");
	store("pages_shared", "0");
	IN_CHILD(MUST(setuid(1000)); store("run", "1"); printf("%ld\n", ksm("run")));
	advice();
	everything();
	return 0;
}
