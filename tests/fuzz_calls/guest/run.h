/*
 * A program's process: it opens the crowd, gives up its rights, and makes the calls in its threads. What a call may not do
 * to the run itself is decided in `forbidden`, at the last moment and from registers.
 */

#define SHARED_PIDS 64

struct worker {
	int pid;
	uint64_t first, current; /* programs since the sandbox was made anew; both are numbers for `seed_of` */
	uint64_t seed, programs, killed;
	uint32_t forked;
	int act; /* which of its programs the process makes */
	int last; /* number of the call that was made last */
	int forks[SHARED_PIDS];
	int child;
};

enum { NOT_MADE, BEGUN, ENDED };

struct shared {
	int stop, protected[32];
	uint64_t calls[512], good[512];
	uint64_t slow[512]; /* calls that a program was in when it was killed for taking too long */
	uint64_t ends[3]; /* of programs: by themselves, by a signal, killed after too long */
	uint64_t late_ns;
	int first_process, status; /* of a program that is compared */
	uint8_t state[MOST_CALLS];
	int64_t outcome[MOST_CALLS];
	uint64_t opened; /* of the crowd, a bit for each */
	struct worker worker[16];
};

static struct shared *shared;
static struct worker *me;
static const struct program *run_now;
static uint64_t kept = ~0ull; /* a bit for each call that is made */
static volatile uint64_t results[MOST_CALLS];
static volatile int threads_ready;
static int fail_descriptor = -1;
#define SETTLED 100
static int comparing; /* with another kernel: compare.h */
static int crowd[CROWD_SIZE];
static __thread sigjmp_buf past_fault;
static __thread volatile int guarded;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The call as registers say. A child on a stack or in a space that is not its own leaves at once; another goes on. */
long raw_call(long number, long *arguments, long stays);
__asm__(
	".globl raw_call\nraw_call:\n push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rdx, %r12\n mov %rdi, %rax\n mov %rsi, %rbx\n mov 0(%rbx), %rdi\n mov 8(%rbx), %rsi\n mov 16(%rbx), %rdx\n"
	"mov 24(%rbx), %r10\n mov 32(%rbx), %r8\n mov 40(%rbx), %r9\n syscall\n"
	"test %rax, %rax\n jnz 1f\n test %r12, %r12\n jnz 1f\n"
	"2: mov $24, %eax\n syscall\n mov $60, %eax\n xor %edi, %edi\n syscall\n jmp 2b\n"
	"1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

__asm__(".globl restore\nrestore: mov $15, %eax\n syscall\n");
void restore(void);

static int main_tid, other_tids[4];

/* A tick for the main thread ends what the others wait for, too. */
static void on_signal(int signo)
{
	if (signo != SIGALRM || !other_tids[0] || syscall(SYS_gettid) != main_tid)
		return;
	for (int i = 0; i < 4; i++)
		if (other_tids[i])
			syscall(SYS_tgkill, main_tid, other_tids[i], SIGALRM);
}

static void on_fault(int signo)
{
	if (guarded)
		siglongjmp(past_fault, 1);
	_exit(100 + signo);
}

static uint64_t resolve(struct value value)
{
	uint64_t result = -1ull;
	switch (value.tag) {
	case NUMBER: return value.number;
	case RESULT: return results[value.number];
	case CROWD: return crowd[value.number];
	case OWN_PID: return getpid();
	case PARENT_PID: return getppid();
	case OWN_TID: return syscall(SYS_gettid);
	case HANDLER: return (uint64_t)on_signal;
	case RESTORER: return (uint64_t)restore;
	case LOAD: case LOAD_LONG:
		guarded = 1;
		if (!sigsetjmp(past_fault, 0))
			result = value.tag == LOAD ? (uint64_t)*(volatile int *)value.number : *(volatile uint64_t *)value.number;
		guarded = 0;
	}
	return result;
}

static void store(const struct store *each)
{
	guarded = 1;
	if (!sigsetjmp(past_fault, 0)) {
		unsigned char *at = (unsigned char *)each->address;
		if (each->kind == STORE_TEXT) {
			const char *text = strings[each->value.number];
			uint64_t length = strlen(text) + 1;
			if (each->width && length > each->width)
				length = each->width;
			memcpy(at, text, length);
			if (text[0] == '@' && each->width) /* an abstract name */
				at[0] = 0;
		} else if (each->kind == STORE_BYTES) {
			memcpy(at, run_now->bytes + each->value.number, each->width);
		} else if (each->kind == STORE_FILL) {
			for (int i = 0; i < each->width; i++)
				at[i] = each->value.number >> i % 61;
		} else {
			uint64_t value = resolve(each->value);
			memcpy(at, &value, each->width);
		}
	}
	guarded = 0;
}

static int is_protected(int64_t pid)
{
	if (pid < 0)
		pid = -pid;
	if (pid >= 1 && pid <= shared->protected[0]) /* who was there before us */
		return 1;
	for (int i = 0; i < 32; i++)
		if (shared->protected[i] && shared->protected[i] == pid)
			return 1;
	return 0;
}

/* Whether a range has a part of what the workers share with their programs. */
static int has_shared(uint64_t start, uint64_t length)
{
	uint64_t first = (uint64_t)shared, end = first + ((sizeof *shared + 4095) & ~4095ull);
	return start < first ? length > first - start : start < end;
}

/* Calls that would end the run: they restart the machine, silence it, or hit the processes that watch. */
static int forbidden(const struct row *row, long *arguments)
{
	for (int i = 0; i < row->count; i++) {
		int kind = words[row->first + i].kind;
		int direct = !words[row->first + i].direction;
		if (direct && (kind == KIND_PID || kind == KIND_TID) && is_protected((int)arguments[i]))
			arguments[i] = getpid();
	}
	switch (row->number) {
	case 62: case 129: return (int)arguments[0] == -1; /* every process */
	case 103: return arguments[0] >= 6 && arguments[0] <= 8; /* what the console shows */
	case 169: return arguments[2] != 0 && arguments[2] != 0x89abcdef;
	case 16: return (uint32_t)arguments[1] == 0x540e && run_now->is_root; /* a terminal that others lose */
	case 301: return (arguments[2] & 0x70000) && (arguments[1] & 0x110); /* those who watch would wait for an answer */
	case 28:
		if ((int)arguments[2] == MADV_REMOVE && has_shared(arguments[0], arguments[1]))
			return 1;
		return ((int)arguments[2] == 100 || (int)arguments[2] == 101) && run_now->is_root; /* memory is lost for good */
	case 141: return (int)arguments[0] == PRIO_USER; /* everybody's priority */
	case 56: case 57: case 58: case 435: return me->forked > 12;
	default: return 0;
	}
}

static long stays_after(const struct row *row, const long *arguments)
{
	switch (row->number) {
	case 56: return !comparing && !(arguments[0] & CLONE_VM) && arguments[1] == 0;
	case 57: return !comparing; /* what two processes do at once is in no order */
	case 58: case 435: return 0;
	default: return 1;
	}
}

static void arm_failure(int n)
{
	char text[8];
	int length = snprintf(text, sizeof text, "%d", n);
	if (fail_descriptor >= 0)
		raw_call(SYS_write, (long[]){ fail_descriptor, (long)text, length, 0, 0, 0 }, 1);
}

static void make_one(int index)
{
	const struct call *call = &run_now->call[index];
	const struct row *row = &rows[call->row];
	long arguments[6] = { 0 };
	for (int i = 0; i < row->count; i++)
		arguments[i] = resolve(call->arguments[i]);
	for (int i = 0; i < call->stores; i++)
		store(&run_now->store[call->first_store + i]);
	if (forbidden(row, arguments))
		return;
	long stays = stays_after(row, arguments);
	if (call->fails)
		arm_failure(call->fails);
	me->last = row->number;
	shared->state[index] = BEGUN;
	long result = raw_call(row->number, arguments, stays);
	shared->state[index] = ENDED;
	shared->outcome[index] = result;
	if (call->fails)
		arm_failure(0);
	results[index] = result;
	shared->calls[row->number]++;
	shared->good[row->number] += (unsigned long)result < -4095ul;
	if (row->result == KIND_PID && result > 1 && row->number >= 56 && row->number != 61 && row->number < 500) {
		uint32_t slot = __atomic_fetch_add(&me->forked, 1, __ATOMIC_RELAXED);
		if (slot < SHARED_PIDS)
			me->forks[slot] = result;
	}
}

static void *run_thread(void *number)
{
	int thread = (long)number;
	if (thread > 0)
		other_tids[thread - 1] = syscall(SYS_gettid);
	__atomic_fetch_add(&threads_ready, 1, __ATOMIC_RELAXED);
	for (int i = 0; threads_ready < run_now->threads && i < 200; i++)
		sched_yield();
	for (int i = 0; i < run_now->calls; i++) {
		const struct call *call = &run_now->call[i];
		int mine = call->thread == thread || (run_now->collides && call->thread == (thread + 1) % run_now->threads);
		if (mine && kept >> i & 1)
			make_one(i);
	}
	if (thread > 0)
		other_tids[thread - 1] = 0;
	return 0;
}

/* Changes memory under the calls. */
static void *scribble(void *unused)
{
	uint64_t state = run_now->seed | 1;
	(void)unused;
	for (int i = 0; i < 300; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		guarded = 1;
		if (!sigsetjmp(past_fault, 0))
			((unsigned char *)ARENA)[(state >> 33) % (ARENA_SIZE / 16)] ^= state >> 60 ? 1 << (state >> 20) % 8 : state >> 40;
		guarded = 0;
		if (i % 8 == 0)
			sched_yield();
	}
	return 0;
}

static void limit(int resource, uint64_t most)
{
	struct rlimit each = { most, most };
	setrlimit(resource, &each);
}

static void prepare(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER }, plain = { .sa_handler = on_signal };
	struct itimerval tick = { { 0, comparing ? 100000 : 2000 }, { 0, comparing ? 100000 : 3000 } };
	char name[16];
	mmap((void *)ARENA, ARENA_SIZE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)READ_ONLY, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)MAPS, MAPS_PAGES / 2 << 12, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	snprintf(name, sizeof name, "fz%012llx%c", (unsigned long long)me->seed, 'a' + me->act);
	prctl(PR_SET_NAME, name);
	limit(RLIMIT_AS, 96 << 20);
	limit(RLIMIT_FSIZE, 4 << 20);
	limit(RLIMIT_NPROC, 200);
	limit(RLIMIT_CORE, 0);
	sigaction(SIGSEGV, &fault, 0);
	sigaction(SIGBUS, &fault, 0);
	sigaction(SIGALRM, &plain, 0);
	sigaction(SIGPIPE, &plain, 0);
	setitimer(ITIMER_REAL, &tick, 0);
}

