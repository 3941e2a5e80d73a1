/* Calls: the Fibonacci numbers, and a function that may raise. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long fibonacci(long n, int *error)
{
    if (n < 0) {
        *error = 22;
        return 0;
    }
    if (n < 2)
        return n;
    long left = fibonacci(n - 1, error);
    if (*error)
        return 0;
    long right = fibonacci(n - 2, error);
    if (*error)
        return 0;
    return left + right;
}

__attribute__((noipa)) long run(long rounds)
{
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        int error = 0;
        total += fibonacci(18, &error);
    }
    return total;
}

int main(void)
{
    printf("%ld\n", run(10));
    return 0;
}
