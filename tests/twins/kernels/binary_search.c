/* A binary search for the extent of a file that holds a block. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct extents {
    uint32_t starts[512];
};

__attribute__((noipa)) static long find(const struct extents *extents, long count, long block)
{
    long low = 0, high = count;
    while (low < high) {
        long middle = (low + high) >> 1;
        if (extents->starts[middle] <= block)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

__attribute__((noipa)) long run(long rounds)
{
    struct extents *extents = calloc(1, sizeof *extents);
    for (long place = 0; place < 512; place++)
        extents->starts[place] = place * 16 + place % 7;
    long total = 0;
    for (long round = 0; round < rounds; round++)
        for (long block = 0; block < 8192; block += 5)
            total += find(extents, 512, block);
    free(extents);
    return total;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
