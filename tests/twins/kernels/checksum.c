/* The internet checksum over a packet. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long checksum(const uint8_t *packet, size_t length)
{
    long total = 0;
    for (size_t place = 0; place + 1 < length; place += 2)
        total += packet[place] << 8 | packet[place + 1];
    while (total >> 16)
        total = (total & 0xFFFF) + (total >> 16);
    return ~total & 0xFFFF;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t *packet = malloc(1500);
    for (long place = 0; place < 1500; place++)
        packet[place] = place * 31 & 0xFF;
    long result = 0;
    for (long round = 0; round < rounds; round++) {
        result += checksum(packet, 1500);
        packet[7] = result & 0xFF;
    }
    free(packet);
    return result;
}

int main(void)
{
    printf("%ld\n", run(100));
    return 0;
}
