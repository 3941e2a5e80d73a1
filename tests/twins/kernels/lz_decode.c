/* A decoder of LZ sequences: literals, then a match that was there before, as in LZ4. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long decode(const uint8_t *data, long size, uint8_t *out, long room)
{
    long place = 0, used = 0;
    while (place < size) {
        long token = data[place];
        place++;
        long literals = token >> 4;
        if (place + literals + 2 > size || used + literals > room)
            return -1;
        for (long i = 0; i < literals; i++) {
            out[used] = data[place];
            used++;
            place++;
        }
        uint16_t back;
        memcpy(&back, data + place, 2);
        place += 2;
        long length = (token & 15) + 4;
        if (back == 0 || back > used || used + length > room)
            return -1;
        for (long i = 0; i < length; i++) {
            out[used] = out[used - back];
            used++;
        }
    }
    return used;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t *data = malloc(64 * 8), *out = malloc(2048);
    for (long number = 0; number < 64; number++) {
        uint8_t *place = data + number * 8;
        place[0] = 0x50 | number % 12;
        for (long letter = 0; letter < 5; letter++)
            place[1 + letter] = 97 + (number * 7 + letter) % 26;
        uint16_t back = 1 + number % 5;
        memcpy(place + 6, &back, 2);
    }
    long total = 0;
    for (long number = 0; number < rounds; number++)
        total += decode(data, 64 * 8, out, 2048) + out[number];
    free(data);
    free(out);
    return total;
}

int main(void)
{
    printf("%ld\n", run(100));
    return 0;
}
