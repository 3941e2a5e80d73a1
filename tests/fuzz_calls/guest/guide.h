/*
 * Guidance: programs that made the kernel run code that had not run before are kept and changed further. A program is named
 * by a chain of seeds: the first makes a program, each other changes it. QEMU's plugin (host/coverage.c) counts the
 * instructions that have run; the first sector of a disk of the guest shows that count.
 */

#define LONGEST_CHAIN 8
#define MOST_ACTS 16
#define MOST_KEPT 4000

struct chain { int length; uint64_t seeds[LONGEST_CHAIN]; uint8_t first_act, last_act; };
struct corpus { uint32_t count; struct chain kept[MOST_KEPT]; };

static struct corpus *corpus; /* shared by the workers */
static int count_disk = -1;

static uint64_t instructions_run(void)
{
	static unsigned char *sector;
	if (count_disk < 0)
		return 0;
	if (!sector)
		sector = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return pread(count_disk, sector, 512, 0) == 512 ? *(uint64_t *)sector : 0;
}

/* One call of `made` anew, or a few more after the last. */
static void change_call(void)
{
	int end = made->calls, at = pick(end);
	int row = one_in(2) ? made->call[at].row : a_row();
	if (made->subject && end < MOST_CALLS && one_in(2)) {
		do_deed();
		return;
	}
	if (one_in(4) && end < MOST_CALLS) {
		make_call(one_in(2) ? row : a_row());
		return;
	}
	if (one_in(6)) {
		made->call[at] = made->call[pick(end)];
		return;
	}
	made->calls = at;
	make_call(row);
	if (made->fails && one_in(3))
		made->call[at].fails = 1 + pick(30);
	made->calls = end;
}

static void generate_chain(struct program *program, const struct chain *chain)
{
	generate(program, chain->seeds[0], 0);
	for (int i = 1; i < chain->length; i++) {
		random_state = program->seed = chain->seeds[i];
		if (one_in(6))
			program->fails = 1;
		if (one_in(10))
			program->is_root ^= 1;
		if (one_in(10))
			program->on_ext2 ^= 1;
		for (uint64_t n = 1 + pick(4); n > 0; n--)
			change_call();
	}
}

/*
 * A process makes several programs, one after the other: its acts. The first is that of its chain. A name may say so: SEED+2
 * are the first three, SEED@2 is the third alone.
 */
static void generate_act(struct program *program, const struct chain *chain, int act)
{
	static struct setting first;
	static uint64_t first_seed; /* whose setting that is */
	uint64_t seed = chain->seeds[chain->length - 1];
	if (act == 0 || first_seed != seed) {
		generate_chain(program, chain);
		first = (struct setting){ program->crowd, program->is_root, program->on_ext2, program->own_network, program->subject };
		first_seed = seed;
	}
	if (act > 0)
		generate(program, seed_of(seed, 0, act), &first);
}

/* What to run next: something new, or a change of something that was kept. */
static struct chain next_chain(uint64_t seed)
{
	struct chain chain = { 1, { seed } };
	uint32_t count = corpus->count < MOST_KEPT ? corpus->count : MOST_KEPT;
	random_state = seed;
	if (count_disk < 0)
		chain.last_act = pick(MOST_ACTS);
	if (count == 0 || one_in(3))
		return chain;
	chain = corpus->kept[pick(count)];
	if (chain.length == LONGEST_CHAIN)
		chain.length = 1 + pick(LONGEST_CHAIN - 1);
	chain.seeds[chain.length++] = seed;
	return chain;
}

static void keep(const struct chain *chain)
{
	uint32_t slot = __atomic_fetch_add(&corpus->count, 1, __ATOMIC_RELAXED);
	corpus->kept[slot < MOST_KEPT ? slot : pick(MOST_KEPT)] = *chain;
}

static struct chain read_chain(const char *text)
{
	struct chain chain = { 0 };
	while (*text && chain.length < LONGEST_CHAIN) {
		char *end;
		chain.seeds[chain.length++] = strtoull(text, &end, 16);
		text = *end == '.' ? end + 1 : "";
		if (*end == '+' || *end == '@')
			chain.last_act = strtoul(end + 1, 0, 10) % MOST_ACTS;
		if (*end == '@')
			chain.first_act = chain.last_act;
		if (*end && *end != '.')
			break;
	}
	return chain;
}

static void print_chain(const char *what, const struct chain *chain)
{
	char line[200];
	int at = snprintf(line, sizeof line, "@%s ", what);
	for (int i = 0; i < chain->length; i++)
		at += snprintf(line + at, sizeof line - at, "%s%012llx", i ? "." : "", (long long)chain->seeds[i]);
	dprintf(1, "%s\n", line);
}

/* Chains of earlier runs, a line each. */
static void load_corpus(const char *path)
{
	char line[200];
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file)) {
		struct chain chain = read_chain(line);
		keep(&chain);
	}
	if (file)
		fclose(file);
}
