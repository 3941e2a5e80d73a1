/* perf_event_open: what it refuses, and with what. */
#define _GNU_SOURCE
#include "perf_case.h"

#define OPENS(what, ...) do { struct perf_event_attr a = software(PERF_COUNT_SW_DUMMY); __VA_ARGS__; \
	errno = 0; long fd_ = event_open(&a, 0, -1, -1, 0); \
	printf("%s: %s\n", what, fd_ < 0 ? error_name(errno) : "ok"); if (fd_ >= 0) close((int)fd_); } while (0)

static void attributes(void)
{
	OPENS("plain");
	OPENS("size 0", a.size = 0);
	OPENS("size 1", a.size = 1; );
	OPENS("size 64", a.size = 64);
	OPENS("size 112", a.size = 112);
	OPENS("size 63", a.size = 63);
	OPENS("size 5000", a.size = 5000);
	for (unsigned type = 0; type < 12; type++)
		if (type != 1 && type != PERF_TYPE_BREAKPOINT && type < 6)
			OPENS("type", printf("%u ", type); a.type = type; a.config = 0);
	for (unsigned config = 0; config < 14; config++)
		OPENS("config", printf("%u ", config); a.config = config);
	OPENS("config high", a.config = 1ull << 40);
	OPENS("reserved 2", a.__reserved_2 = 1);
	OPENS("sample type 25", a.sample_type = 1 << 25);
	OPENS("read format 5", a.read_format = 1 << 5);
	OPENS("branch stack, none", a.sample_type = PERF_SAMPLE_BRANCH_STACK);
	OPENS("branch stack", a.sample_type = PERF_SAMPLE_BRANCH_STACK; a.branch_sample_type = PERF_SAMPLE_BRANCH_ANY);
	OPENS("no registers", a.sample_type = PERF_SAMPLE_REGS_USER);
	OPENS("registers", a.sample_type = PERF_SAMPLE_REGS_USER; a.sample_regs_user = 0xff0fff);
	OPENS("segments", a.sample_type = PERF_SAMPLE_REGS_USER; a.sample_regs_user = 1 << 12);
	OPENS("too many registers", a.sample_type = PERF_SAMPLE_REGS_USER; a.sample_regs_user = 1ull << 40);
	OPENS("stack", a.sample_type = PERF_SAMPLE_STACK_USER; a.sample_stack_user = 8192);
	OPENS("odd stack", a.sample_type = PERF_SAMPLE_STACK_USER; a.sample_stack_user = 8193);
	OPENS("large stack", a.sample_type = PERF_SAMPLE_STACK_USER; a.sample_stack_user = 65536);
	OPENS("weights", a.sample_type = PERF_SAMPLE_WEIGHT | PERF_SAMPLE_WEIGHT_STRUCT);
	OPENS("frequency", a.freq = 1; a.sample_freq = 100000);
	OPENS("high frequency", a.freq = 1; a.sample_freq = 100001);
	OPENS("period", a.sample_period = ~0ull >> 1);
	OPENS("long period", a.sample_period = 1ull << 63);
	OPENS("inherit thread", a.inherit_thread = 1);
	OPENS("inherit thread, too", a.inherit_thread = 1; a.inherit = 1);
	OPENS("exec twice", a.remove_on_exec = 1; a.enable_on_exec = 1);
	OPENS("remove on exec", a.remove_on_exec = 1);
	OPENS("inherit and read", a.inherit = 1; a.sample_type = PERF_SAMPLE_READ);
	OPENS("callers", a.sample_type = PERF_SAMPLE_CALLCHAIN; a.sample_max_stack = 127);
	OPENS("many callers", a.sample_type = PERF_SAMPLE_CALLCHAIN; a.sample_max_stack = 128);
	OPENS("aux output", a.aux_output = 1);
	OPENS("ksymbol", a.ksymbol = 1; a.bpf_event = 1);
	for (int clock = 0; clock < 13; clock++)
		if (clock != 2 && clock != 3)
			OPENS("clock", printf("%d ", clock); a.use_clockid = 1; a.clockid = clock);
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	struct { struct perf_event_attr attr; char more[64]; } larger = {.attr = attr};
	larger.attr.size = sizeof larger;
	SHOW(event_open(&larger.attr, 0, -1, -1, 0) >= 0);
	larger.more[63] = 1;
	SHOW(event_open(&larger.attr, 0, -1, -1, 0));
	printf("it wants %u\n", larger.attr.size);
	SHOW(event_open(NULL, 0, -1, -1, 0));
	SHOW(event_open((void *)8, 0, -1, -1, 0));
}

