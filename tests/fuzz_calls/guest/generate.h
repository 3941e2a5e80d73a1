/* From a seed to a program, by the tables of the call table (fuzz_table.h). */

#define MOST_RESOURCES 128
#define MOST_DEPTH 4

struct resource { uint8_t kind, detail; struct value value; };

static uint64_t random_state;
static struct program *made; /* the program that is being generated */
static struct resource resources[MOST_RESOURCES];
static int resource_count;
static uint64_t arena_next;
static int depth;
static uint8_t excluded[COUNT(rows)];

static uint64_t draw(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t pick(uint64_t limit) { return draw() % limit; }
static int one_in(uint64_t n) { return pick(n) == 0; }
static struct value number(uint64_t n) { return (struct value){ n, NUMBER }; }
static struct value tagged(int tag, uint64_t n) { return (struct value){ n, tag }; }

static uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 7, 8, 16, 63, 64, 65, 255, 256, 511, 512, 1023, 1024, 4095, 4096, 4097, 8192, 0x7fff, 0x8000, 0xffff,
		0x10000, 0xfffff, 0x100000, 999999, 1000000, 999999999, 1000000000, 0x7ffffffe, 0x7fffffff, 0x80000000,
		0xfffff000, 0xfffffffe, 0xffffffff, 0x100000000, 0x1ffffffff, 1ull << 40, (1ull << 43) - 1, 1ull << 44,
		(1ull << 47) - 4097, (1ull << 47) - 4096, (1ull << 47) - 1, 1ull << 47, 1ull << 51, 1ull << 52, 1ull << 55,
		9223372036ull, 9223372037ull, 1ull << 62, 0x7ffffffffffff000, 0x7ffffffffffffffe, 0x7fffffffffffffff,
		0x8000000000000000, 0x8000000000000001, 0xffff800000000000, 0xffffffff80000000, 0xffffffffffffefff,
		0xfffffffffffff000, 0xfffffffffffff001, 0xfffffffffffffffe, 0xffffffffffffffff, 0xdeadbeef,
	};
	uint64_t n = edges[pick(COUNT(edges))];
	switch (pick(8)) {
	case 0: return n + 1;
	case 1: return n - 1;
	case 2: return n + edges[pick(COUNT(edges))];
	case 3: return 1ull << pick(64);
	case 4: return draw() >> pick(64);
	default: return n;
	}
}

static uint64_t small(void)
{
	switch (pick(6)) {
	case 0: return 0;
	case 1: return pick(4);
	case 2: return pick(64);
	case 3: return pick(4) * 4096;
	case 4: return pick(8192);
	default: return pick(1 << pick(18));
	}
}

/* A place in the arena; sometimes one that ends in a hole. */
static uint64_t place(uint64_t size)
{
	if (size < 1)
		size = 1;
	if (one_in(10))
		return ARENA + ARENA_SIZE - (size < ARENA_SIZE ? size : 8) + (one_in(2) ? 0 : pick(size + 1));
	if (one_in(60))
		return READ_ONLY + pick(4096);
	if (arena_next + size + 16 > ARENA + ARENA_SIZE)
		arena_next = ARENA + pick(64) * 8;
	if (size > ARENA_SIZE)
		return ARENA;
	uint64_t at = arena_next;
	if (one_in(20))
		at += pick(8);
	arena_next += (size + 8) & ~7ull;
	return at;
}

static void keep_store(int kind, uint64_t address, struct value value, int width)
{
	if (made->stores < MOST_STORES)
		made->store[made->stores++] = (struct store){ address, value, width, kind };
}

static struct value any_resource(int kind, int detail)
{
	int found = -1, seen = 0;
	for (int i = 0; i < resource_count; i++) {
		struct resource *each = &resources[i];
		if (each->kind == kind && (detail <= 0 || each->detail == detail || (each->detail == 0 && one_in(4))))
			if (one_in(++seen) || (i >= CROWD_SIZE && one_in(3)))
				found = i;
	}
	return found < 0 ? number(edge()) : resources[found].value;
}

/* Whether a descriptor of the crowd can stand for an argument. */
static int suits(int index, int detail)
{
	return detail == FD_ANY || detail == FD_SPENT || crowd_kind[index] == FD_ANY || crowd_kind[index] == detail;
}

