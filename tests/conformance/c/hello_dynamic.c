/* Covers: the dynamic loader of musl: PT_INTERP, relocation, thread-local storage, libc's functions, dlopen and dlsym. */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include "case.h"

static __thread int own = 3;

static void *thread(void *argument)
{
	own += 4;
	return (void *)(long)own;
}

__attribute__((destructor)) static void last(void)
{
	puts("destructor");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	printf("hello from a dynamic program, %d argument, %s\n", argc, strrchr(argv[0], '/') + 1);
	pthread_t t;
	void *result;
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, &result);
	printf("thread %ld, main %d\n", (long)result, own);
	void *libc = dlopen(0, RTLD_NOW);
	CHECK(libc && dlsym(libc, "printf") != 0);
	CHECK(dlopen("/none.so", RTLD_NOW) == 0);
	char *memory = malloc(1 << 22);
	memset(memory, 1, 1 << 22);
	free(memory);
	IN_CHILD(puts("in a child"); exit(4));
	return 8;
}
