/* An open-addressed table of ints: insertions and look-ups. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    long keys[1024];
    long values[1024];
};

__attribute__((noipa)) static long place_of(const struct table *table, long key)
{
    long place = (uint32_t)(key * 0x9E3779B1) >> 22;
    while (table->keys[place] != 0 && table->keys[place] != key)
        place = (place + 1) & 1023;
    return place;
}

__attribute__((noipa)) long run(long rounds)
{
    struct table *table = calloc(1, sizeof *table);
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        for (long key = 1; key < 600; key++) {
            long place = place_of(table, key * 4096);
            table->keys[place] = key * 4096;
            table->values[place] += key;
        }
        for (long key = 1; key < 600; key += 7)
            total += table->values[place_of(table, key * 4096)];
    }
    free(table);
    return total;
}

int main(void)
{
    printf("%ld\n", run(20));
    return 0;
}
