/*
 * Writes a file that is larger than memory, reads it back, maps it, changes it through a shared mapping, and reads it
 * again: large_file PATH MIB. Each word of the file tells where it lies, so that a page in the wrong place shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 65536, WORDS = PIECE / 8, STEP = 16 * 4096 };

static void fail(const char *what, long where)
{
	printf("%s at %ld: %s\n", what, where, strerror(errno));
	exit(1);
}

static uint64_t word_at(long offset)
{
	return (uint64_t)offset * 0x9e3779b97f4a7c15;
}

static void check(const uint64_t *words, long offset, int changed)
{
	for (int i = 0; i < WORDS; i++) {
		long place = offset + i * 8;
		uint64_t expected = word_at(place) + (changed && place % STEP == 0);
		if (words[i] != expected)
			fail("wrong word", place);
	}
}

static void read_all(const char *path, long size, int changed)
{
	static uint64_t words[WORDS];
	int file = open(path, O_RDONLY);
	for (long offset = 0; offset < size; offset += PIECE) {
		if (read(file, words, PIECE) != PIECE)
			fail("read", offset);
		check(words, offset, changed);
	}
	close(file);
}

int main(int argc, char **argv)
{
	static uint64_t words[WORDS];
	const char *path = argv[1];
	long size = atol(argv[2]) << 20;
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	for (long offset = 0; offset < size; offset += PIECE) {
		for (int i = 0; i < WORDS; i++)
			words[i] = word_at(offset + i * 8);
		if (write(file, words, PIECE) != PIECE)
			fail("write", offset);
	}
	if (fsync(file) != 0)
		fail("fsync", 0);
	puts("written");
	read_all(path, size, 0);
	puts("read");
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map == MAP_FAILED)
		fail("mmap", 0);
	for (long offset = 0; offset < size; offset += PIECE)
		check((uint64_t *)(map + offset), offset, 0);
	puts("mapped");
	for (long offset = 0; offset < size; offset += STEP)
		*(uint64_t *)(map + offset) += 1;
	if (msync(map, size, MS_SYNC) != 0 || munmap(map, size) != 0)
		fail("msync", 0);
	read_all(path, size, 1);
	puts("changed");
	return 0;
}
