/* Huge pages of which none are reserved.
 * Covers: mmap (MAP_HUGETLB, MAP_HUGE_*).
 */
#include "case.h"

static void try(const char *name, size_t length, int flags, int fd)
{
	void *place = mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, 0);
	printf("%s: %s\n", name, place == MAP_FAILED ? error_name(errno) : "mapped");
}

int main(void)
{
	int fd = open("/tmp/huge", O_CREAT | O_RDWR, 0644);
	const int huge = MAP_PRIVATE | MAP_ANONYMOUS | 0x40000;
	ftruncate(fd, 4 << 20);
	try("usual size", 2 << 20, huge, -1);
	try("shared", 2 << 20, MAP_SHARED | MAP_ANONYMOUS | 0x40000, -1);
	try("2 MiB", 2 << 20, huge | 21 << 26, -1);
	try("1 GiB", 1 << 30, huge | 30 << 26, -1);
	try("64 KiB", 2 << 20, huge | 16 << 26, -1);
	try("half a page", 1 << 20, huge, -1);
	try("nothing", 0, huge, -1);
	try("of a file", 2 << 20, MAP_PRIVATE | 0x40000, fd);
	return 0;
}
