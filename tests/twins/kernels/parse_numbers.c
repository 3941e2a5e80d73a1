/* Decimal numbers parsed from text, with an error for what is none. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long parse(const uint8_t *text, long length, long start, int *error)
{
    long value = 0, place = start;
    while (place < length && text[place] != 32) {
        long digit = text[place] - 48;
        if (digit < 0 || digit > 9) {
            *error = 22;
            return 0;
        }
        value = value * 10 + digit;
        place++;
    }
    return value << 16 | place;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t *text = malloc(26 * 20);
    for (int i = 0; i < 20; i++)
        memcpy(text + i * 26, "12345 7 999 1000001 x2 42 ", 26);
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        long place = 0;
        while (place < 520) {
            int error = 0;
            long result = parse(text, 520, place, &error);
            if (error) {
                total += error;
                place += 3;
            } else {
                total += result >> 16;
                place = (result & 0xFFFF) + 1;
            }
        }
    }
    free(text);
    return total;
}

int main(void)
{
    printf("%ld\n", run(50));
    return 0;
}
