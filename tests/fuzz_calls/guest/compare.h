/*
 * The same programs on two kernels. Each runs alone in a sandbox and namespaces that are made for it, so that nothing is
 * left of those before it and the numbers of its processes are the same everywhere. What its calls returned is printed: a
 * line for each program, a word for each call, after one that says which descriptors of the crowd
 * there are and before the status with which it ended.
 */

#define COMPARED_PATIENCE_NS 2000000000ull /* for a program whose calls wait; a tick ends most of them earlier */

static const struct row *row_at(int index) { return &rows[program.call[index].row]; }

/* Whether a call returns an address, which the kernel may choose. */
static int returns_address(const struct row *row)
{
	return row->number == SYS_mmap || row->number == SYS_mremap || row->number == SYS_brk || row->number == SYS_shmat;
}

static void print_outcome(int index)
{
	long result = shared->outcome[index];
	if (shared->state[index] == NOT_MADE)
		printf(" -");
	else if (shared->state[index] == BEGUN)
		printf(" B");
	else if ((unsigned long)result >= -4095ul)
		printf(" E%ld", -result);
	else if (row_at(index)->number == SYS_time)
		printf(" T");
	else if (returns_address(row_at(index)) && (result < (long)ARENA || result > (long)MAPS + (MAPS_PAGES << 12)))
		printf(" A");
	else
		printf(" %lx", result);
}

/* Everything that a program starts ends with the first process of its namespace. */
static void first_process(const struct chain *chain)
{
	int status, child;
	shared->protected[0] = 1;
	raise_loopback();
	child = fork();
	if (child == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, 0);
		run_programs(&program, chain);
	}
	while (waitpid(-1, &status, __WALL) != child)
		;
	shared->status = status;
	_exit(0);
}

static void compare_one(uint64_t seed)
{
	struct chain chain = { 1, { seed } };
	int spaces = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWNS;
	sigset_t child;
	siginfo_t info;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	generate_chain(&program, &chain);
	program.threads = 1;
	program.scribbles = program.collides = program.fails = program.on_ext2 = 0;
	for (int i = 0; i < program.calls; i++)
		program.call[i].thread = program.call[i].fails = 0;
	memset(shared->state, NOT_MADE, sizeof shared->state);
	make_sandboxes(15);
	me->seed = seed;
	me->forked = shared->opened = 0;
	shared->status = -1;
	int between = fork();
	if (between == 0) {
		int first;
		if (unshare(spaces) || (first = fork()) < 0)
			_exit(1);
		if (first == 0)
			first_process(&chain);
		shared->first_process = first;
		waitpid(first, 0, __WALL);
		_exit(0);
	}
	for (uint64_t start = now_ns(); waitpid(between, 0, WNOHANG) == 0; ) {
		struct timespec pause = { 0, 50000000 };
		if (now_ns() - start > COMPARED_PATIENCE_NS)
			kill(shared->first_process, SIGKILL);
		sigtimedwait(&child, &info, &pause);
	}
	printf("@program %012llx %llx", (long long)seed, (long long)shared->opened);
	for (int i = 0; i < program.calls; i++)
		print_outcome(i);
	printf(" %x\n", shared->status);
}

static void compare(uint64_t base, uint64_t first, uint64_t count)
{
	comparing = 1;
	become_worker(15);
	for (uint64_t n = first; n < first + count; n++)
		compare_one(seed_of(base, 0, n) | 1);
	printf("@done\n");
}

/* Programs by name, on standard input, each with its mask. */
static void compare_named(void)
{
	char name[200];
	comparing = 1;
	become_worker(15);
	while (scanf("%199s %llx", name, (unsigned long long *)&kept) == 2)
		compare_one(read_chain(name).seeds[0]);
	printf("@done\n");
}
