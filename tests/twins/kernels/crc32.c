/* A table-driven CRC over a buffer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t entries[256];

__attribute__((noipa)) static uint32_t crc32(const uint8_t *data, size_t length)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < length; i++)
        crc = (crc >> 8) ^ entries[(crc ^ data[i]) & 0xFF];
    return crc ^ 0xFFFFFFFF;
}

__attribute__((noipa)) long run(long rounds)
{
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        entries[value] = crc;
    }
    uint8_t *data = malloc(1024);
    for (long place = 0; place < 1024; place++)
        data[place] = (uint8_t)(place * 7);
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        total += crc32(data, 1024);
        data[0]++;
    }
    free(data);
    return total;
}

int main(void)
{
    printf("%ld\n", run(100));
    return 0;
}
