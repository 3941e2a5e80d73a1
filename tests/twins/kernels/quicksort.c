/* Quicksort of a list of ints. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static void quicksort(long *values, long low, long high)
{
    if (low >= high)
        return;
    long pivot = values[(low + high) / 2];
    long i = low, j = high;
    while (i <= j) {
        while (values[i] < pivot)
            i++;
        while (values[j] > pivot)
            j--;
        if (i <= j) {
            long kept = values[i];
            values[i] = values[j];
            values[j] = kept;
            i++;
            j--;
        }
    }
    quicksort(values, low, j);
    quicksort(values, i, high);
}

__attribute__((noipa)) long run(long rounds)
{
    long *values = malloc(1000 * sizeof *values);
    long result = 0, state = 1;
    for (long round = 0; round < rounds; round++) {
        for (long place = 0; place < 1000; place++) {
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF;
            values[place] = state;
        }
        quicksort(values, 0, 999);
        result ^= values[500];
    }
    free(values);
    return result;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
