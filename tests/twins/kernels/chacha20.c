/* Blocks of ChaCha20: 32-bit ring arithmetic on words in memory. */
#include <stdint.h>
#include <stdio.h>

struct state {
    uint32_t start[16];
    uint32_t words[16];
};

static uint32_t rotated(uint32_t value, int count) { return value << count | value >> (32 - count); }

static void quarter(uint32_t *words, long a, long b, long c, long d)
{
    words[a] += words[b];
    words[d] = rotated(words[d] ^ words[a], 16);
    words[c] += words[d];
    words[b] = rotated(words[b] ^ words[c], 12);
    words[a] += words[b];
    words[d] = rotated(words[d] ^ words[a], 8);
    words[c] += words[d];
    words[b] = rotated(words[b] ^ words[c], 7);
}

__attribute__((noipa)) static void block(struct state *state)
{
    uint32_t *words = state->words;
    for (long place = 0; place < 16; place++)
        words[place] = state->start[place];
    for (long round = 0; round < 10; round++) {
        for (long column = 0; column < 4; column++)
            quarter(words, column, column + 4, column + 8, column + 12);
        for (long column = 0; column < 4; column++)
            quarter(words, column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12);
    }
    for (long place = 0; place < 16; place++)
        words[place] += state->start[place];
    state->start[12]++;
}

__attribute__((noipa)) long run(long rounds)
{
    static struct state state;
    for (long place = 0; place < 16; place++)
        state.start[place] = 0x61707865 + place * 0x01010101;
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        block(&state);
        total ^= state.words[0] ^ state.words[15];
    }
    return total;
}

int main(void)
{
    printf("%ld\n", run(50));
    return 0;
}
