/* Records in the ring of an event: samples, tasks, maps, names, loss; wake-ups and signals. */
#define _GNU_SOURCE
#include "perf_case.h"
#include <sched.h>

static const char *kind(unsigned type)
{
	static const char *names[] = {"?", "MMAP", "LOST", "COMM", "EXIT", "THROTTLE", "UNTHROTTLE", "FORK", "READ", "SAMPLE",
		"MMAP2", "AUX", "ITRACE", "LOST_SAMPLES", "SWITCH", "SWITCH_CPU_WIDE"};
	return type < sizeof names / sizeof *names ? names[type] : "more";
}

static char *fresh_pages(int count)
{
	char *at = mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(at, (size_t)count * PAGE, MADV_NOHUGEPAGE);
	return at;
}

__attribute__((noinline, optimize("no-omit-frame-pointer"))) static void touch_all(char *at, int count)
{
	for (int i = 0; i < count; i++)
		((volatile char *)at)[i * PAGE] = 1;
}

static void faults(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.sample_period = 1;
	attr.exclude_kernel = 1;
	attr.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |
		PERF_SAMPLE_ID | PERF_SAMPLE_STREAM_ID | PERF_SAMPLE_CPU | PERF_SAMPLE_READ | PERF_SAMPLE_RAW |
		PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER | PERF_SAMPLE_WEIGHT | PERF_SAMPLE_DATA_SRC |
		PERF_SAMPLE_TRANSACTION;
	attr.read_format = PERF_FORMAT_ID;
	attr.sample_regs_user = 1 << 7 | 1 << 8;
	attr.sample_stack_user = 64;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 8);
	char *pages = fresh_pages(5);
	uint64_t id = 0, last = 0;
	MUST(ioctl(fd, PERF_EVENT_IOC_ID, &id));
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	touch_all(pages, 5);
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	int seen = 0;
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
		uint64_t *word = (uint64_t *)(record + 1);
		if (record->type != PERF_RECORD_SAMPLE || word[4] < (uint64_t)pages || word[4] >= (uint64_t)pages + 5 * PAGE)
			continue;
		printf("%s misc %x size %u: id %d %d %d, ip %d, pid %d tid %d, time %d, page %d, cpu %d, value %d, read id %d\n",
			kind(record->type), record->misc, record->size, word[0] == id, word[5] == id, word[6] == id,
			word[1] >= (uint64_t)touch_all && word[1] < (uint64_t)touch_all + 200, (int)word[2] == getpid(),
			(int)(word[2] >> 32) == getpid(), word[3] > last, (int)((word[4] - (uint64_t)pages) / PAGE),
			word[7] >> 32 == 0, (int)(word[8] > 0), word[9] == id);
		last = word[3];
		printf("raw %llx, abi %llu, stack %d, ip %d, dump %llu, dumped %llu, weight %llu, source %llx, transaction %llu\n",
			(unsigned long long)word[10], (unsigned long long)word[11], word[12] > 4096, word[13] == word[1],
			(unsigned long long)word[14], (unsigned long long)word[23], (unsigned long long)word[24],
			(unsigned long long)word[25], (unsigned long long)word[26]);
		seen++;
	}
	printf("%d samples\n", seen);
}

static void periods(void)
{
	for (int period = 1; period <= 7; period += 3) {
		struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
		attr.sample_period = (unsigned)period;
		attr.exclude_kernel = 1;
		attr.sample_type = PERF_SAMPLE_ADDR;
		int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
		struct ring ring = map_ring(fd, 8);
		char *pages = fresh_pages(40);
		MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
		touch_all(pages, 40);
		MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
		int seen = 0, first = -1, step = 0, previous = -1;
		for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
			uint64_t address = *(uint64_t *)(record + 1);
			if (address < (uint64_t)pages || address >= (uint64_t)pages + 40 * PAGE)
				continue;
			int page = (int)((address - (uint64_t)pages) / PAGE);
			first = first < 0 ? page : first;
			step = previous < 0 ? 0 : page - previous;
			previous = page;
			seen++;
		}
		printf("period %d: about %d, step %d, first early %d\n", period, seen * period / 10 * 10, step, first < period + 2);
	}
}

