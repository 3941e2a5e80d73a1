/*
 * Covers: the scheduler of a disk's requests, which is `none`: so the priorities of ioprio_set(2) order nothing. What can be written to its
 * file, and by whom.
 */
#include "case.h"

static void choose(const char *name)
{
	int fd = (int)SHOW(open("/sys/block/vda/queue/scheduler", O_WRONLY));
	if (fd == -1)
		return;
	printf("'%s' ", name);
	SHOW(write(fd, name, strlen(name)));
	close(fd);
}

int main(void)
{
	struct stat is;
	MUST(stat("/sys/block/vda/queue/scheduler", &is));
	printf("mode %o\n", is.st_mode);
	show_file("/sys/block/vda/queue/scheduler");
	static const char *const names[] = { "none", "none\n", " none", "none ", "non", "none2", "mq-deadline", "bfq", "kyber", "", "\n", "none none" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		choose(names[i]);
	show_file("/sys/block/vda/queue/scheduler");
	IN_CHILD(MUST(setuid(1000)); choose("none"); show_file("/sys/block/vda/queue/scheduler"));
	return 0;
}
