/* Covers: epoll_ctl (EPOLL_CTL_ADD of sets in sets: depth counted upwards and downwards, loops), epoll_wait. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include "case.h"

#define MOST 24

static int set[MOST];

static void make(int count)
{
	for (int i = 0; i < count; i++)
		set[i] = (int)MUST(epoll_create1(0));
}

static void drop(int count)
{
	for (int i = 0; i < count; i++)
		close(set[i]);
}

/* The error of adding a file to a set, 0 if it was added. */
static int add(int to, int file)
{
	struct epoll_event event = { EPOLLIN, { .fd = file } };
	return epoll_ctl(to, EPOLL_CTL_ADD, file, &event) == 0 ? 0 : errno;
}

static void show(const char *what, int number, int error)
{
	printf("%s %d: %s\n", what, number, error == 0 ? "added" : error_name(error));
}

/* The first set gets the second, that one the third, and so on: what is above counts. */
static void downwards(void)
{
	make(8);
	for (int i = 0; i + 1 < 8; i++)
		show("downwards", i, add(set[i], set[i + 1]));
	drop(8);
}

static void upwards(void)
{
	make(8);
	for (int i = 0; i + 1 < 8; i++)
		show("upwards", i, add(set[i + 1], set[i]));
	drop(8);
}

/* Two chains are joined. */
static void joined(int above, int below)
{
	int count = above + below, failed = 0;
	make(count);
	for (int i = 0; i + 1 < count; i++)
		if (i + 1 != above)
			failed |= add(set[i], set[i + 1]);
	printf("%d above, %d below: ", above, below);
	show("joined", failed, add(set[above - 1], set[above]));
	drop(count);
}

static void loops(void)
{
	make(4);
	show("loop", 0, add(set[0], set[0]));
	show("loop", 1, add(set[0], set[1]));
	show("loop", 2, add(set[1], set[0]));
	show("loop", 3, add(set[1], set[2]));
	show("loop", 4, add(set[2], set[0]));
	show("loop", 5, add(set[0], set[2]));
	show("loop", 6, add(set[2], set[3]));
	show("loop", 7, add(set[3], set[1]));
	show("loop", 8, add(set[0], set[3]));
	drop(4);
}

/* What was taken out, or has ended, counts no more. */
static void shortened(void)
{
	make(7);
	for (int i = 0; i + 1 < 5; i++)
		MUST(add(set[i], set[i + 1]));
	show("shortened", 0, add(set[4], set[5]));
	MUST(epoll_ctl(set[1], EPOLL_CTL_DEL, set[2], 0));
	show("shortened", 1, add(set[4], set[5]));
	close(set[2]);
	show("shortened", 2, add(set[5], set[6]));
	drop(7);
}

/* A file below a chain of sets wakes the one at the top. */
static void leaf(int depth)
{
	struct epoll_event event;
	int error = 0, file = (int)MUST(eventfd(0, EFD_NONBLOCK));
	make(depth);
	for (int i = 0; i + 1 < depth; i++)
		error |= add(set[i], set[i + 1]);
	show("chain", depth, error);
	show("leaf", depth, add(set[depth - 1], file));
	printf("ready %d\n", epoll_wait(set[0], &event, 1, 0));
	uint64_t one = 1;
	MUST(write(file, &one, 8));
	printf("ready %d\n", epoll_wait(set[0], &event, 1, 0));
	drop(depth);
	close(file);
}

/* The leaf first, then the sets above it. */
static void under_leaf(int depth)
{
	int file = (int)MUST(eventfd(0, EFD_NONBLOCK));
	make(depth);
	show("leaf below", depth, add(set[0], file));
	for (int i = 0; i + 1 < depth; i++)
		show("above leaf", i, add(set[i + 1], set[i]));
	drop(depth);
	close(file);
}

int main(void)
{
	downwards();
	upwards();
	for (int above = 1; above <= 5; above++)
		for (int below = 1; below <= 5; below++)
			joined(above, below);
	loops();
	shortened();
	for (int depth = 1; depth <= 7; depth++)
		leaf(depth);
	under_leaf(7);
	return 0;
}
