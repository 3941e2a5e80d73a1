/* Covers: uretprobe(2) by callers that are not a probe's trampoline: SIGILL, handled, ignored, blocked, and by default.
 * */
#include "case.h"

#define URETPROBE 335

static volatile int seen, code;

static void handler(int number, siginfo_t *info, void *context)
{
	seen++;
	code = info->si_code;
	printf("signal %d, code %d, errno %d\n", number, info->si_code, info->si_errno);
}

static void with(void (*action)(int))
{
	signal(SIGILL, action);
	syscall(URETPROBE);
	printf("went on\n");
}

static void blocked(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGILL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	syscall(URETPROBE);
	printf("went on\n");
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	MUST(sigaction(SIGILL, &action, NULL));
	SHOW(syscall(URETPROBE));
	SHOW(syscall(URETPROBE, 1, 2, 3, 4, 5, 6));
	printf("%d signals\n", seen);
	IN_CHILD(blocked());
	IN_CHILD(with(SIG_IGN));
	IN_CHILD(with(SIG_DFL));
	return 0;
}
