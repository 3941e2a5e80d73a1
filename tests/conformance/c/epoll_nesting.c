/* Covers: epoll_ctl (EPOLL_CTL_ADD of sets in sets: depth counted upwards and downwards, loops, ways up from a file),
 * epoll_wait.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
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

/* How many ways may lead up from one file, each that many sets long. */
static void ways(int length, int enough)
{
	int file = (int)MUST(eventfd(0, EFD_NONBLOCK)), tail[8], count = 0, error = 0;
	static int heads[1200];
	/* A chain of length - 1 sets with the file at its end; sets that get the first of it are the ways. */
	for (int i = 0; i < length - 1; i++)
		tail[i] = (int)MUST(epoll_create1(0));
	for (int i = 0; i + 1 < length - 1; i++)
		error |= add(tail[i], tail[i + 1]);
	if (length > 1)
		error |= add(tail[length - 2], file);
	while (error == 0 && count < enough) {
		heads[count] = (int)MUST(epoll_create1(0));
		error = add(heads[count], length > 1 ? tail[0] : file);
		count++;
	}
	printf("ways of %d sets: ", length);
	show("the last of", count, error);
	for (int i = 0; i < count; i++)
		close(heads[i]);
	for (int i = 0; i < length - 1; i++)
		close(tail[i]);
	close(file);
}

/* Only files count that are below what is added, and sets without files below have no ways. */
static void ways_of_empty_sets(void)
{
	static int heads[600];
	int inner = (int)MUST(epoll_create1(0)), file = (int)MUST(eventfd(0, EFD_NONBLOCK)), error = 0, count = 0;
	while (error == 0 && count < 600) {
		heads[count] = (int)MUST(epoll_create1(0));
		error = add(heads[count], inner);
		count++;
	}
	show("over an empty set:", count, error);
	show("a file below", 0, add(inner, file));
	show("a file above", 0, add(heads[0], file));
	for (int i = 0; i < 100; i++)
		close(heads[i]);
	show("a file below", 1, add(inner, file));
	show("the same", 0, add(inner, file));
	int outer = (int)MUST(epoll_create1(0)), other = (int)MUST(eventfd(0, EFD_NONBLOCK));
	show("one more over it", 0, add(outer, inner));
	show("the same", 1, add(outer, inner));
	show("a file beside it", 0, add(outer, file));
	show("a file beside it", 1, add(outer, other));
	MUST(epoll_ctl(inner, EPOLL_CTL_DEL, file, 0));
	close(file);
	close(other);
	close(outer);
	close(inner);
	for (int i = 100; i < count; i++)
		close(heads[i]);
}

/* A way for each member: the same set under two numbers is two. */
static void ways_by_number(void)
{
	static int numbers[600];
	int outer = (int)MUST(epoll_create1(0)), inner = (int)MUST(epoll_create1(0)), error = 0, count = 0;
	int file = (int)MUST(eventfd(0, EFD_NONBLOCK));
	MUST(add(inner, file));
	while (error == 0 && count < 600) {
		numbers[count] = (int)MUST(dup(inner));
		error = add(outer, numbers[count]);
		count++;
	}
	show("under many numbers:", count, error);
	int second = (int)MUST(dup(file));
	show("the file again", 0, add(inner, second));
	for (int i = 0; i < 260; i++)
		MUST(epoll_ctl(outer, EPOLL_CTL_DEL, numbers[i], 0));
	show("the file again", 1, add(inner, second));
	show("and again", 0, add(inner, numbers[0]));
	int third = (int)MUST(dup(file));
	show("and again", 1, add(inner, third));
	for (int i = 0; i < count; i++)
		close(numbers[i]);
	close(third);
	close(second);
	close(file);
	close(outer);
	close(inner);
}

/* Ways that end in sets of other counts count by themselves. */
static void mixed_ways(void)
{
	static int first[600], second[200];
	int file = (int)MUST(eventfd(0, EFD_NONBLOCK)), error = 0, count = 0;
	int low = (int)MUST(epoll_create1(0)), middle = (int)MUST(epoll_create1(0));
	MUST(add(low, file));
	MUST(add(middle, low));
	while (error == 0 && count < 600) {
		first[count] = (int)MUST(epoll_create1(0));
		error = add(first[count], low);
		count++;
	}
	show("beside a longer way:", count, error);
	int more = 0;
	error = 0;
	while (error == 0 && more < 200) {
		second[more] = (int)MUST(epoll_create1(0));
		error = add(second[more], middle);
		more++;
	}
	show("longer ways:", more, error);
	close(first[0]);
	show("one instead", 0, add(first[count - 1], low));
	for (int i = 1; i < count; i++)
		close(first[i]);
	for (int i = 0; i < more; i++)
		close(second[i]);
	close(middle);
	close(low);
	close(file);
}

int main(void)
{
	struct rlimit many = { 4096, 4096 };
	MUST(setrlimit(RLIMIT_NOFILE, &many));
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
	for (int length = 1; length <= 5; length++)
		ways(length, length == 1 ? 1200 : 600);
	ways_of_empty_sets();
	ways_by_number();
	mixed_ways();
	return 0;
}
