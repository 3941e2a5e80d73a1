/* The compression function of SHA-256: 32-bit ring arithmetic. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t constants[64];

struct state {
    uint32_t words[8];
    uint32_t schedule[64];
};

static inline uint32_t rotated(uint32_t value, int count) { return value >> count | value << (32 - count); }

__attribute__((noipa)) static void compress(struct state *state)
{
    uint32_t *w = state->schedule;
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t a = state->words[0], b = state->words[1], c = state->words[2], d = state->words[3];
    uint32_t e = state->words[4], f = state->words[5], g = state->words[6], h = state->words[7];
    for (int i = 0; i < 64; i++) {
        uint32_t big1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
        uint32_t choice = (e & f) ^ (~e & g);
        uint32_t first = h + big1 + choice + constants[i] + w[i];
        uint32_t big0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
        uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + big0 + majority;
    }
    state->words[0] += a;
    state->words[1] += b;
    state->words[2] += c;
    state->words[3] += d;
    state->words[4] += e;
    state->words[5] += f;
    state->words[6] += g;
    state->words[7] += h;
}

static void make_constants(void)
{
    int found = 0;
    for (unsigned candidate = 2; found < 64; candidate++) {
        int prime = 1;
        for (unsigned divisor = 2; divisor < candidate; divisor++)
            prime &= candidate % divisor != 0;
        if (!prime)
            continue;
        /* The root in units of 2**-32 has less than 36 bits, its cube less than 106. */
        unsigned __int128 low = 0, high = (unsigned __int128)1 << 40;
        while (low < high) {
            unsigned __int128 middle = (low + high + 1) / 2;
            if (middle * middle * middle <= (unsigned __int128)candidate << 96)
                low = middle;
            else
                high = middle - 1;
        }
        constants[found++] = (uint32_t)low;
    }
}

__attribute__((noipa)) long run(long rounds)
{
    struct state *state = calloc(1, sizeof *state);
    for (int place = 0; place < 8; place++)
        state->words[place] = 0x6A09E667 + place;
    for (long round = 0; round < rounds; round++) {
        for (int place = 0; place < 16; place++)
            state->schedule[place] = (uint32_t)(round * 77 + place);
        compress(state);
    }
    long result = state->words[0] ^ state->words[7];
    free(state);
    return result;
}

int main(void)
{
    make_constants();
    printf("%ld\n", run(30));
    return 0;
}