static struct value a_descriptor(int detail)
{
	if (made->about >= 0 && suits(made->about, detail) && !one_in(4))
		return tagged(CROWD, made->about);
	switch (pick(32)) {
	case 0: return number(edge());
	case 1: return number(pick(70));
	case 2: case 3: case 4: return any_resource(KIND_FD, 0);
	default: return any_resource(KIND_FD, detail == FD_SPENT ? 0 : detail);
	}
}

static uint64_t an_address(void)
{
	switch (pick(16)) {
	case 0: return edge();
	case 1: return 0;
	case 2: return ARENA + pick(ARENA_SIZE);
	case 3: return ARENA + (pick(64) << 12);
	case 4: return MAPS + pick(MAPS_PAGES << 12);
	case 5: return READ_ONLY;
	default: return MAPS + (pick(MAPS_PAGES) << 12);
	}
}

static struct value a_process(void)
{
	switch (pick(16)) {
	case 0: return number(edge());
	case 1: return number(-1ull);
	case 2: return tagged(PARENT_PID, 0);
	case 3: return number(pick(40));
	case 4: case 5: case 6: return any_resource(KIND_PID, 0);
	case 7: case 8: case 9: return number(0);
	default: return tagged(OWN_PID, 0);
	}
}

static uint64_t an_identity(void)
{
	static const uint32_t ids[] = { 0, 0, 1000, 1000, 1001, 65534, 0xffffffff, 0xfffffffe, 0x7fffffff };
	return one_in(12) ? edge() : ids[pick(COUNT(ids))];
}

/* `chosen` is the word that a member of a set gave for the argument after it; -1 for none. */
static uint64_t of_set(int set, int as_flags, int *chosen)
{
	const struct run *run = &sets[set];
	if (one_in(40))
		return edge();
	const struct member *first = &members[run->first + pick(run->count)];
	*chosen = first->word;
	uint64_t value = first->value;
	if (as_flags)
		for (uint64_t more = one_in(6) ? 0 : pick(4); more > 0; more--)
			value |= members[run->first + pick(run->count)].value;
	else if (one_in(60))
		value |= 1ull << pick(64);
	if (as_flags && one_in(5))
		value = 0;
	if (as_flags && one_in(40))
		value |= 1ull << pick(32);
	return value;
}

struct scope { const struct word *word; int count; struct value *values; int64_t hints[24]; int chosen; };

static struct value make(struct scope *scope, int index);

static int width_of(const struct word *word)
{
	switch (word->kind) {
	case KIND_FD: case KIND_GID: case KIND_INT: case KIND_PID: case KIND_SIGNAL: case KIND_TID: case KIND_TIMERID:
	case KIND_KEY_SERIAL: case KIND_UID: case KIND_UINT: return 4;
	case KIND_BYTES: return 1;
	default: return word->width;
	}
}

static uint64_t size_of(const struct run *run)
{
	uint64_t size = 0;
	for (int i = 0; i < run->count; i++)
		size += words[run->first + i].direction ? 8 : words[run->first + i].width;
	return size;
}

/* A structure's fields, as stores. */
static void fill(const struct run *run, uint64_t address)
{
	struct value values[24];
	struct scope scope = { &words[run->first], run->count, values, { 0 }, -1 };
	for (int i = 0; i < 24; i++)
		scope.hints[i] = -1;
	uint64_t offset = 0;
	for (int i = 0; i < run->count; i++) {
		const struct word *word = scope.word + i;
		int width = word->direction ? 8 : word->width;
		if (word->direction == IN_REGISTER && word->kind == KIND_TEXT) {
			const struct run *text = &texts[word->detail];
			keep_store(STORE_TEXT, address + offset, number(text->first + pick(text->count)), width);
		} else if (word->direction == IN_REGISTER && word->kind == KIND_BYTES) {
			keep_store(STORE_FILL, address + offset, number(draw()), width);
		} else if (word->direction || word->kind != KIND_PAD) {
			values[i] = make(&scope, i);
			keep_store(STORE_VALUE, address + offset, values[i], width > 8 ? 8 : width);
		}
		offset += width;
	}
}

