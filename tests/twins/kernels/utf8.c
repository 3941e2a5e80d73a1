/* Validation of UTF-8: ASCII and sequences of two and three bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long count_letters(const uint8_t *text, long length)
{
    long letters = 0, place = 0;
    while (place < length) {
        long first = text[place];
        place++;
        letters++;
        if (first < 0x80)
            continue;
        if (first < 0xC2 || first > 0xEF)
            return -1;
        long more = first < 0xE0 ? 1 : 2;
        if (place + more > length)
            return -1;
        long second = text[place];
        if ((second & 0xC0) != 0x80 || (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F))
            return -1;
        if (more == 2 && (text[place + 1] & 0xC0) != 0x80)
            return -1;
        place += more;
    }
    return letters;
}

__attribute__((noipa)) long run(long rounds)
{
    static const char pattern[] = "a word, \xc3\xa9t\xc3\xa9, \xe2\x82\xac and \xe6\x97\xa5\xe6\x9c\xac; ";
    long size = sizeof pattern - 1;
    uint8_t *text = malloc(30 * size);
    for (long i = 0; i < 30; i++)
        memcpy(text + i * size, pattern, size);
    long total = 0;
    for (long round = 0; round < rounds; round++)
        total += count_letters(text, 30 * size);
    free(text);
    return total;
}

int main(void)
{
    printf("%ld\n", run(50));
    return 0;
}