static void limits(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.sample_period = 1;
	attr.exclude_kernel = 1;
	attr.sample_type = PERF_SAMPLE_ADDR;
	attr.wakeup_events = 3;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 1);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char *pages = fresh_pages(600);
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 2));
	touch_all(pages, 4);
	printf("head %llu\n", ring.page->data_head);
	SHOW(poll(&wait, 1, 0));
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 100));
	touch_all(pages + 4 * PAGE, 2);
	SHOW(poll(&wait, 1, 0));
	printf("revents %x\n", (unsigned)wait.revents);
	SHOW(poll(&wait, 1, 0));
	MUST(ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1));
	uint64_t head = ring.page->data_head;
	touch_all(pages + 6 * PAGE, 2);
	CHECK(ring.page->data_head == head);
	MUST(ioctl(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 0));
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	while (next_record(&ring))
		;
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 2000));
	touch_all(pages + 8 * PAGE, 300);
	int samples = 0, lost = 0;
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL; samples++)
		if (record->type == PERF_RECORD_LOST)
			lost = 1;
	CHECK(samples > 200 && samples < 257);
	touch_all(pages + 308 * PAGE, 1);
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	struct perf_event_header *record = next_record(&ring);
	uint64_t *word = (uint64_t *)(record + 1);
	printf("lost in between %d; %s of %u bytes, about %llu\n", lost, kind(record->type), record->size,
		(unsigned long long)word[1] / 20 * 20);
}

static volatile sig_atomic_t signals;
static void on_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	signals += info->si_fd > 0 ? 1 : 100;
}

static void signalled(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_PAGE_FAULTS);
	attr.sample_period = 1;
	attr.exclude_kernel = 1;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	MUST(sigaction(SIGRTMIN, &action, NULL));
	MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC));
	MUST(fcntl(fd, F_SETSIG, SIGRTMIN));
	MUST(fcntl(fd, F_SETOWN, getpid()));
	char *pages = fresh_pages(10);
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 1));
	touch_all(pages, 3);
	printf("signals %d\n", (int)signals);
	MUST(ioctl(fd, PERF_EVENT_IOC_REFRESH, 1));
	touch_all(pages + 3 * PAGE, 3);
	printf("signals %d\n", (int)signals);
}

static void tasks(char **argv)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	attr.mmap = attr.mmap2 = attr.comm = attr.comm_exec = attr.task = attr.sample_id_all = 1;
	attr.inherit = 1;
	attr.disabled = 0;
	attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_IDENTIFIER;
	int fd = (int)MUST(event_open(&attr, 0, 0, -1, 0));
	struct ring ring = map_ring(fd, 16);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_NAME, "renamed", 0, 0, 0);
		execl(argv[0], argv[0], "child", NULL);
		_exit(9);
	}
	int status;
	MUST(waitpid(child, &status, 0));
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
		uint32_t *half = (uint32_t *)(record + 1);
		uint64_t *word = (uint64_t *)(record + 1);
		const char *end = (char *)record + record->size;
		uint32_t *tail = (uint32_t *)(end - 24);
		printf("%s misc %x, %s", kind(record->type), record->misc, (pid_t)half[0] == child ? "child" : "self");
		if (record->type == PERF_RECORD_FORK || record->type == PERF_RECORD_EXIT)
			printf(" of %s, size %u, time %d\n", (pid_t)half[1] == getpid() ? "self" : "other", record->size,
				word[2] > 0);
		else if (record->type == PERF_RECORD_COMM)
			printf(" %s, size %u, by %d\n", (char *)(word + 1), record->size, (pid_t)tail[0] == child);
		else if (record->type == PERF_RECORD_MMAP2)
			printf(" %s, whole %d, from %llu, prot %u, flags %u, inode %d\n", (char *)(word + 8),
				word[2] % PAGE == 0, word[3] < (1 << 20) ? (unsigned long long)word[3] : 1ull, half[14], half[15],
				word[5] > 0);
		else
			printf("\n");
	}
}