static uint64_t how_many(int is_bytes)
{
	if (is_bytes)
		switch (pick(8)) {
		case 0: return 0;
		case 1: return 1 + pick(8);
		case 2: return 4096;
		case 3: return pick(20000);
		case 4: return pick(70000);
		default: return pick(200);
		}
	return one_in(12) ? pick(64) : pick(4);
}

/* Whether a structure is a message or an address for netlink, or neither a message nor an address. */
static int for_netlink(const struct word *first)
{
	if (first->kind == KIND_ONE && first->width == 2)
		return members[sets[first->detail].first].value == AF_NETLINK;
	return first->kind != KIND_BYTES;
}

static struct value point(struct scope *scope, int index)
{
	const struct word *word = scope->word + index;
	int bound = word->count <= -2 ? -2 - word->count : -1;
	if (word->optional && one_in(5))
		return number(0);
	if (one_in(40))
		return number(edge());
	const struct run *run = 0;
	int tries = 0;
	uint64_t element = width_of(word), total, n = word->count > 0 ? word->count : 1;
	int is_bytes = word->kind == KIND_BYTES;
	if (word->kind == KIND_STRUCTURE) {
		const struct run *structure = &structures[word->detail];
		do
			run = &alternatives[structure->first + pick(structure->count)];
		while (made->about == CROWD_NETLINK && !for_netlink(&words[run->first]) && ++tries < 30);
		element = size_of(run);
	}
	if (bound >= 0) {
		const struct word *other = scope->word + bound;
		int in_bytes = is_bytes || other->kind == KIND_SIZE || other->direction;
		n = bound < index && !other->direction && scope->values[bound].number < 70000
			? scope->values[bound].number / (in_bytes && !is_bytes ? element : 1) : how_many(is_bytes);
		if (in_bytes && !is_bytes && bound > index)
			n = 1;
		scope->hints[bound] = in_bytes ? n * element : n;
	}
	total = n * element;
	if (is_bytes && bound < 0 && word->count < 0)
		total = how_many(1);
	if (word->kind == KIND_PATH || word->kind == KIND_NAME) {
		const struct run *text = &texts[word->detail];
		int string = text->first + pick(text->count);
		uint64_t at = place(strlen(strings[string]) + 1);
		keep_store(STORE_TEXT, at, number(string), 0);
		return number(at);
	}
	uint64_t at = place(total);
	if (depth >= MOST_DEPTH)
		return number(at);
	depth++;
	if (word->direction == READ || word->direction == BOTH) {
		if (is_bytes) {
			if (total > 0 && one_in(2))
				keep_store(STORE_FILL, at, number(draw()), total > 4096 ? 4096 : total);
		} else for (uint64_t i = 0; i < n && i < 20; i++) {
			if (run) {
				fill(run, at + i * element);
				continue;
			}
			struct value value;
			struct word inner = *word;
			inner.direction = IN_REGISTER;
			struct scope alone = { &inner, 1, &value, { scope->hints[index] >= 0 ? scope->hints[index] : -1 }, -1 };
			value = make(&alone, 0);
			keep_store(STORE_VALUE, at + i * element, value, element > 8 ? 8 : element);
		}
	}
	depth--;
	if (word->direction != READ && (word->kind == KIND_FD || word->kind == KIND_TIMERID || word->kind == KIND_PID || word->kind == KIND_AIO))
		for (uint64_t i = 0; i < n && i < 2 && resource_count < MOST_RESOURCES; i++)
			resources[resource_count++] = (struct resource){ word->kind, word->detail, tagged(word->kind == KIND_AIO ? LOAD_LONG : LOAD, at + width_of(word) * i) };
	return number(at);
}

