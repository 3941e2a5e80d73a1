/* Covers: hostile input: writing to a closed pipe ten thousand times, with SIGPIPE caught, ignored and deadly. */
#include "case.h"

static volatile int caught;

static void on_pipe(int number)
{
	caught++;
}

int main(void)
{
	int p[2], failures = 0;
	MUST(pipe(p));
	close(p[0]);
	signal(SIGPIPE, on_pipe);
	for (int i = 0; i < 10000; i++)
		failures += write(p[1], "x", 1) == -1 && errno == EPIPE;
	printf("caught %d failures %d\n", caught, failures);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 10000; i++)
		failures += write(p[1], "x", 1) == -1 && errno == EPIPE;
	printf("caught %d failures %d\n", caught, failures);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 20; i++)
		IN_CHILD(write(p[1], "x", 1));
	return 0;
}
