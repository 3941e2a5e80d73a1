/*
 * What is run: a program of system calls, a pure function of its seed. Memory that calls read is written by stores before
 * each call, to an arena at a fixed address. A value that is known only later is marked by a tag.
 */
#include <stdint.h>

#define MOST_CALLS 64 /* as many as a mask has bits */
#define MOST_STORES 5000
#define MOST_BYTES (48 << 10)
#define ARENA 0x200000000ull /* the first page is after a hole and the last before one */
#define ARENA_SIZE (64ull << 12)
#define READ_ONLY (ARENA + ARENA_SIZE + 0x10000) /* a page */
#define MAPS 0x300000000ull /* where calls may map and unmap as they like */
#define MAPS_PAGES 64

enum tag { NUMBER, RESULT, LOAD, LOAD_LONG, CROWD, OWN_PID, PARENT_PID, OWN_TID, HANDLER, RESTORER };
enum direction { IN_REGISTER, READ, WRITTEN, BOTH };
enum store_kind { STORE_VALUE, STORE_TEXT, STORE_FILL, STORE_BYTES }; /* the last: of the program's `bytes` */

struct word { uint8_t kind, direction, optional; uint16_t width; int16_t detail, count; };
struct member { uint64_t value; int16_t word; };
struct run { uint16_t first, count; };
struct row { uint16_t number; const char *name; uint16_t first, count; int8_t result; uint8_t detail; };

struct value { uint64_t number; uint8_t tag; };
struct store { uint64_t address; struct value value; uint16_t width; uint8_t kind; };
struct call { uint16_t row, first_store, stores; uint8_t thread, fails; struct value arguments[6]; };
/* What a process keeps for all programs that it makes one after the other. */
struct setting { uint64_t crowd; uint8_t is_root, on_ext2, own_network, subject; };

struct program {
	uint64_t seed, crowd; /* a bit for each descriptor that is open at the start */
	uint8_t is_root, on_ext2, threads, scribbles, collides, fails;
	int8_t about; /* the descriptor of the crowd that it is mostly about; -1 for none */
	uint8_t subject; /* subjects.h */
	uint8_t own_network;
	int calls, stores, bytes_used;
	struct call call[MOST_CALLS];
	struct store store[MOST_STORES];
	uint8_t bytes[MOST_BYTES];
};
