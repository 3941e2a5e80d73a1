/* A binary heap in an array: a priority queue of deadlines. */
#include <stdio.h>
#include <stdlib.h>

struct heap {
    long count;
    long keys[1024];
};

__attribute__((noipa)) static void push(struct heap *heap, long key)
{
    long place = heap->count;
    heap->count++;
    while (place > 0) {
        long parent = (place - 1) >> 1;
        if (heap->keys[parent] <= key)
            break;
        heap->keys[place] = heap->keys[parent];
        place = parent;
    }
    heap->keys[place] = key;
}

__attribute__((noipa)) static long pop(struct heap *heap)
{
    long least = heap->keys[0];
    heap->count--;
    long count = heap->count;
    long key = heap->keys[count];
    long place = 0;
    while (1) {
        long child = place * 2 + 1;
        if (child >= count)
            break;
        if (child + 1 < count && heap->keys[child + 1] < heap->keys[child])
            child++;
        if (key <= heap->keys[child])
            break;
        heap->keys[place] = heap->keys[child];
        place = child;
    }
    heap->keys[place] = key;
    return least;
}

__attribute__((noipa)) long run(long rounds)
{
    struct heap *heap = calloc(1, sizeof *heap);
    long total = 0, state = 1;
    for (long round = 0; round < rounds; round++) {
        for (long number = 0; number < 500; number++) {
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF;
            push(heap, state);
        }
        for (long number = 0; number < 500; number++)
            total ^= pop(heap) + number;
    }
    free(heap);
    return total;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
