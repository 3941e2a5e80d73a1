/* SipHash-2-4 of a message: 64-bit ring arithmetic. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint64_t rotated(uint64_t value, int count) { return value << count | value >> (64 - count); }

__attribute__((noipa)) static uint64_t siphash(const uint8_t *data, long length, uint64_t key0, uint64_t key1)
{
    uint64_t v0 = key0 ^ 0x736F6D6570736575, v1 = key1 ^ 0x646F72616E646F6D;
    uint64_t v2 = key0 ^ 0x6C7967656E657261, v3 = key1 ^ 0x7465646279746573;
    long words = length / 8;
    for (long number = 0; number < words + 2; number++) {
        long rounds = 2;
        uint64_t message = 0;
        if (number < words) {
            memcpy(&message, data + number * 8, 8);
        } else if (number == words) {
            message = (uint64_t)length << 56;
            for (long place = words * 8; place < length; place++)
                message |= (uint64_t)data[place] << (place & 7) * 8;
        } else {
            v2 ^= 0xFF;
            rounds = 4;
        }
        v3 ^= message;
        for (long round = 0; round < rounds; round++) {
            v0 += v1;
            v2 += v3;
            v1 = rotated(v1, 13) ^ v0;
            v3 = rotated(v3, 16) ^ v2;
            v0 = rotated(v0, 32);
            v2 += v1;
            v0 += v3;
            v1 = rotated(v1, 17) ^ v2;
            v3 = rotated(v3, 21) ^ v0;
            v2 = rotated(v2, 32);
        }
        v0 ^= message;
    }
    return v0 ^ v1 ^ v2 ^ v3;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t data[61];
    for (long place = 0; place < 61; place++)
        data[place] = place;
    uint64_t total = 0;
    for (long number = 0; number < rounds; number++)
        total += siphash(data, 61, number, 0x0706050403020100);
    return total >> 1;
}

int main(void)
{
    printf("%ld\n", run(200));
    return 0;
}
