/* Tracepoints: how they are laid out, filters, and what events see of system calls and tasks. */
#define _GNU_SOURCE
#include "perf_case.h"

static void show_format(const char *name)
{
	char path[200], text[4096];
	snprintf(path, sizeof path, "/sys/kernel/tracing/events/%s/format", name);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t length = read(fd, text, sizeof text - 1);
	text[length < 0 ? 0 : length] = 0;
	close(fd);
	char *id = strstr(text, "ID: "), *rest = id ? strchr(id, '\n') : NULL;
	printf("%.*sID: %d%s", (int)(id - text), text, strtoull(id + 4, NULL, 10) == tracepoint(name), rest);
}

static int opened(const char *name, const char *filter, pid_t pid)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = tracepoint(name),
		.sample_period = 1, .sample_type = PERF_SAMPLE_RAW, .disabled = 1};
	int fd = (int)MUST(event_open(&attr, pid, -1, -1, 0));
	if (filter)
		SHOW(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter));
	return fd;
}

static void calls(void)
{
	int enter = opened("syscalls/sys_enter_openat", NULL, 0), leave = opened("syscalls/sys_exit_openat", NULL, 0);
	int raw = opened("raw_syscalls/sys_enter", "id == 39 || id == 257", 0);
	struct ring entered = map_ring(enter, 1), left = map_ring(leave, 1), all = map_ring(raw, 1);
	for (int i = 0; i < 3; i++)
		MUST(ioctl((int[]){enter, leave, raw}[i], PERF_EVENT_IOC_ENABLE, 0));
	syscall(SYS_openat, -1, "nowhere/at/all", O_RDONLY | O_CLOEXEC, 0);
	syscall(SYS_getpid);
	syscall(SYS_getuid);
	for (int i = 0; i < 3; i++)
		MUST(ioctl((int[]){enter, leave, raw}[i], PERF_EVENT_IOC_DISABLE, 0));
	for (struct perf_event_header *record; (record = next_record(&entered)) != NULL;) {
		uint32_t *half = (uint32_t *)(record + 1);
		uint64_t *word = (uint64_t *)(half + 1);
		printf("%u bytes, raw %u, pid %d, call %u: %lld %d %llx %llu\n", record->size, half[0],
			(pid_t)half[2] == getpid(), half[3], (long long)word[2], strcmp((char *)word[3], "nowhere/at/all"),
			(unsigned long long)word[4], (unsigned long long)word[5]);
	}
	for (struct perf_event_header *record; (record = next_record(&left)) != NULL;) {
		uint32_t *half = (uint32_t *)(record + 1);
		uint64_t *word = (uint64_t *)(half + 1);
		printf("%u bytes, raw %u, call %u: %lld\n", record->size, half[0], half[3], (long long)word[2]);
	}
	for (struct perf_event_header *record; (record = next_record(&all)) != NULL;) {
		uint32_t *half = (uint32_t *)(record + 1);
		uint64_t *word = (uint64_t *)(half + 1);
		printf("%u bytes, raw %u, call %llu\n", record->size, half[0], (unsigned long long)word[1]);
	}
	printf("counts %llu %llu %llu\n", (unsigned long long)count_of(enter), (unsigned long long)count_of(leave),
		(unsigned long long)count_of(raw));
}

static void filters(void)
{
	static const char *texts[] = {"id == 1", "id==1", "id == 0x27 && args == 1", "nothing == 1", "id", "id ==", "id == x",
		"(id == 1", "id == 1)", "!(id == 1)", "id & 2", "id > 5 || (id < 3 && id != 1)", "id ~ \"a\"", "common_pid != 5",
		"id == 1 &&", "&& id == 1", "id = 1", "", "id === 1", "id == 1 2", "!", "$ == 1", "(", ")", "\"",
		"id == 1 || (id == 2", "id == 99999999999999999999", "id == -1", "id == 1 |", "id == 1 & id == 2"};
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		int fd = opened("raw_syscalls/sys_exit", NULL, 0);
		errno = 0;
		int result = ioctl(fd, PERF_EVENT_IOC_SET_FILTER, texts[i]);
		printf("%s: %s\n", texts[i], result < 0 ? error_name(errno) : "ok");
		close(fd);
	}
	int fd = opened("sched/sched_process_exit", "comm == \"x\"", 0);
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, "comm ~ \"ab*\" && prio > 1"));
	fd = opened("sched/sched_process_exit", "comm ~ \"ab*\" && prio > 1", 0);
	fd = opened("sched/sched_process_exit", NULL, 0);
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_FILTER, "comm > 5"));
	SHOW(ioctl(fd, PERF_EVENT_IOC_SET_BPF, 1) < 0);
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = 65000};
	SHOW(event_open(&attr, 0, -1, -1, 0));
	attr.config = 0;
	SHOW(event_open(&attr, 0, -1, -1, 0));
}

/* Only the tracepoints of single calls are said to be met by the program. */
static void from_where(void)
{
	static const char *names[] = {"raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "syscalls/sys_enter_getpid",
		"syscalls/sys_exit_getpid"};
	for (int i = 0; i < 4; i++) {
		struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = tracepoint(names[i]),
			.sample_period = 1, .sample_type = PERF_SAMPLE_TID, .exclude_user = 1};
		int other = (int)MUST(event_open(&attr, 0, -1, -1, 0));
		attr.exclude_user = 0;
		attr.exclude_kernel = 1;
		int fd = (int)MUST(event_open(&attr, 0, -1, -1, 0));
		attr.exclude_kernel = 0;
		int all = (int)MUST(event_open(&attr, 0, -1, -1, 0));
		struct ring ring = map_ring(all, 1);
		syscall(SYS_getpid);
		MUST(ioctl(all, PERF_EVENT_IOC_DISABLE, 0));
		struct perf_event_header *record = next_record(&ring);
		printf("%s: of the program %d, of the kernel %d, misc %x\n", names[i], count_of(fd) > 0, count_of(other) > 0,
			record ? record->misc : 0xffff);
	}
	MUST(syscall(-1) == -1 && errno == ENOSYS ? 0 : -1);
}

static void life(void)
{
	static const char *names[] = {"sched/sched_process_fork", "sched/sched_process_exit", "sched/sched_switch"};
	int fds[3];
	for (int i = 0; i < 3; i++) {
		struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = tracepoint(names[i]),
			.inherit = 1};
		fds[i] = (int)MUST(event_open(&attr, 0, -1, -1, 0));
	}
	IN_CHILD(usleep(2000); usleep(2000));
	uint64_t switches = count_of(fds[2]);
	printf("forks %llu, ends %llu, switches %d\n", (unsigned long long)count_of(fds[0]),
		(unsigned long long)count_of(fds[1]), switches >= 3 && switches < 100);
}

int main(void)
{
	mount_tracefs();
	show_format("raw_syscalls/sys_enter");
	show_format("raw_syscalls/sys_exit");
	show_format("syscalls/sys_enter_openat");
	show_format("syscalls/sys_enter_newfstat");
	show_format("syscalls/sys_exit_mmap");
	show_format("syscalls/sys_enter_getpid");
	show_format("sched/sched_switch");
	show_format("sched/sched_process_exec");
	show_format("sched/sched_process_fork");
	show_format("sched/sched_process_exit");
	calls();
	filters();
	from_where();
	life();
	unmount_tracefs();
	return 0;
}
