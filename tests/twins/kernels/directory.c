/* A walk over directory records of varying length, as in ext2. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static long lookup(const uint8_t *block, long size, const uint8_t *name, long name_length)
{
    long place = 0;
    while (place + 8 <= size) {
        uint32_t inode;
        uint16_t record;
        memcpy(&inode, block + place, 4);
        memcpy(&record, block + place + 4, 2);
        long length = block[place + 6];
        if (record < 8)
            return -2;
        if (inode != 0 && length == name_length && place + 8 + length <= size) {
            long same = 0;
            while (same < length && block[place + 8 + same] == name[same])
                same++;
            if (same == length)
                return inode;
        }
        place += record;
    }
    return -1;
}

__attribute__((noipa)) long run(long rounds)
{
    uint8_t *block = calloc(1, 4096);
    for (long number = 0; number < 128; number++) {
        uint8_t *record = block + number * 32;
        uint32_t inode = number + 10;
        uint16_t length = 32;
        memcpy(record, &inode, 4);
        memcpy(record + 4, &length, 2);
        record[6] = 8;
        for (long letter = 0; letter < 8; letter++)
            record[8 + letter] = 97 + (number >> letter) % 16;
    }
    uint8_t name[8];
    for (long letter = 0; letter < 8; letter++)
        name[letter] = 97 + (127 >> letter) % 16;
    long total = 0;
    for (long round = 0; round < rounds; round++) {
        uint32_t inode = round;
        memcpy(block, &inode, 4);
        total += lookup(block, 4096, name, 8);
    }
    free(block);
    return total;
}

int main(void)
{
    printf("%ld\n", run(100));
    return 0;
}
