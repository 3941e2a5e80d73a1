/* Covers: seccomp (SET_MODE_STRICT SET_MODE_FILTER GET_ACTION_AVAIL, flags LOG SPEC_ALLOW), prctl (PR_SET_SECCOMP PR_GET_SECCOMP): every action, their order
 * in a stack, what a filter sees and may compute, which programs are refused, limits, inheritance, errors; /proc/PID/status, /proc/sys/kernel/seccomp. */
#define _GNU_SOURCE
#include <sys/time.h>
#include <ucontext.h>
#include "seccomp_case.h"

static const unsigned actions[] = { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP | 5, SECCOMP_RET_ERRNO | 7, SECCOMP_RET_USER_NOTIF,
				    SECCOMP_RET_TRACE | 1, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW | 9 };
static volatile unsigned long returned;
static volatile int flag;

static void on_sys(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	printf("signal %d %d, error %d, code %d, call %d, arch %#x\n", number, info->si_signo, info->si_errno, info->si_code, info->si_syscall, info->si_arch);
	CHECK((greg_t)info->si_call_addr == registers[REG_RIP]);
	CHECK(registers[REG_RCX] == registers[REG_RIP]);
	printf("rax %lld, rdi %lld\n", (long long)registers[REG_RAX], (long long)registers[REG_RDI]);
	if (returned)
		registers[REG_RAX] = (greg_t)returned;
}

static void on_alarm(int number)
{
	flag = 1;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	MUST(sigaction(number, &action, 0));
}

static void every_action(void)
{
	puts("--- actions");
	static const unsigned answers[] = { SECCOMP_RET_ERRNO | 7, SECCOMP_RET_ERRNO, SECCOMP_RET_ERRNO | 512, SECCOMP_RET_ERRNO | 514, SECCOMP_RET_ERRNO | 0xfff,
					    SECCOMP_RET_ERRNO | 0xffff, SECCOMP_RET_TRACE | 3, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW | 0xffff,
					    SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD | 1, SECCOMP_RET_TRAP, 0x00010000, 0x7ffe0000, 0x7fef0000, 0x90000000, 0xffff0000 };
	for (unsigned i = 0; i < COUNT(answers); i++) {
		printf("%#x: ", answers[i]);
		IN_CHILD(MUST(answer_call(0, VICTIM, answers[i])); SHOW(victim()); SHOW(victim()));
	}
	IN_CHILD(handle(SIGSYS, on_sys); MUST(answer_call(0, VICTIM, SECCOMP_RET_TRAP | 0x1234)); SHOW(syscall(VICTIM, 17)); returned = 99; SHOW(syscall(VICTIM, 18)));
	IN_CHILD(handle(SIGSYS, on_sys); MUST(answer_call(0, 12345, SECCOMP_RET_TRAP)); returned = 1; SHOW(syscall(12345)); SHOW(syscall(12346)));
	IN_CHILD(handle(SIGSYS, on_sys); MUST(answer_call(0, -1, SECCOMP_RET_TRAP)); returned = 1; SHOW(syscall(-1L)); SHOW(syscall(-2)));
	puts("a signal that is ignored or blocked");
	IN_CHILD(signal(SIGSYS, SIG_IGN); MUST(answer_call(0, VICTIM, SECCOMP_RET_TRAP)); SHOW(victim()));
	IN_CHILD(sigset_t set; sigemptyset(&set); sigaddset(&set, SIGSYS); handle(SIGSYS, on_sys); sigprocmask(SIG_BLOCK, &set, 0);
		 MUST(answer_call(0, VICTIM, SECCOMP_RET_TRAP)); SHOW(victim()));
	IN_CHILD(handle(SIGSYS, on_sys); MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_PROCESS)); SHOW(victim()));
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(answer_call(0, VICTIM, SECCOMP_RET_KILL_THREAD));
		victim();
		_exit(0);
	}
	siginfo_t info;
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED));
	printf("waitid: code %d, status %d\n", info.si_code, info.si_status);
}