static void places(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	SHOW(event_open(&attr, -1, -1, -1, 0));
	SHOW(event_open(&attr, 0, 1000, -1, 0));
	SHOW(event_open(&attr, 0, -2, -1, 0));
	SHOW(event_open(&attr, -2, -1, -1, 0));
	SHOW(event_open(&attr, 4000000, -1, -1, 0));
	SHOW(event_open(&attr, 0, -1, -1, 16));
	SHOW(event_open(&attr, 0, -1, 77, 0));
	SHOW(event_open(&attr, 0, -1, 1, 0));
	SHOW(event_open(&attr, -1, 0, -1, PERF_FLAG_PID_CGROUP) < 0);
	TRY(event_open(&attr, -1, 0, -1, PERF_FLAG_PID_CGROUP));
	TRY(event_open(&attr, 0, -1, -1, PERF_FLAG_PID_CGROUP));
	TRY(event_open(&attr, 9999, 0, -1, PERF_FLAG_PID_CGROUP));
	TRY(event_open(&attr, 0, 0, -1, PERF_FLAG_PID_CGROUP));
	TRY(event_open(&attr, 9999, 9999, -1, PERF_FLAG_PID_CGROUP));
	TRY(event_open(&attr, 9999, 0, 9999, PERF_FLAG_PID_CGROUP));
	int whole = (int)MUST(event_open(&attr, -1, 0, -1, 0));
	int first = (int)MUST(event_open(&attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	CHECK(fcntl(first, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(first, F_GETFL) & O_ACCMODE) == O_RDWR);
	SHOW(lseek(first, 0, SEEK_SET));
	SHOW(write(first, "x", 1));
	int member = (int)MUST(event_open(&attr, 0, -1, first, 0));
	SHOW(event_open(&attr, 0, -1, member, 0));
	SHOW(event_open(&attr, 0, -1, whole, 0));
	SHOW(event_open(&attr, 0, 0, first, 0));
	attr.inherit = 1;
	SHOW(event_open(&attr, 0, -1, first, 0));
	attr.inherit = 0;
	attr.pinned = 1;
	SHOW(event_open(&attr, 0, -1, first, 0));
	attr.pinned = 0;
	SHOW(event_open(&attr, 0, -1, first, PERF_FLAG_FD_NO_GROUP) >= 0);
	SHOW(event_open(&attr, 0, -1, first, PERF_FLAG_FD_OUTPUT));
	attr.use_clockid = 1;
	attr.clockid = CLOCK_MONOTONIC;
	SHOW(event_open(&attr, 0, -1, first, 0));
}

static void commands(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	uint64_t value = 5;
	SHOW(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	SHOW(ioctl(fd, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP));
	SHOW(ioctl(fd, PERF_EVENT_IOC_RESET, 0));
	SHOW(ioctl(fd, PERF_EVENT_IOC_REFRESH, 1));
	SHOW(ioctl(fd, PERF_EVENT_IOC_PERIOD, &value));
	SHOW(ioctl(fd, PERF_EVENT_IOC_PERIOD, NULL));
	SHOW(ioctl(fd, PERF_EVENT_IOC_ID, &value));
	CHECK(value > 0);
	SHOW(ioctl(fd, PERF_EVENT_IOC_ID, NULL));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, fd));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, -1L));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, 1));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, 99));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, "id == 1"));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, NULL));
	SHOW(ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
	SHOW(ioctl(fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr));
	attr.type = PERF_TYPE_TRACEPOINT;
	SHOW(ioctl(fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, &attr));
	SHOW(ioctl(fd, 0x24ff, 0));
	SHOW(ioctl(fd, FIONREAD, &value));
	attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.sample_period = 100;
	int sampling = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	value = 7;
	SHOW(ioctl(sampling, PERF_EVENT_IOC_PERIOD, &value));
	value = 0;
	SHOW(ioctl(sampling, PERF_EVENT_IOC_PERIOD, &value));
	value = 1ull << 63;
	SHOW(ioctl(sampling, PERF_EVENT_IOC_PERIOD, &value));
	SHOW(ioctl(sampling, PERF_EVENT_IOC_REFRESH, 1));
}

static void maps(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0)), other = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	SHOW(poll(&wait, 1, 0));
	printf("events %x\n", (unsigned)wait.revents);
	SHOW(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	SHOW(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	SHOW(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE) != MAP_FAILED);
	SHOW(ioctl(other, PERF_EVENT_IOC_SET_OUTPUT, fd));
	struct perf_event_mmap_page *page = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED);
	printf("version %u %u, bit 0 %u, head %llu, tail %llu, offset %llu, size %llu, index %u, words %u\n", page->version,
		page->compat_version, (unsigned)page->cap_bit0_is_deprecated, page->data_head, page->data_tail,
		page->data_offset, page->data_size, page->index, page->size);
	SHOW(poll(&wait, 1, 0));
	SHOW(mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	void *again = mmap(NULL, 3 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(again != MAP_FAILED);
	SHOW(ioctl(other, PERF_EVENT_IOC_SET_OUTPUT, fd));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, -1L));
	SHOW(ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
	IN_CHILD(unsigned char there; SHOW(mincore(page, PAGE, &there)));
	SHOW(munmap(again, 3 * PAGE));
	SHOW(munmap(page, 3 * PAGE));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, -1L));
	attr.inherit = 1;
	int heir = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	SHOW(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, heir, 0) != MAP_FAILED);
	int bound = (int)MUST(event_open(&attr, 0, 0, -1, 0));
	SHOW(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bound, 0) != MAP_FAILED);
}

int main(void)
{
	attributes();
	places();
	commands();
	maps();
	return 0;
}
