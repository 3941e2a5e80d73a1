/* The sieve of Eratosthenes in a byte buffer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) long run(long rounds)
{
    long limit = 20000;
    uint8_t *flags = malloc(limit);
    long found = 0;
    for (long round = 0; round < rounds; round++) {
        memset(flags, 0, limit);
        for (long candidate = 2; candidate < limit; candidate++) {
            if (flags[candidate] == 0) {
                found++;
                for (long multiple = candidate * 2; multiple < limit; multiple += candidate)
                    flags[multiple] = 1;
            }
        }
    }
    free(flags);
    return found;
}

int main(void)
{
    printf("%ld\n", run(3));
    return 0;
}