/* What two filters say together: the letter of what happened. */
static char outcome(unsigned below, unsigned above)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(answer_call(0, VICTIM, below));
		MUST(answer_call(0, VICTIM, above));
		errno = 0;
		_exit(victim() == 0 ? 64 : errno);
	}
	int status;
	MUST(waitpid(child, &status, 0));
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? 'K' : '?';
	return WEXITSTATUS(status) == 64 ? '.' : WEXITSTATUS(status) == ENOSYS ? 'N' : (char)('0' + WEXITSTATUS(status));
}

static void stacks(void)
{
	puts("--- two filters");
	for (unsigned i = 0; i < COUNT(actions); i++) {
		for (unsigned j = 0; j < COUNT(actions); j++)
			putchar(outcome(actions[i], actions[j]));
		putchar('\n');
	}
	printf("%c%c\n", outcome(SECCOMP_RET_ERRNO | 3, SECCOMP_RET_ERRNO | 4), outcome(SECCOMP_RET_ERRNO | 4, SECCOMP_RET_ERRNO | 3));
}

/* The victim's error is what the instructions leave in the accumulator, 12 bits of it. */
static void compute(const char *what, struct sock_filter *code, size_t count)
{
	struct sock_filter all[32] = { LOAD(0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VICTIM, 1, 0), ANSWER(SECCOMP_RET_ALLOW) };
	memcpy(all + 3, code, count * sizeof *code);
	all[3 + count] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff);
	all[4 + count] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO);
	all[5 + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	printf("%s: ", what);
	IN_CHILD(MUST(add_filter(0, all, count + 6)); long got = syscall(VICTIM, 0x1230000000000101, 0x1240000000000102, 0x1250000000000103, 0x1260000000000104,
									   0x1270000000000105, -2L); printf("%ld %d: ", got, errno));
}

#define COMPUTE(...) do { struct sock_filter code_[] = { __VA_ARGS__ }; compute(#__VA_ARGS__, code_, COUNT(code_)); } while (0)
#define A(operation, value) BPF_STMT(BPF_ALU | BPF_##operation | BPF_K, value)
#define AX(operation) BPF_STMT(BPF_ALU | BPF_##operation | BPF_X, 0)
#define SET(value) BPF_STMT(BPF_LD | BPF_IMM, value)
#define SETX(value) BPF_STMT(BPF_LDX | BPF_IMM, value)

static void what_filters_see(void)
{
	puts("--- what a filter sees");
	for (unsigned offset = 0; offset < 64; offset += 4)
		if (offset != 8 && offset != 12) {
			printf("%u: ", offset);
			COMPUTE(LOAD(offset));
		}
	COMPUTE(LOAD(4), A(RSH, 24));
	COMPUTE(LOAD(20), A(RSH, 20));
	COMPUTE(LOAD(12));
	COMPUTE(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0));
	COMPUTE(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0));
	COMPUTE(SET(5), BPF_STMT(BPF_ST, 15), SET(1), BPF_STMT(BPF_LDX | BPF_MEM, 15), AX(ADD));
	COMPUTE(SET(0xffffffff), A(MUL, 0xffffffff), A(ADD, 6), A(SUB, 1));
	COMPUTE(SET(100), SETX(7), AX(DIV));
	COMPUTE(SET(100), SETX(0), AX(DIV));
	COMPUTE(SET(1), SETX(33), AX(LSH), AX(MUL));
	COMPUTE(SET(0x80000000), A(RSH, 28), A(XOR, 3), BPF_STMT(BPF_ALU | BPF_NEG, 0));
	COMPUTE(SET(6), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1), A(ADD, 1), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x80000000, 1, 0), A(ADD, 2), BPF_STMT(BPF_JMP | BPF_JA, 1), A(ADD, 4));
}

/* The instruction is jumped over: it is judged, and does not happen. */
static void accepted(unsigned code, unsigned constant, char *letter)
{
	struct sock_filter program[] = { BPF_STMT(BPF_JMP | BPF_JA, 1), BPF_STMT(code, constant), ANSWER(SECCOMP_RET_ALLOW), ANSWER(SECCOMP_RET_ALLOW) };
	*letter = add_filter(0, program, COUNT(program)) == 0 ? 'x' : '.';
}

