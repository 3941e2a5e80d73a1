/* A naive search for a byte string in a text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long find(const uint8_t *text, long text_length, const uint8_t *pattern, long length)
{
    for (long start = 0; start < text_length - length + 1; start++) {
        long place = 0;
        while (place < length && text[start + place] == pattern[place])
            place++;
        if (place == length)
            return start;
    }
    return -1;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t *text = malloc(11 * 300 + 11);
    for (int i = 0; i < 300; i++)
        memcpy(text + i * 11, "abracadabr ", 11);
    memcpy(text + 3300, "abracadabra", 11);
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        text[round] = 32;
        total += find(text, 3311, (const uint8_t *)"abracadabra", 11);
    }
    free(text);
    return total;
}

int main(void)
{
    printf("%ld\n", run(20));
    return 0;
}