/* Give the crowd numbers that do not depend on which of them there are. */
static void settle_crowd(void)
{
	for (int i = 0; i < CROWD_SIZE; i++) {
		if (crowd[i] < 0)
			continue;
		shared->opened |= 1ull << i;
		dup2(crowd[i], SETTLED + i);
		close(crowd[i]);
		crowd[i] = SETTLED + i;
	}
}

/* The calls of a program, in its threads. */
static void run_program(const struct program *program)
{
	pthread_t thread[4];
	int count = 0;
	run_now = program;
	threads_ready = 0;
	prepare();
	for (long i = 1; i < program->threads; i++)
		pthread_create(&thread[count++], 0, run_thread, (void *)i);
	if (program->scribbles)
		pthread_create(&thread[count++], 0, scribble, 0);
	run_thread(0);
	for (int i = 0; i < count; i++)
		pthread_join(thread[i], 0);
}

/* Descriptors of the crowd that a program has closed, or that the next one wants and the last one did not. */
static void complete_crowd(uint64_t wanted)
{
	for (int i = 0; i < CROWD_SIZE; i++)
		if (crowd[i] >= 0 && fcntl(crowd[i], F_GETFD) >= 0)
			wanted &= ~(1ull << i);
	int whole[CROWD_SIZE];
	open_crowd(wanted, whole);
	for (int i = 0; i < CROWD_SIZE; i++)
		if (whole[i] >= 0)
			crowd[i] = whole[i];
}

/* The whole life of a process: one program after the other. */
static void run_programs(struct program *program, const struct chain *chain)
{
	int own_pid = main_tid = setsid();
	sigset_t none;
	sigemptyset(&none);
	write_text("/proc/self/oom_score_adj", "0");
	if (program->fails || chain->last_act > chain->first_act)
		fail_descriptor = open("/proc/self/fail-nth", O_WRONLY | O_CLOEXEC);
	enter_sandbox(program);
	if (comparing)
		settle_crowd();
	for (int act = chain->first_act; ; act++) {
		me->act = act;
		run_program(program);
		if (act == chain->last_act || getpid() != own_pid) /* or a child that a program has made */
			_exit(0);
		sigprocmask(SIG_SETMASK, &none, 0);
		generate_act(program, chain, act + 1);
		complete_crowd(program->crowd);
	}
}
