/* arch/x86_64/memory.S in a program of the host: each length up to 1200 bytes and some above, at different places, and
 * where source and target overlap. test_memory.py gives the functions names of their own.
 */
#include <stdio.h>
#include <stdlib.h>

enum { ALL = 9000, PLACE = 1024, MOST = 4200 };

void *own_memcpy(void *target, const void *source, unsigned long count);
void *own_memset(void *target, int value, unsigned long count);

static unsigned char bytes[ALL], before[ALL], source[ALL];

static void renew(void)
{
    for (int i = 0; i < ALL; i++)
        bytes[i] = before[i];
}

/* Whether `count` bytes at `start` are those from `wanted` on (`value` if that is null), and all others as before. */
static void check(const char *what, long start, const unsigned char *wanted, int value, long count)
{
    for (long i = 0; i < ALL; i++) {
        int is_inside = i >= start && i < start + count;
        int byte = !is_inside ? before[i] : wanted ? wanted[i - start] : value;
        if (bytes[i] != byte) {
            printf("%s of %ld bytes: byte %ld\n", what, count, i - start);
            exit(1);
        }
    }
}

static void copy(const char *what, long target, const unsigned char *from, long count)
{
    renew();
    const unsigned char *wanted = from >= bytes && from < bytes + ALL ? before + (from - bytes) : from;
    if (own_memcpy(bytes + target, from, count) != bytes + target)
        exit(2);
    check(what, target, wanted, 0, count);
}

int main(void)
{
    for (int i = 0; i < ALL; i++) {
        before[i] = rand();
        source[i] = rand();
    }
    for (long count = 0; count < MOST; count += count < 1200 ? 1 : 97) {
        int odd = count % 3;
        copy("a copy", PLACE + odd, source + count % 2, count);
        copy("a move down", PLACE, bytes + PLACE + 1 + count % 150, count);
        copy("a move up", PLACE + 1 + count % 150, bytes + PLACE, count);
        renew();
        if (own_memset(bytes + PLACE + odd, 0x15a, count) != bytes + PLACE + odd)
            exit(2);
        check("a fill", PLACE + odd, 0, 0x5a, count);
    }
    return 0;
}