/* The value of one word: of an argument, or of a field. */
static struct value make(struct scope *scope, int index)
{
	const struct word *word = scope->word + index;
	if (word->direction)
		return point(scope, index);
	if (scope->hints[index] >= 0 && (word->kind == KIND_SIZE || word->kind == KIND_COUNT || word->kind == KIND_INT)) {
		uint64_t n = scope->hints[index];
		return number(one_in(16) ? edge() : one_in(16) ? n + 1 : one_in(16) ? n - 1 : n);
	}
	if (one_in(80))
		return number(edge());
	switch (word->kind) {
	case KIND_ADDRESS: return one_in(6) ? any_resource(KIND_ADDRESS, 0) : number(an_address());
	case KIND_FD: return a_descriptor(word->detail);
	case KIND_DIR: return one_in(2) ? number(-100ull) : a_descriptor(FD_DIRECTORY);
	case KIND_FLAGS: case KIND_ONE: return number(of_set(word->detail, word->kind == KIND_FLAGS, &scope->chosen));
	case KIND_ANY:
		if (scope->chosen >= 0) {
			struct value value = number(0);
			struct scope alone = { &words[scope->chosen], 1, &value, { 0 }, -1 };
			for (int i = 0; i < 24; i++)
				alone.hints[i] = -1;
			scope->chosen = -1;
			return make(&alone, 0);
		}
		return number(one_in(2) ? 0 : one_in(2) ? place(64) : edge());
	case KIND_PATH: case KIND_NAME: case KIND_TEXT: {
		struct word pointer = *word;
		struct scope alone = { &pointer, 1, 0, { -1 }, -1 };
		pointer.direction = READ;
		pointer.kind = KIND_PATH;
		return point(&alone, 0);
	}
	case KIND_PID: case KIND_TID: return word->kind == KIND_TID && one_in(2) ? tagged(OWN_TID, 0) : a_process();
	case KIND_UID: case KIND_GID: return number(an_identity());
	case KIND_SIGNAL: return number(one_in(8) ? edge() : one_in(3) ? 10 + 2 * pick(2) : pick(66));
	case KIND_MODE: return number(one_in(8) ? edge() : draw() & 07777);
	case KIND_MS: return number(one_in(8) ? edge() : pick(4));
	case KIND_CLOCK: return number(one_in(12) ? edge() : one_in(8) ? -pick(200) : pick(12));
	case KIND_KEY: return number(one_in(4) ? 0 : one_in(12) ? edge() : 77 + pick(3));
	case KIND_KEY_SERIAL: return one_in(3) ? number(-1 - pick(5)) : one_in(8) ? number(edge()) : any_resource(word->kind, 0);
	case KIND_INDEX: return number(one_in(8) ? edge() : pick(3));
	case KIND_DEVICE: return number(one_in(4) ? edge() : (1 + pick(8)) << 8 | pick(10));
	case KIND_SHMID: case KIND_SEMID: case KIND_MSGID: case KIND_TIMERID: case KIND_WATCH:
	case KIND_PKEY: case KIND_AIO:
		return one_in(6) ? number(one_in(2) ? pick(4) : edge()) : any_resource(word->kind, 0);
	case KIND_SECONDS: return number(one_in(5) ? edge() : one_in(3) ? pick(3) : 0);
	case KIND_NANOSECONDS: return number(one_in(8) ? edge() : one_in(2) ? pick(2000000) : pick(1000000000));
	case KIND_MICROSECONDS: return number(one_in(8) ? edge() : pick(2000));
	case KIND_LIMIT: return number(one_in(3) ? edge() : small());
	case KIND_BITS: return number(one_in(3) ? draw() : one_in(3) ? 0 : 1ull << pick(34) | 1ull << pick(34));
	case KIND_ZERO: return number(one_in(30) ? edge() : 0);
	case KIND_HANDLER: return one_in(3) ? number(pick(2)) : tagged(HANDLER, 0);
	case KIND_RESTORER: return tagged(RESTORER, 0);
	case KIND_SIZE: case KIND_COUNT: case KIND_OFFSET: return number(one_in(5) ? edge() : small());
	default: return number(one_in(3) ? edge() : pick(10));
	}
}

static void make_call(int row_index)
{
	const struct row *row = &rows[row_index];
	struct call *call = &made->call[made->calls];
	struct scope scope = { &words[row->first], row->count, call->arguments, { 0 }, -1 };
	for (int i = 0; i < 24; i++)
		scope.hints[i] = -1;
	memset(call->arguments, 0, sizeof call->arguments);
	call->row = row_index;
	call->first_store = made->stores;
	call->thread = pick(made->threads);
	call->fails = 0;
	for (int i = 0; i < row->count; i++)
		call->arguments[i] = make(&scope, i);
	call->stores = made->stores - call->first_store;
	if (row->result >= 0 && resource_count < MOST_RESOURCES) {
		struct resource fresh = { row->result, row->detail, tagged(RESULT, made->calls) };
		resources[resource_count++] = fresh;
	}
	made->calls++;
}