static void refused_programs(void)
{
	puts("--- which instructions there are");
	static const unsigned constants[] = { 0, 1, 2, 4, 15, 16, 31, 32, 60, 64, 0xfffff000 };
	for (unsigned code = 0; code < 0x140; code++) {
		char row[COUNT(constants) + 1] = "";
		for (unsigned i = 0; i < COUNT(constants); i++)
			accepted(code, constants[i], row + i);
		if (strchr(row, 'x'))
			printf("%#x %s\n", code, row);
	}
	char letter;
	accepted(0x8020, 0, &letter);
	printf("0x8020 %c\n", letter);
#define REFUSED(...) do { struct sock_filter code_[] = { __VA_ARGS__ }; printf(#__VA_ARGS__ ": "); TRY(add_filter(0, code_, COUNT(code_))); } while (0)
	REFUSED(SET(0));
	REFUSED(ANSWER(0x7fff0000), SET(0));
	REFUSED(BPF_STMT(BPF_LD | BPF_MEM, 3), ANSWER(0x7fff0000));
	REFUSED(BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), ANSWER(0x7fff0000));
	REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), ANSWER(0x7fff0000));
	REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_STX, 3), BPF_STMT(BPF_JMP | BPF_JA, 0), BPF_STMT(BPF_LDX | BPF_MEM, 3), ANSWER(0x7fff0000));
	REFUSED(BPF_STMT(BPF_ST, 3), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), SET(1), BPF_STMT(BPF_LD | BPF_MEM, 3), ANSWER(0x7fff0000));
	REFUSED(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), ANSWER(0x7fff0000));
	REFUSED(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 0), ANSWER(0x7fff0000));
	REFUSED(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), ANSWER(0x7fff0000));
	REFUSED(BPF_STMT(BPF_RET | BPF_X, 0));
}

static void how_many(struct sock_filter *code, size_t count)
{
	int added = 0;
	while (add_filter(0, code, count) == 0)
		added++;
	printf("%d, then %s: ", added, error_name(errno));
}

static struct sock_filter big[4097];

static void limits(void)
{
	puts("--- limits");
	for (int i = 0; i < 4097; i++)
		big[i] = (struct sock_filter)SET(0);
	big[4095] = big[4096] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	big[0] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 4094);
	IN_CHILD(SHOW(add_filter(0, big, 4097)));
	big[0] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 4094 - 1);
	IN_CHILD(how_many(big + 1, 4095));
	IN_CHILD(how_many(big, 4096));
	for (int i = 0; i < 500; i++) {
		big[8 * i + 0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x80000000, 1, 2);
		big[8 * i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2);
		big[8 * i + 2] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 2);
		big[8 * i + 3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 1, 3, 0);
		big[8 * i + 4] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 1, 1, 2);
		big[8 * i + 5] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0xffffffff, 1, 1);
		big[8 * i + 6] = (struct sock_filter)AX(DIV);
		big[8 * i + 7] = (struct sock_filter)AX(XOR);
	}
	big[400] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	for (int i = 401; i < 440; i++)
		big[i] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	IN_CHILD(how_many(big, 440));
	IN_CHILD(how_many(big + 8 * 20, 280));
}

static void errors(void)
{
	puts("--- errors");
	struct sock_filter allow[] = { ANSWER(SECCOMP_RET_ALLOW) };
	struct sock_fprog none = { 0, allow }, nowhere = { 1, 0 }, bad = { 1, (void *)8 }, good = { 1, allow };
	SHOW(syscall(SYS_seccomp, 99, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &good));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x40, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x17, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &nowhere));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, -1L));
	SHOW(prctl(PR_SET_SECCOMP, 0, 0));
	SHOW(prctl(PR_SET_SECCOMP, 3, &good));
	SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0));
	SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &bad));
	for (unsigned i = 0; i < COUNT(actions); i++)
		if (actions[i] != SECCOMP_RET_USER_NOTIF) {
			unsigned action = actions[i] & SECCOMP_RET_ACTION_FULL, with_data = action | 1;
			SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
			SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &with_data));
			SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
		}
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 0));
	IN_CHILD(MUST(setuid(1000)); SHOW(add_filter(0, allow, 1)); SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
		 SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &nowhere)); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); SHOW(add_filter(0, allow, 1)));
	IN_CHILD(SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &good, 5, 6)); SHOW(prctl(PR_GET_SECCOMP)); SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		 SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0)); SHOW(add_filter(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, allow, 1)));
}

