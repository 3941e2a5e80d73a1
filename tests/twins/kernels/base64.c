/* Base64 of a buffer: three bytes become four letters of a table. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t letters[64];

__attribute__((noipa)) static long encode(const uint8_t *of, const uint8_t *data, long length, uint8_t *out)
{
    long used = 0, place = 0;
    while (place + 3 <= length) {
        uint32_t group = data[place] << 16 | data[place + 1] << 8 | data[place + 2];
        out[used] = of[group >> 18];
        out[used + 1] = of[group >> 12 & 63];
        out[used + 2] = of[group >> 6 & 63];
        out[used + 3] = of[group & 63];
        used += 4;
        place += 3;
    }
    return used;
}

__attribute__((noipa)) long run(long rounds)
{
    memcpy(letters, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 64);
    uint8_t *data = malloc(768), *out = malloc(1024);
    for (long place = 0; place < 768; place++)
        data[place] = (uint8_t)(place * 7);
    long total = 0;
    for (long number = 0; number < rounds; number++)
        total += encode(letters, data, 768, out) + out[number];
    free(data);
    free(out);
    return total;
}

int main(void)
{
    printf("%ld\n", run(50));
    return 0;
}
