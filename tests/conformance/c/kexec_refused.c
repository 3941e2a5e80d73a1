/* kexec_load(2) and kexec_file_load(2): what they refuse and in which order, and a kernel that is loaded and unloaded.
 * Covers: kexec_load kexec_file_load.
 */
#include "case.h"
#include <fcntl.h>
#include <sys/mman.h>

struct segment { const void *buffer; size_t size; unsigned long place; size_t room; };

static char page[4096] = "a kernel";

static void try(const char *name, unsigned long entry, unsigned long count, const struct segment *list, unsigned long flags)
{
	long result = syscall(SYS_kexec_load, entry, count, list, flags);
	printf("%s: %s\n", name, result < 0 ? error_name(errno) : "done");
}

static void one(const char *name, unsigned long place, size_t room, size_t size, unsigned long flags)
{
	struct segment only = {page, size, place, room};
	try(name, place, 1, &only, flags);
}

static void show(const char *when)
{
	char text[8] = "?";
	int fd = open("/sys/kernel/kexec_loaded", O_RDONLY);
	read(fd, text, sizeof text - 1);
	close(fd);
	printf("loaded %s: %c\n", when, text[0]);
}

static void file(const char *name, int kernel, int initrd, unsigned long length, const char *line, unsigned long flags)
{
	long result = syscall(SYS_kexec_file_load, kernel, initrd, length, line, flags);
	printf("file, %s: %s\n", name, result < 0 ? error_name(errno) : "done");
}

static void as_a_user(void)
{
	setresuid(1000, 1000, 1000);
	try("a user", 0, 0, 0, 0);
	try("a user with wrong flags", 0, 99, 0, 0x100);
	file("a user", -1, -1, 0, 0, 0);
	file("a user with wrong flags", -1, -1, 0, 0, 0x100);
}

int main(void)
{
	const unsigned long place = 0x4000000;
	show("at first");
	try("nothing", 0, 0, 0, 0);
	try("a wrong flag", 0, 0, 0, 0x1000);
	try("17 segments", 0, 17, 0, 0);
	try("-1 segments", 0, -1, 0, 0);
	try("of the 386", 0, 0, 0, 3 << 16);
	try("of this processor", 0, 0, 0, 62 << 16);
	try("of another", 0, 0, 0, 40 << 16);
	try("segments nowhere", 0, 1, (void *) 8, 0);
	try("for a crash, nothing", 0, 0, 0, 1);
	one("for a crash", place, 4096, 4096, 1);
	one("a place in a page", place + 8, 4096, 8, 0);
	one("a size in a page", place, 4000, 8, 0);
	one("too high", 1UL << 46, 4096, 8, 0);
	one("to the highest", (1UL << 46) - 4096, 4096, 8, 0);
	one("round the end", -4096UL, 8192, 8, 0);
	one("more bytes than room", place, 4096, 4097, 0);
	one("half of memory", place, 1UL << 30, 8, 0);
	struct segment two[2] = {{page, 8, place, 8192}, {page, 8, place + 4096, 4096}};
	try("one over the other", place, 2, two, 0);
	struct segment away[1] = {{(void *) 8, 4096, place, 4096}};
	try("bytes nowhere", place, 1, away, 0);
	show("after all these");
	one("a page", place, 4096, sizeof page, 0);
	show("then");
	one("more than the bytes", place, 64 << 10, 100, 0);
	one("no bytes", place, 4096, 0, 0);
	one("refused", place, 4096, 4097, 0);
	show("after one was refused");
	try("nothing", 0, 0, 0, 0);
	show("after it was dropped");

	int text = open("/tmp/text", O_RDWR | O_CREAT | O_TRUNC, 0600), empty = open("/tmp/empty", O_RDONLY | O_CREAT, 0600);
	write(text, page, sizeof page);
	int only_write = open("/tmp/text", O_WRONLY), directory = open("/tmp", O_RDONLY);
	file("wrong flags", -1, -1, 0, 0, 0x10);
	file("unload", -1, -1, 0, 0, 1);
	file("unload for a crash", -1, -1, 0, 0, 3);
	file("no descriptor", -1, -1, 0, 0, 4);
	file("not readable", only_write, -1, 0, 0, 4);
	file("a directory", directory, -1, 0, 0, 4);
	file("an empty file", empty, -1, 0, 0, 4);
	file("open for writing", text, -1, 0, 0, 4);
	close(text);
	close(only_write);
	text = open("/tmp/text", O_RDONLY);
	file("no kernel", text, -1, 0, 0, 4);
	file("no kernel and no disk", text, -1, 0, 0, 0);
	file("no kernel, a line nowhere", text, -1, 8, (void *) 8, 4);
	show("at last");
	fflush(stdout);
	if (fork() == 0) {
		as_a_user();
		fflush(stdout);
		_exit(0);
	}
	wait(0);
	return 0;
}
