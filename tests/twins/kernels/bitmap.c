/* A bitmap allocator: first free bit, set, clear. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bitmap {
    uint32_t words[64];
};

__attribute__((noipa)) static long take(struct bitmap *bitmap)
{
    for (long number = 0; number < 64; number++) {
        uint32_t word = bitmap->words[number];
        if (word != 0xFFFFFFFF) {
            long bit = 0;
            while (word & 1) {
                word >>= 1;
                bit++;
            }
            bitmap->words[number] |= 1u << bit;
            return number * 32 + bit;
        }
    }
    return -1;
}

__attribute__((noipa)) static void release(struct bitmap *bitmap, long place)
{
    bitmap->words[place >> 5] &= ~(1u << (place & 31));
}

__attribute__((noipa)) long run(long rounds)
{
    struct bitmap *bitmap = calloc(1, sizeof *bitmap);
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        long place = take(bitmap);
        total += place;
        if (round % 3 == 2)
            release(bitmap, place / 2);
    }
    free(bitmap);
    return total;
}

int main(void)
{
    printf("%ld\n", run(2000));
    return 0;
}
