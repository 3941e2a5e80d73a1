/* init_module(2), finit_module(2), delete_module(2): what a kernel answers to what is no module of its own, and the order
 * of errors. create_module(2), get_kernel_syms(2), query_module(2): gone since Linux 2.6.
 */
#include "case.h"

static long init(const void *image, unsigned long size, const char *parameters)
{
	return syscall(SYS_init_module, image, size, parameters);
}

static long finit(int file, const char *parameters, int flags)
{
	return syscall(SYS_finit_module, file, parameters, flags);
}

static void try_all(void)
{
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(page + PAGE, PAGE);
	strcpy(page, "\177ELF\2\1\1");

	SHOW(init(NULL, 0, ""));
	SHOW(init(page, 0, ""));
	SHOW(init(page, 1, ""));
	SHOW(init(page, 63, ""));
	SHOW(init(NULL, 63, ""));
	SHOW(init(NULL, 64, ""));
	SHOW(init(page, 64, ""));
	SHOW(init(page, 64, NULL));
	SHOW(init(page, PAGE, ""));
	SHOW(init(page, PAGE + 1, ""));
	SHOW(init(page, 1ul << 40, ""));
	SHOW(init(page, -1ul, ""));

	int directory = open("/", O_RDONLY), path = open("/proc/self/exe", O_PATH), ends[2];
	put_file("module", "no module at all, though it is longer than a header of an ELF file, which has 64 bytes", 0644);
	put_file("empty", "", 0644);
	put_file("short", "short", 0644);
	int file = open("module", O_RDONLY), written = open("short", O_RDWR), writer = open("short", O_WRONLY);
	pipe(ends);
	SHOW(finit(-1, "", 0));
	SHOW(finit(99, "", 8));
	SHOW(finit(99, "", 0));
	SHOW(finit(file, "", 8));
	SHOW(finit(path, "", 0));
	SHOW(finit(directory, "", 0));
	SHOW(finit(ends[0], "", 0));
	SHOW(finit(ends[1], "", 0));
	SHOW(finit(written, "", 0));
	SHOW(finit(writer, "", 0));
	close(written);
	close(writer);
	SHOW(finit(open("short", O_RDONLY), "", 0));
	SHOW(finit(open("empty", O_RDONLY), "", 0));
	SHOW(finit(file, "", 0));
	SHOW(finit(file, NULL, 1 | 2));
	SHOW(finit(file, NULL, 4));
	SHOW(finit(open("/proc/self/exe", O_RDONLY), "", 0));

	SHOW(syscall(SYS_delete_module, NULL, 0));
	SHOW(syscall(SYS_delete_module, "", 0));
	SHOW(syscall(SYS_delete_module, "none", O_NONBLOCK));
	SHOW(syscall(SYS_delete_module, "none", -1));
	memset(page, 'x', PAGE);
	SHOW(syscall(SYS_delete_module, page, 0));
	SHOW(syscall(SYS_delete_module, page + PAGE - 20, 0));
}

int main(void)
{
	mkdir("/tmp/modules", 0777);
	chmod("/tmp/modules", 0777);
	MUST(chdir("/tmp/modules"));
	SHOW(syscall(SYS_create_module, "x", 1));
	SHOW(syscall(SYS_get_kernel_syms, NULL));
	SHOW(syscall(SYS_query_module, NULL, 0, NULL, 0, NULL));
	puts("== as root");
	try_all();
	unlink("module");
	unlink("empty");
	unlink("short");
	puts("== as a user");
	IN_CHILD({ MUST(setuid(1000)); try_all(); });
	return 0;
}
