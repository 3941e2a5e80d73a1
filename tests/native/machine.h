#ifndef KRAIT_NATIVE_MACHINE_H
#define KRAIT_NATIVE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Map an image, give it what it calls, and start its heap. `table` is the address of stubs.S's table, `frames` that of the
 * unwinding tables, `start` krait_host_start. 0, or -1. */
int native_load(const char *path, uint64_t table, uint64_t frames, uint64_t start, size_t heap_size,
                int64_t (*python)(int64_t, int64_t, int64_t *, int64_t *));

/* Call a function of build.py's glue. 0, the number of a trap, or 200 and the number of a signal. */
int native_call(uint64_t function, int64_t *in, int64_t *out);

uint64_t native_allocate(uint64_t allocate, uint64_t descriptor, size_t size); /* 0: no memory */
void native_hold(uint64_t object);
void native_release(uint64_t object, uint64_t at_zero);
const char *native_message(int64_t *length); /* of the last panic or assert; NULL if it had none */
uint64_t native_trap_address(void);

#endif