/* How likely a call is: those that end a program, or that only answer a number, are rare. */
static int is_dull(const struct row *row)
{
	switch (row->number) {
	case 15: case 60: case 231: case 58: return draw() % 40 != 0;
	case 39: case 102: case 104: case 107: case 108: case 110: case 111: case 186: case 24: case 162: return draw() % 10 != 0;
	case 34: case 130: case 317: case 57: case 56: case 435: case 59: case 322: case 157: return draw() % 3 != 0;
	default: return 0;
	}
}

/* Whether a call has an argument that is a descriptor of this kind, or of any. */
static int takes(const struct row *row, int kind)
{
	for (int i = 0; i < row->count; i++) {
		const struct word *word = &words[row->first + i];
		if (word->kind == KIND_FD && !word->direction && (word->detail == kind || word->detail == FD_ANY))
			return 1;
	}
	return 0;
}

static int a_row(void)
{
	for (;;) {
		int index = pick(COUNT(rows));
		if (!excluded[index] && !is_dull(&rows[index]))
			return index;
	}
}

static int row_of(int number)
{
	int index = 0;
	while (rows[index].number != number)
		index++;
	return index;
}

#include "subjects.h"

/* `before`: the program that its process has made before; 0 if it is the first. */
static void generate(struct program *program, uint64_t seed, const struct setting *before)
{
	static const int messages[] = { SYS_sendto, SYS_sendmsg, SYS_sendto, SYS_recvmsg };
	int theme[8];
	made = program;
	random_state = seed;
	program->seed = seed;
	program->calls = program->stores = program->bytes_used = 0;
	program->crowd = one_in(8) ? ~0ull : draw();
	program->is_root = pick(2);
	program->on_ext2 = pick(2);
	program->threads = one_in(4) ? 2 + pick(2) : 1;
	program->scribbles = program->threads > 1 || one_in(8);
	program->collides = program->threads > 1 && one_in(2);
	program->fails = one_in(6);
	program->about = one_in(12) ? CROWD_NETLINK : one_in(3) ? pick(CROWD_SIZE) : -1;
	if (program->about >= 0)
		program->crowd |= 1ull << program->about | 1ull << (program->about & ~1);
	program->subject = seed & 3 ? NO_SUBJECT : 1 + (seed >> 2) % (SUBJECTS - 1);
	program->own_network = program->subject == FIREWALL || program->subject == LINKS || program->subject == FILTERS;
	if (program->subject == FILTERS)
		program->is_root |= one_in(6) ^ 1;
	if (program->own_network && !program->is_root)
		program->own_network = !one_in(8);
	if (before) {
		program->is_root = before->is_root;
		program->on_ext2 = before->on_ext2;
		program->own_network = before->own_network;
		program->subject = program->subject ? before->subject : NO_SUBJECT;
		program->crowd |= before->crowd;
	}
	arena_next = ARENA + pick(64) * 8;
	resource_count = 0;
	depth = 0;
	for (int i = 0; i < CROWD_SIZE; i++)
		if (program->crowd >> i & 1)
			resources[resource_count++] = (struct resource){ KIND_FD, crowd_kind[i], tagged(CROWD, i) };
	for (int i = 0; i < 8; i++)
		for (int tries = 0; tries == 0 || (tries < 40 && program->about >= 0
			&& !takes(&rows[theme[i]], crowd_kind[program->about])); tries++)
			theme[i] = a_row();
	if (program->about == CROWD_NETLINK)
		for (int i = 0; i < 4; i++)
			if (!excluded[row_of(messages[i])])
				theme[i] = row_of(messages[i]);
	int length = 6 + pick(MOST_CALLS - 6);
	if (program->subject) {
		begin_subject();
		length = program->calls + 10 < length ? length : program->calls + 10 < MOST_CALLS ? program->calls + 10 : MOST_CALLS;
	}
	while (program->calls < length) {
		if (program->subject && !one_in(5)) {
			do_deed();
			continue;
		}
		make_call(one_in(2) ? theme[pick(8)] : a_row());
		if (program->fails && one_in(3))
			program->call[program->calls - 1].fails = 1 + pick(one_in(4) ? 30 : 5);
	}
}
