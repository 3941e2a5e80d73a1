/* Virtual calls over a mixed list of objects. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    long (*area)(const struct shape *);
    long size;
};

__attribute__((noipa)) static long square(const struct shape *shape) { return shape->size * shape->size; }
__attribute__((noipa)) static long strip(const struct shape *shape) { return shape->size * 3; }
__attribute__((noipa)) static long dot(const struct shape *shape) { (void)shape; return 1; }

__attribute__((noipa)) static long total_area(struct shape **shapes, long count)
{
    long total = 0;
    for (long i = 0; i < count; i++)
        total += shapes[i]->area(shapes[i]);
    return total;
}

__attribute__((noipa)) long run(long rounds)
{
    struct shape *shapes[100];
    for (long number = 0; number < 100; number++) {
        shapes[number] = malloc(sizeof **shapes);
        shapes[number]->area = number % 3 == 0 ? square : number % 3 == 1 ? strip : dot;
        shapes[number]->size = number;
    }
    long total = 0;
    for (long round = 0; round < rounds; round++)
        total += total_area(shapes, 100);
    return total;
}

int main(void)
{
    printf("%ld\n", run(500));
    return 0;
}