static void strict(void)
{
	puts("--- strict mode");
	IN_CHILD(SHOW(prctl(PR_GET_SECCOMP)); MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 7)); write(1, "strict\n", 7); syscall(SYS_exit, 5));
	IN_CHILD(MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0)); victim());
	IN_CHILD(MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)); _exit(5));
	IN_CHILD(MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)); prctl(PR_GET_SECCOMP));
	IN_CHILD(signal(SIGALRM, on_alarm); struct itimerval soon = { { 0, 0 }, { 0, 20000 } }; MUST(setitimer(ITIMER_REAL, &soon, 0));
		 MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)); while (!flag) ; write(1, "handled\n", 8); syscall(SYS_exit, 6));
}

static void inheritance(char *self)
{
	puts("--- inheritance");
	show_lines("/proc/self/status", "Seccomp");
	IN_CHILD(MUST(answer_call(0, VICTIM, SECCOMP_RET_ERRNO | 7)); MUST(answer_call(0, SYS_getgid, SECCOMP_RET_ERRNO | 8));
		 show_lines("/proc/self/status", "Seccomp"); SHOW(prctl(PR_GET_SECCOMP));
		 IN_CHILD(SHOW(victim()); MUST(answer_call(0, VICTIM, SECCOMP_RET_TRAP)); show_lines("/proc/self/status", "Seccomp"));
		 SHOW(victim()); fflush(stdout); execl(self, self, "again", NULL));
	puts("the vDSO is no system call");
	IN_CHILD(MUST(answer_call(0, SYS_clock_gettime, SECCOMP_RET_KILL_PROCESS)); struct timespec now; SHOW(clock_gettime(CLOCK_REALTIME_COARSE, &now)));
}

/* A setting, without the action of which not every kernel has its part. */
static void show_names(const char *path)
{
	char text[256] = "";
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	printf("%s:%s", path, got > 0 && text[got - 1] == '\n' ? "" : " no line");
	for (char *name = strtok(text, "\n "); name; name = strtok(NULL, "\n "))
		if (strcmp(name, "user_notif"))
			printf(" %s", name);
	putchar('\n');
}

static void log_names(const char *text)
{
	int fd = (int)MUST(open("/proc/sys/kernel/seccomp/actions_logged", O_WRONLY));
	printf("\"%s\" ", text);
	TRY(write(fd, text, strlen(text)));
	close(fd);
	show_names("/proc/sys/kernel/seccomp/actions_logged");
}

static void settings(void)
{
	puts("--- settings");
	show_names("/proc/sys/kernel/seccomp/actions_avail");
	show_names("/proc/sys/kernel/seccomp/actions_logged");
	TRY(open("/proc/sys/kernel/seccomp/actions_avail", O_WRONLY));
	log_names("errno  kill_thread log");
	log_names("trap\nlog");
	log_names("trap allow");
	log_names("trap nonsense");
	log_names(" ");
	int fd = (int)MUST(open("/proc/sys/kernel/seccomp/actions_logged", O_WRONLY));
	IN_CHILD(MUST(setuid(1000)); SHOW(write(fd, "log", 3)));
	log_names("kill_process kill_thread trap errno trace log");
}

int main(int count, char **arguments)
{
	if (count > 1) {
		SHOW(victim());
		show_lines("/proc/self/status", "Seccomp");
		return 0;
	}
	every_action();
	stacks();
	what_filters_see();
	IN_CHILD(refused_programs());
	limits();
	errors();
	strict();
	inheritance(arguments[0]);
	settings();
	return 0;
}
