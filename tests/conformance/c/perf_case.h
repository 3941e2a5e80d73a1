/* What the programs about performance events share. */
#ifndef PERF_CASE_H
#define PERF_CASE_H
#include "case.h"
#include <linux/perf_event.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static inline long event_open(struct perf_event_attr *attr, pid_t pid, int cpu, int group, unsigned long flags)
{
	return syscall(SYS_perf_event_open, attr, pid, cpu, group, flags);
}

/* An event of software, that is off. */
static inline struct perf_event_attr software(uint64_t config)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = config, .disabled = 1};
	return attr;
}

/* The number of a tracepoint. */
static inline uint64_t tracepoint(const char *name)
{
	char path[200], text[20] = "";
	snprintf(path, sizeof path, "/sys/kernel/tracing/events/%s/id", name);
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return 0;
	close(fd);
	return strtoull(text, NULL, 10);
}

static inline void mount_tracefs(void)
{
	mkdir("/sys", 0755);
	syscall(SYS_mount, "sysfs", "/sys", "sysfs", 0, 0);
	syscall(SYS_mount, "tracefs", "/sys/kernel/tracing", "tracefs", 0, 0);
}

/* At the end: other cases see tracefs's place as it was. */
static inline void unmount_tracefs(void)
{
	syscall(SYS_umount2, "/sys/kernel/tracing", 2);
}

static inline uint64_t count_of(int fd)
{
	uint64_t value = 0;
	return read(fd, &value, sizeof value) == sizeof value ? value : ~0ull;
}

/* The ring of an event, from the front. */
struct ring {
	struct perf_event_mmap_page *page;
	unsigned char *data;
	uint64_t size;
};

static inline struct ring map_ring(int fd, int pages)
{
	struct ring ring = {0};
	void *at = mmap(NULL, (size_t)(pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		printf("no ring: %s\n", error_name(errno));
		exit(98);
	}
	ring.page = at;
	ring.data = (unsigned char *)at + PAGE;
	ring.size = (uint64_t)pages * PAGE;
	return ring;
}

/* The next record, copied; NULL if there is none. */
static inline struct perf_event_header *next_record(struct ring *ring)
{
	static uint64_t copy[8192];
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE), tail = ring->page->data_tail;
	if (head == tail)
		return NULL;
	struct perf_event_header *first = (void *)(ring->data + tail % ring->size);
	uint64_t size = first->size;
	for (uint64_t i = 0; i < size; i++)
		((unsigned char *)copy)[i] = ring->data[(tail + i) % ring->size];
	__atomic_store_n(&ring->page->data_tail, tail + size, __ATOMIC_RELEASE);
	return (void *)copy;
}
#endif
