/* A product of integer matrices: checked multiply and add, the worst case. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct matrix {
    long cells[576];
};

__attribute__((noipa)) static void multiply(const struct matrix *a, const struct matrix *b, struct matrix *c)
{
    for (long row = 0; row < 24; row++)
        for (long column = 0; column < 24; column++) {
            long total = 0;
            for (long inner = 0; inner < 24; inner++)
                total += a->cells[row * 24 + inner] * b->cells[inner * 24 + column];
            c->cells[row * 24 + column] = total;
        }
}

__attribute__((noipa)) long run(long rounds)
{
    struct matrix *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b), *c = calloc(1, sizeof *c);
    for (long place = 0; place < 576; place++) {
        a->cells[place] = place % 17;
        b->cells[place] = place % 13;
    }
    for (long round = 0; round < rounds; round++)
        multiply(a, b, c);
    long result = c->cells[0] + c->cells[575];
    free(a);
    free(b);
    free(c);
    return result;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
