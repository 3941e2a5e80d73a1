/* A radix sort of 32-bit numbers, a byte at a time. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work {
    uint32_t numbers[1024];
    uint32_t others[1024];
    uint32_t places[256];
};

__attribute__((noipa)) static void sort_by(struct work *work, const uint32_t *numbers, long count, uint32_t *others,
                                           int shift)
{
    memset(work->places, 0, sizeof work->places);
    for (long i = 0; i < count; i++)
        work->places[numbers[i] >> shift & 255]++;
    uint32_t before = 0;
    for (long digit = 0; digit < 256; digit++) {
        uint32_t here = work->places[digit];
        work->places[digit] = before;
        before += here;
    }
    for (long i = 0; i < count; i++) {
        uint32_t number = numbers[i];
        uint32_t place = work->places[number >> shift & 255];
        others[place] = number;
        work->places[number >> shift & 255] = place + 1;
    }
}

__attribute__((noipa)) long run(long rounds)
{
    struct work *work = calloc(1, sizeof *work);
    uint32_t *numbers = work->numbers, *others = work->others;
    long total = 0, state = 1;
    for (long round = 0; round < rounds; round++) {
        for (long place = 0; place < 1024; place++) {
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF;
            numbers[place] = state;
        }
        sort_by(work, numbers, 1024, others, 0);
        sort_by(work, others, 1024, numbers, 8);
        sort_by(work, numbers, 1024, others, 16);
        sort_by(work, others, 1024, numbers, 24);
        total ^= (long)numbers[500] + numbers[0];
    }
    free(work);
    return total;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
