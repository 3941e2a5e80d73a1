/* Covers: the settings of transparent huge pages: the files in /sys, which texts they take, prctl PR_SET_THP_DISABLE, and who is eligible. */
#define _GNU_SOURCE
#include "large_case.h"

static void each_text(const char *name)
{
	static const char *texts[] = {
		"", "\n", "always", "always\n", "madvise", "madvise\n", "never", "never\n", "defer", "defer+madvise", "defer+madvise\n", "defer\n",
		"Always", " always", "always ", "always\n\n", "alway", "1", "0", "[always]",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		printf("%zu: ", i);
		TRY(store(name, texts[i]));
		show_setting(name);
	}
}

static void a_switch(const char *name)
{
	static const char *texts[] = { "", "0", "0\n", "1", "1\n", "2", "-1", "x", " 1", "+1", "01", "1 " };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		printf("%zu: ", i);
		TRY(store(name, texts[i]));
		show_setting(name);
	}
}

static void the_files(void)
{
	static const char *names[] = { "enabled", "defrag", "use_zero_page", "hpage_pmd_size" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];
		struct stat info;
		snprintf(path, sizeof path, SETTINGS_AT "%s", names[i]);
		if (stat(path, &info) == 0)
			printf("%o ", info.st_mode & 07777);
		show_setting(names[i]);
	}
	TRY(store("hpage_pmd_size", "1"));
}

static void eligible(const char *when, char *place, char *small, char *stack)
{
	printf("%s: %ld %ld %ld\n", when, sum_of(place, PAGE, "THPeligible:"), sum_of(small, PAGE, "THPeligible:"),
	       sum_of(stack, PAGE, "THPeligible:"));
}

static void advice(void)
{
	char *place = aligned(4 * HUGE, RW);
	char *small = mmap(0, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *stack = mmap(0, 4 * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	printf("a stack: %d\n", has_flag(stack, " nh"));
	static const char *modes[] = { "always", "madvise", "never" };
	for (int i = 0; i < 3; i++) {
		store("enabled", modes[i]);
		printf("%s\n", modes[i]);
		eligible(" as it is", place, small, stack);
		TRY(madvise(place, 4 * HUGE, MADV_HUGEPAGE));
		TRY(madvise(small, PAGE, MADV_HUGEPAGE));
		TRY(madvise(stack, 4 * HUGE, MADV_HUGEPAGE));
		printf(" flags: %d %d %d %d\n", has_flag(place, " hg"), has_flag(place, " nh"), has_flag(stack, " hg"), has_flag(stack, " nh"));
		eligible(" wanted", place, small, stack);
		TRY(madvise(place, 4 * HUGE, MADV_NOHUGEPAGE));
		TRY(madvise(small, PAGE, MADV_NOHUGEPAGE));
		TRY(madvise(stack, 4 * HUGE, MADV_NOHUGEPAGE));
		printf(" flags: %d %d %d %d\n", has_flag(place, " hg"), has_flag(place, " nh"), has_flag(stack, " hg"), has_flag(stack, " nh"));
		eligible(" not wanted", place, small, stack);
		char *other = aligned(2 * HUGE, RW);
		eligible(" new", other, small, stack);
	}
	store("enabled", "always");
	TRY(madvise(place + PAGE, PAGE, MADV_HUGEPAGE));
	printf("cut: %ld KiB\n", sum_of(place + PAGE, PAGE, "Size:"));
	TRY(madvise(place + PAGE, PAGE, MADV_NOHUGEPAGE));
	printf("joined: %d\n", sum_of(place + PAGE, PAGE, "Size:") > 4);
	TRY(madvise(place + 1, PAGE, MADV_HUGEPAGE));
	TRY(madvise(place, 0, MADV_HUGEPAGE));
	TRY(munmap(place + PAGE, PAGE));
	TRY(madvise(place, 4 * PAGE, MADV_HUGEPAGE));
	printf("beyond the hole: %d\n", has_flag(place + 2 * PAGE, " hg"));
	char *shared = mmap(0, 2 * HUGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TRY(madvise(shared, 2 * HUGE, MADV_HUGEPAGE));
	printf("shared: %d\n", has_flag(shared, " hg"));
	int fd = open("/proc/self/exe", O_RDONLY);
	char *file = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	TRY(madvise(file, PAGE, MADV_HUGEPAGE));
	printf("a file: %d\n", has_flag(file, " hg"));
}

static void disabled_child(char *place)
{
	SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	fill(place, 2 * HUGE);
	printf("huge: %ld KiB, eligible: %ld\n", huge_kib(place, 2 * HUGE), sum_of(place, PAGE, "THPeligible:"));
}

static void a_process_without(void)
{
	char *place = aligned(2 * HUGE, RW);
	TRY(madvise(place, 2 * HUGE, MADV_HUGEPAGE));
	SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
	SHOW(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0));
	SHOW(prctl(PR_SET_THP_DISABLE, 7, 0, 0, 0));
	in_child(disabled_child, place);
	fill(place, 2 * HUGE);
	printf("huge: %ld KiB, eligible: %ld\n", huge_kib(place, 2 * HUGE), sum_of(place, PAGE, "THPeligible:"));
	TRY(madvise(place, 2 * HUGE, MADV_COLLAPSE));
	SHOW(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	TRY(madvise(place, 2 * HUGE, MADV_COLLAPSE));
	printf("huge: %ld KiB, eligible: %ld\n", huge_kib(place, 2 * HUGE), sum_of(place, PAGE, "THPeligible:"));
	char line[128];
	FILE *file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "THP_enabled", 11) == 0)
			printf("%s", line);
}

int main(void)
{
	borrow_settings();
	the_files();
	each_text("enabled");
	each_text("defrag");
	store("defrag", "madvise");
	a_switch("use_zero_page");
	advice();
	a_process_without();
	return 0;
}
