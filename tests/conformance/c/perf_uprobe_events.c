/* Covers: perf_event_open (uprobes of tracefs): uprobe_events, uprobe_profile, events/GROUP/EVENT. */
#define _GNU_SOURCE
#include "perf_case.h"
#include <elf.h>

extern const Elf64_Ehdr __ehdr_start;
static const char *self = "/tmp/program";

static uint64_t offset_of(const void *at)
{
	const Elf64_Phdr *part = (const void *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
	for (int i = 0; i < __ehdr_start.e_phnum; i++)
		if (part[i].p_type == PT_LOAD && (uintptr_t)at - part[i].p_vaddr < part[i].p_filesz)
			return (uintptr_t)at - part[i].p_vaddr + part[i].p_offset;
	return ~0ull;
}

__attribute__((noinline, noclone)) static long called(long number, const char *text)
{
	__asm__ volatile("" : : "r"(number), "r"(text) : "memory");
	return number * 2;
}

#define TRACING "/sys/kernel/tracing/"

static void show_all(const char *name)
{
	char path[200], text[4096] = "";
	snprintf(path, sizeof path, TRACING "%s", name);
	int fd = open(path, O_RDONLY);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd < 0)
		printf("%s: %s\n", name, error_name(errno));
	for (char *line = strtok(text, "\n"); size > 0 && line != NULL; line = strtok(NULL, "\n")) {
		char *place = strstr(line, ":0x0000");
		if (place != NULL)
			memset(place + 3, '#', 16);
		if (strncmp(line, "ID: ", 4) != 0)
			printf("%s: %s\n", name, line);
	}
	if (fd >= 0)
		close(fd);
}

static void put(const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof path, TRACING "%s", name);
	int fd = open(path, O_WRONLY | O_APPEND);
	errno = 0;
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));
	printf("%s: %s\n", name, done == (ssize_t)strlen(text) ? "ok" : error_name(errno));
	if (fd >= 0)
		close(fd);
}

static void define(const char *head, const char *tail)
{
	char text[400];
	snprintf(text, sizeof text, "%s %s:0x%llx%s\n", head, self, (unsigned long long)offset_of(called), tail);
	printf("%s … %s: ", head, tail);
	put("uprobe_events", text);
}

static int open_named(const char *name, uint64_t samples)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = tracepoint(name)};
	attr.sample_period = samples != 0;
	attr.sample_type = samples;
	return (int)event_open(&attr, 0, -1, -1, 0);
}

static void show_samples(struct ring *ring, unsigned skipped)
{
	struct perf_event_header *head;
	while ((head = next_record(ring)) != NULL) {
		uint32_t *raw = (uint32_t *)(head + 1);
		printf("kind %u misc %u, %u bytes:", head->type, head->misc, raw[0]);
		unsigned char *data = (unsigned char *)(raw + 1);
		for (unsigned i = skipped; i < raw[0]; i++)
			printf(" %02x", data[i]);
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		mkdir("/tmp", 0777);
		int from = (int)MUST(open(argv[0], O_RDONLY)), to = (int)MUST(open(self, O_WRONLY | O_CREAT | O_TRUNC, 0755));
		char buffer[65536];
		ssize_t size;
		while ((size = read(from, buffer, sizeof buffer)) > 0)
			MUST(write(to, buffer, (size_t)size));
		close(from);
		close(to);
		execl(self, self, "again", NULL);
		return 99;
	}
	mount_tracefs();
	setvbuf(stdout, NULL, _IOLBF, 0);
	show_all("uprobe_events");
	define("p:mine/called", " number=%di:s32 text=+0(%si):string who=$comm");
	define("r:mine/returns", " $retval");
	define("p:plain", "");
	define("p", "");
	define("p:mine/called", "");
	show_all("uprobe_events");
	show_all("events/mine/called/format");
	show_all("events/mine/returns/format");
	show_all("events/uprobes/plain/format");
	show_all("events/uprobes/plain/enable");
	define("q:bad", "");
	define("p:bad", " %nothing");
	define("p:bad", " $retval");
	define("p:bad", " a=%di a=%si");
	define("p:1bad", "");
	define("p:bad", " %di:u9");
	define("p:bad", " +0(%di");
	define("p:bad", "(1)");
	put("uprobe_events", "p:bad /nowhere:0\n");
	put("uprobe_events", "p:bad /tmp:0\n");
	put("uprobe_events", "p:bad /tmp/program:0x7fffffff\n");
	put("uprobe_events", "p:bad /tmp/program\n");
	put("uprobe_events", "-:absent\n");
	put("uprobe_events", "\n");
	put("uprobe_events", "# nothing\n");

	int named = open_named("mine/called", PERF_SAMPLE_RAW), ends = open_named("mine/returns", PERF_SAMPLE_RAW), count = open_named("uprobes/plain", 0);
	printf("open: %d %d %d\n", named >= 0, ends >= 0, count >= 0);
	struct ring first = map_ring(named, 1), second = map_ring(ends, 1);
	prctl(PR_SET_NAME, "somebody");
	called(-5, "hello");
	called(7, NULL);
	show_samples(&first, 16);
	show_samples(&second, 24);
	printf("counted %d\n", (int)count_of(count));
	put("uprobe_events", "-:mine/called\n");
	close(named);
	close(ends);
	close(count);
	munmap(first.page, 2 * PAGE);
	munmap(second.page, 2 * PAGE);
	show_all("uprobe_profile");
	put("events/uprobes/plain/enable", "1\n");
	show_all("events/uprobes/plain/enable");
	printf("breakpoint %#x\n", *(volatile unsigned char *)called);
	called(1, "");
	put("uprobe_events", "-:plain\n");
	put("events/uprobes/plain/enable", "0\n");
	printf("breakpoint %d\n", *(volatile unsigned char *)called == 0xcc);
	show_all("uprobe_profile");
	put("uprobe_events", "-:mine/called\n");
	show_all("events/mine/called/enable");
	close((int)MUST(open(TRACING "uprobe_events", O_WRONLY | O_TRUNC)));
	show_all("uprobe_events");
	show_all("events/uprobes/plain/enable");
	unmount_tracefs();
	return 0;
}
