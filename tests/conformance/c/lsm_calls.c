/* lsm_get_self_attr(2), lsm_set_self_attr(2), lsm_list_modules(2): sizes, errors and their order, and the modules that
 * both kernels have. Which others there are is each kernel's own matter.
 */
#include "case.h"

#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
enum { CAPABILITY = 100, YAMA = 103, LANDLOCK = 110 };
enum { CURRENT = 100, EXEC, FSCREATE, KEYCREATE, PREV, SOCKCREATE };

struct context {
	uint64_t id, flags, length, context_length;
	char text[64];
};

static long get(unsigned attribute, void *context, uint32_t *size, unsigned flags)
{
	return syscall(SYS_lsm_get_self_attr, attribute, context, size, flags);
}

static long set(unsigned attribute, void *context, uint32_t size, unsigned flags)
{
	return syscall(SYS_lsm_set_self_attr, attribute, context, size, flags);
}

static long modules(uint64_t *ids, uint32_t *size, unsigned flags)
{
	return syscall(SYS_lsm_list_modules, ids, size, flags);
}

int main(void)
{
	uint64_t ids[64];
	uint32_t size = sizeof ids;

	long count = modules(ids, &size, 0);
	CHECK(count >= 3 && size == count * 8);
	for (long i = 0; i < count; i++)
		if (ids[i] == CAPABILITY || ids[i] == YAMA || ids[i] == LANDLOCK)
			printf("%d\n", (int)ids[i]);
	size = 0;
	SHOW(modules(ids, &size, 0));
	CHECK(size == count * 8);
	size--;
	SHOW(modules(ids, &size, 0));
	CHECK(size == count * 8);
	CHECK(modules(ids, &size, 0) == count);
	SHOW(modules(ids, &size, 1));
	SHOW(modules(NULL, &size, 0));
	SHOW(modules((void *)-1l, NULL, 0));
	SHOW(modules(NULL, NULL, 1));

	struct context c = {0};
	size = sizeof c;
	SHOW(get(0, &c, &size, 0));
	SHOW(get(0, &c, NULL, 0));
	SHOW(get(FSCREATE, &c, NULL, 0));
	SHOW(get(FSCREATE, &c, (void *)-4l, 0));
	SHOW(get(FSCREATE, &c, &size, 0));
	CHECK(size == 0);
	size = sizeof c;
	SHOW(get(KEYCREATE, NULL, &size, 0));
	CHECK(size == 0);
	size = sizeof c;
	SHOW(get(99, &c, &size, 0));
	SHOW(get(0x10000, &c, &size, 0));
	size = sizeof c;
	SHOW(get(FSCREATE, &c, &size, 2));
	CHECK(size == sizeof c);
	SHOW(get(FSCREATE, NULL, &size, 1));
	SHOW(get(FSCREATE, (void *)-1l, &size, 1));
	SHOW(get(FSCREATE, &c, &size, 1));
	for (int id = CAPABILITY; id <= LANDLOCK; id++)
		if (id == CAPABILITY || id == YAMA || id == LANDLOCK) {
			c.id = id;
			size = sizeof c;
			SHOW(get(CURRENT, &c, &size, 1));
			CHECK(size == 0);
		}
	c.id = 5;
	SHOW(get(CURRENT, &c, &size, 1));

	c = (struct context){LANDLOCK, 0, sizeof c, 8, "nothing"};
	SHOW(set(CURRENT, &c, sizeof c, 0));
	SHOW(set(0, &c, sizeof c, 0));
	SHOW(set(CURRENT, &c, sizeof c, 1));
	SHOW(set(CURRENT, &c, 31, 0));
	SHOW(set(CURRENT, &c, 32, 0));
	SHOW(set(CURRENT, &c, 4097, 0));
	SHOW(set(CURRENT, NULL, 4097, 0));
	SHOW(set(CURRENT, NULL, 96, 0));
	c.length = 32;
	SHOW(set(CURRENT, &c, sizeof c, 0));
	c.length = 40;
	SHOW(set(CURRENT, &c, sizeof c, 0));
	c.context_length = -1;
	SHOW(set(CURRENT, &c, sizeof c, 0));
	c.length = -1;
	SHOW(set(CURRENT, &c, sizeof c, 0));
	c = (struct context){CAPABILITY, 0, sizeof c, 8, "nothing"};
	SHOW(set(CURRENT, &c, sizeof c, 0));
	c.id = 0;
	SHOW(set(CURRENT, &c, sizeof c, 0));
	return 0;
}
