/* Covers: futex FUTEX_WAIT FUTEX_WAKE FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP, private and shared, timeouts, errors; set_robust_list; set_tid_address. */
#include <linux/futex.h>
#include <sched.h>
#include "case.h"

static long futex(int *word, int op, int value, void *timeout, int *second, int third)
{
	return syscall(SYS_futex, word, op, value, timeout, second, third);
}

int main(void)
{
	int word = 5;
	struct timespec soon = { 0, 20000000 }, wrong = { 0, -1 }, past = { 0, 0 };
	SHOW(futex(&word, FUTEX_WAIT, 4, 0, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT, 5, &soon, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &soon, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT, 5, &wrong, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, 0, -1));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, 0, -1));
	SHOW(futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
	SHOW(futex(&word, FUTEX_WAKE_BITSET, 1, 0, 0, 0));
	SHOW(futex((int *)((char *)&word + 1), FUTEX_WAKE, 1, 0, 0, 0));
	SHOW(futex((int *)8, FUTEX_WAIT, 0, 0, 0, 0));
	SHOW(futex((int *)8, FUTEX_WAKE, 0, 0, 0, 0));
	SHOW(futex((int *)8, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0, 0, 0, 0));
	SHOW(futex(&word, FUTEX_WAIT, 5, (void *)8, 0, 0));
	SHOW(futex(&word, 99, 5, 0, 0, 0));
	SHOW(futex((int *)0xffffffff80000000, FUTEX_WAIT, 0, 0, 0, 0));

	/* Between processes, in shared memory. */
	int *shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[4];
	for (int i = 0; i < 4; i++)
		if ((children[i] = fork()) == 0)
			_exit(futex(&shared[0], FUTEX_WAIT, 0, 0, 0, 0) == 0 ? 0 : 1);
	for (int i = 0; i < 4; i++)
		until_asleep(children[i]);
	SHOW(futex(&shared[0], FUTEX_WAKE, 1, 0, 0, 0));
	SHOW(futex(&shared[0], FUTEX_CMP_REQUEUE, 1, (void *)1, &shared[1], 99));
	SHOW(futex(&shared[0], FUTEX_CMP_REQUEUE, 1, (void *)1, &shared[1], 0));
	SHOW(futex(&shared[1], FUTEX_WAKE, 10, 0, 0, 0));
	SHOW(futex(&shared[0], FUTEX_WAKE, 10, 0, 0, 0));
	for (int i = 0; i < 4; i++)
		show_end(children[i]);
	for (int i = 0; i < 2; i++)
		if ((children[i] = fork()) == 0)
			_exit(futex(&shared[i], FUTEX_WAIT, 0, 0, 0, 0) == 0 ? 0 : 1);
	for (int i = 0; i < 2; i++)
		until_asleep(children[i]);
	/* Wake one at the first word; add 1 to the second, and wake one there if it was 0 before. */
	SHOW(futex(&shared[0], FUTEX_WAKE_OP, 1, (void *)1, &shared[1], FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)));
	printf("second word %d\n", shared[1]);
	for (int i = 0; i < 2; i++)
		show_end(children[i]);
	shared[1] = 0;
	children[0] = fork();
	if (children[0] == 0)
		_exit(futex(&shared[0], FUTEX_WAIT_BITSET, 0, 0, 0, 4) == 0 ? 0 : 1);
	until_asleep(children[0]);
	SHOW(futex(&shared[0], FUTEX_WAKE_BITSET, 1, 0, 0, 3));
	SHOW(futex(&shared[0], FUTEX_WAKE_BITSET, 1, 0, 0, 6));
	show_end(children[0]);
	children[0] = fork();
	if (children[0] == 0) {
		futex(&shared[0], FUTEX_WAIT, 0, 0, 0, 0);
		_exit(0);
	}
	until_asleep(children[0]);
	kill(children[0], SIGTERM);
	show_end(children[0]);
	SHOW(syscall(SYS_set_robust_list, &word, 24));
	SHOW(syscall(SYS_set_robust_list, &word, 1));
	CHECK(syscall(SYS_set_tid_address, &word) == getpid());
	SHOW(sched_yield());
	return 0;
}