/* Memory that is mapped, protected in another way, and the heap. */
static void maps(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	attr.mmap = attr.mmap_data = attr.mmap2 = 1;
	attr.disabled = 0;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 1);
	while (next_record(&ring))
		;
	char *at = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mprotect(at + 2 * PAGE, 4 * PAGE, PROT_READ));
	MUST(mprotect(at + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	MUST(mprotect(at + 3 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	MUST(mprotect(at, 0, PROT_READ));
	char *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *heap = (char *)syscall(SYS_brk, 0), *more = heap + 4 * PAGE;
	syscall(SYS_brk, more);
	syscall(SYS_brk, heap);
	MUST(munmap(at, 8 * PAGE));
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
		uint32_t *half = (uint32_t *)(record + 1);
		uint64_t *word = (uint64_t *)(record + 1);
		char *start = (char *)word[1], *name = (char *)(word + 8);
		if (start >= at && start < at + 8 * PAGE)
			printf("%s misc %x: page %d, %d pages, prot %u, flags %x, at itself %d, %s\n", kind(record->type), record->misc,
				(int)((start - at) / PAGE), (int)(word[2] / PAGE), half[14], half[15], word[3] == word[1], name);
		else if (start == shared)
			printf("shared misc %x: %d pages, from %llu, prot %u, flags %x\n", record->misc, (int)(word[2] / PAGE),
				(unsigned long long)word[3], half[14], half[15]);
		else if (start <= heap && start + word[2] >= more)
			printf("heap misc %x: prot %u, flags %x\n", record->misc, half[14], half[15]); /* it has its name later */
		else
			printf("%s misc %x: something else, %s\n", kind(record->type), record->misc, name);
	}
	CHECK(mremap(ring.page, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	printf("%s\n", error_name(errno));
	MUST(munmap(ring.page, 2 * PAGE));
}

static void switches(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_DUMMY);
	attr.context_switch = 1;
	attr.disabled = 0;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 1);
	for (int i = 0; i < 3; i++)
		usleep(3000);
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	int in = 0, out = 0, odd = 0;
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;)
		if (record->type != PERF_RECORD_SWITCH || record->size != 8)
			odd++;
		else if (record->misc & PERF_RECORD_MISC_SWITCH_OUT)
			out++;
		else
			in++;
	CHECK(in >= 3 && in == out && odd == 0);
}

static void clocks(void)
{
	struct perf_event_attr attr = software(PERF_COUNT_SW_CPU_CLOCK);
	attr.sample_period = 1000000;
	attr.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN;
	attr.exclude_callchain_kernel = 1;
	int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	struct ring ring = map_ring(fd, 8);
	MUST(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
	for (volatile int i = 0; i < 20000000; i++)
		;
	MUST(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
	int samples = 0, right = 0;
	for (struct perf_event_header *record; (record = next_record(&ring)) != NULL;) {
		uint64_t *word = (uint64_t *)(record + 1);
		samples++;
		if (word[1] == 1000000 && word[2] >= 2 && word[3] == (uint64_t)PERF_CONTEXT_USER)
			right += (record->misc & 7) != PERF_RECORD_MISC_USER || word[4] == word[0];
	}
	CHECK(samples >= 5);
	CHECK(right == samples);
	uint64_t ns = count_of(fd);
	CHECK(ns / 1000000 + 3 >= (uint64_t)samples);
}

int main(int argc, char **argv)
{
	cpu_set_t first;
	if (argc > 1)
		return 0;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	MUST(sched_setaffinity(0, sizeof first, &first));
	faults();
	periods();
	limits();
	signalled();
	tasks(argv);
	maps();
	switches();
	clocks();
	return 0;
}
