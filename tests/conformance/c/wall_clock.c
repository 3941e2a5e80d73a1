/* Covers: what follows the wall clock when that is set: timers of each kind, sleeps, futexes, message queues; and what does not. Times of files and
 * CLOCK_REALTIME_COARSE. */
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include "case.h"

#define CANCEL_ON_SET 2

static long clock_ms(clockid_t clock)
{
	struct timespec t;
	MUST(clock_gettime(clock, &t));
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void shift(long ms)
{
	struct timespec t;
	MUST(clock_gettime(CLOCK_REALTIME, &t));
	long ns = t.tv_nsec + ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
	t.tv_nsec = (ns + 1000000000) % 1000000000;
	MUST(clock_settime(CLOCK_REALTIME, &t));
}

static void shift_by_adjtimex(long seconds)
{
	struct timex change = { .modes = 0x100, .time = { seconds, 0 } };
	TRY(adjtimex(&change) < 0 ? -1 : 0);
}

static struct timespec after(clockid_t clock, long ms)
{
	struct timespec t;
	MUST(clock_gettime(clock, &t));
	t.tv_sec += (t.tv_nsec / 1000000 + ms) / 1000;
	t.tv_nsec = (t.tv_nsec / 1000000 + ms) % 1000 * 1000000;
	return t;
}

/* A wait that does not follow the clock is short, and shall not become long; of one that follows it, a clock that goes back makes it longer, and a
 * clock that goes forward ends it. So the clock moves by little, a minute or two, whichever tells the answers apart on a host of any speed.
 */
struct moves { long wait_ms, move_ms, border_ms; const char *below, *above; };
static const struct moves FOLLOWS[] = { { 300, -500, 780, "as it was", "later" }, { 60000, 120000, 30000, "at once", "as it was" } };
static const struct moves STAYS[] = { { 300, -60000, 30000, "as it was", "later" }, { 300, 10000, 290, "at once", "as it was" } };

/* Whether the clock was moved when the wait was over already, as the host stood still: that tells nothing, so it is done again. */
#define ATTEMPTS 50
static int was_late(const struct moves *moves, long begun)
{
	return clock_ms(CLOCK_MONOTONIC) - begun >= moves->wait_ms;
}

static const char *compare(const struct moves *moves, long took_ms)
{
	return took_ms < 0 ? error_name(-took_ms) : took_ms < moves->border_ms ? moves->below : moves->above;
}

enum kind { SLEEP, RELATIVE_SLEEP, FUTEX, FUTEX_PI, FUTEX2, RECEIVE, SEND, CONDITION, MUTEX, SEMAPHORE, KINDS };
static const char *kinds[] = { "clock_nanosleep", "relative clock_nanosleep", "FUTEX_WAIT_BITSET", "FUTEX_LOCK_PI", "futex_wait", "mq_timedreceive",
			       "mq_timedsend", "pthread_cond_timedwait", "pthread_mutex_timedlock", "FUTEX_WAIT, relative" };
static mqd_t queue;
static int word, locked;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, taken = PTHREAD_MUTEX_INITIALIZER;
static long ended_ms, result;
static volatile int waits;

static long wait_until(enum kind kind, struct timespec end)
{
	char byte = 0;
	struct timespec relative = { 0, 300000000 };
	switch (kind) {
	case SLEEP: return -clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &end, NULL);
	case RELATIVE_SLEEP: return -clock_nanosleep(CLOCK_REALTIME, 0, &relative, NULL);
	case FUTEX: return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &end, NULL, FUTEX_BITSET_MATCH_ANY) ? -errno : 0;
	case FUTEX_PI: return syscall(SYS_futex, &locked, FUTEX_LOCK_PI, 0, &end, NULL, 0) ? -errno : 0;
	case FUTEX2: return syscall(455, &word, 0L, 0xffffffffL, 2 | 128, &end, CLOCK_REALTIME) ? -errno : 0;
	case RECEIVE: return mq_timedreceive(queue, &byte, 1, NULL, &end) < 0 ? -errno : 0;
	case SEND: return mq_timedsend(queue, "x", 1, 0, &end) < 0 ? -errno : 0;
	case CONDITION: pthread_mutex_lock(&mutex); long code = -pthread_cond_timedwait(&condition, &mutex, &end); pthread_mutex_unlock(&mutex); return code;
	case MUTEX: return -pthread_mutex_timedlock(&taken, &end);
	default: return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &relative) ? -errno : 0;
	}
}

/* The C library waits for conditions and mutexes for the time that is left. */
static int follows_the_clock(enum kind kind)
{
	return kind != RELATIVE_SLEEP && kind != CONDITION && kind != MUTEX && kind != SEMAPHORE;
}

static enum kind chosen;

static void *waiter(void *end)
{
	waits = 1;
	result = wait_until(chosen, *(struct timespec *)end);
	ended_ms = clock_ms(CLOCK_MONOTONIC);
	return NULL;
}

static void waits_of_each_kind(void)
{
	struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 1 };
	queue = (mqd_t)MUST(mq_open("/wall", O_RDWR | O_CREAT | O_EXCL, 0600, &attributes));
	locked = getpid();
	pthread_mutex_lock(&taken);
	for (chosen = 0; chosen < KINDS; chosen++) {
		for (int forward = 0; forward < 2; forward++) {
			const struct moves *moves = &(follows_the_clock(chosen) ? FOLLOWS : STAYS)[forward];
			long took = 0;
			for (int tries = 0, late = 1; tries < ATTEMPTS && late; tries++) {
				pthread_t thread;
				if (chosen == SEND)
					MUST(mq_send(queue, "x", 1, 0));
				long begun = clock_ms(CLOCK_MONOTONIC);
				struct timespec end = after(CLOCK_REALTIME, moves->wait_ms);
				waits = 0;
				pthread_create(&thread, NULL, waiter, &end);
				while (!waits)
					sleep_ms(1);
				sleep_ms(100);
				shift(moves->move_ms);
				late = was_late(moves, begun);
				pthread_join(thread, NULL);
				took = ended_ms - begun;
				shift(-moves->move_ms);
				char byte;
				if (chosen == SEND)
					mq_receive(queue, &byte, 1, NULL);
			}
			printf("%s, %s: %s, %s\n", kinds[chosen], forward ? "forward" : "back", result ? error_name(-result) : "ok", compare(moves, took));
		}
	}
	mq_close(queue);
	mq_unlink("/wall");
}

static long elapsed_until_readable(int fd, long begun, long limit)
{
	unsigned long count;
	while (clock_ms(CLOCK_MONOTONIC) - begun < limit) {
		ssize_t n = read(fd, &count, sizeof count);
		if (n == 8 || errno != EAGAIN)
			return n == 8 ? clock_ms(CLOCK_MONOTONIC) - begun : -errno;
		sleep_ms(5);
	}
	return LONG_MAX;
}

static void descriptors(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };
	for (int i = 0; i < 3; i++)
		for (int flags = 0; flags < 4; flags++) {
			int fd = (int)MUST(timerfd_create(clocks[i], TFD_NONBLOCK));
			printf("timerfd of clock %d, flags %d\n", clocks[i], flags);
			for (int forward = 0; forward < 2; forward++) {
				const struct moves *moves = &(clocks[i] == CLOCK_REALTIME && flags & 1 ? FOLLOWS : STAYS)[forward];
				struct itimerspec value = { { 0, 0 }, { 0, moves->wait_ms * 1000000 } };
				long took = 0;
				for (int tries = 0, late = 1; tries < ATTEMPTS && late; tries++) {
					long begun = clock_ms(CLOCK_MONOTONIC);
					if (flags & 1)
						value.it_value = after(clocks[i], moves->wait_ms);
					if (tries == 0)
						SHOW(timerfd_settime(fd, flags, &value, NULL));
					else
						MUST(timerfd_settime(fd, flags, &value, NULL));
					shift(moves->move_ms);
					late = was_late(moves, begun);
					took = elapsed_until_readable(fd, begun, 100000);
					shift(-moves->move_ms);
				}
				printf("%s: %s\n", forward ? "forward" : "back", compare(moves, took));
			}
			close(fd);
		}
	int fd = (int)MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	struct itimerspec value = { { 0, 0 }, { 0, 0 } };
	value.it_value = after(CLOCK_REALTIME, 100000);
	MUST(timerfd_settime(fd, 3, &value, NULL));
	shift_by_adjtimex(50);
	unsigned long count;
	SHOW(read(fd, &count, sizeof count));
	SHOW(timerfd_settime(fd, 3, &value, NULL));
	shift_by_adjtimex(-50);
	SHOW(timerfd_settime(fd, 3, &value, NULL));
	struct timezone zone = { 0, 0 };
	TRY(settimeofday(NULL, &zone));
	SHOW(read(fd, &count, sizeof count));
	close(fd);
}

static void arm(timer_t timer, clockid_t clock, int absolute, long ms)
{
	struct itimerspec value = { { 0, 0 }, { ms / 1000, ms % 1000 * 1000000 } };
	if (absolute)
		value.it_value = after(clock, ms);
	MUST(timer_settime(timer, absolute ? TIMER_ABSTIME : 0, &value, NULL));
}

static void signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC };
	for (int i = 0; i < 2; i++)
		for (int absolute = 0; absolute < 2; absolute++)
			for (int forward = 0; forward < 2; forward++) {
				timer_t timer;
				struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
				MUST(timer_create(clocks[i], &event, &timer));
				const struct moves *moves = &(clocks[i] == CLOCK_REALTIME && absolute ? FOLLOWS : STAYS)[forward];
				printf("timer of clock %d, %s, %s: ", clocks[i], absolute ? "absolute" : "relative", forward ? "forward" : "back");
				arm(timer, clocks[i], absolute, 600000);
				struct itimerspec left;
				long far_ms = forward ? 300000 : -300000;
				shift(far_ms);
				MUST(timer_gettime(timer, &left));
				printf("left %s; ", left.it_value.tv_sec > 750 ? "more" : left.it_value.tv_sec > 450 ? "as it was" : "less");
				shift(-far_ms);
				long took = 0;
				for (int tries = 0, late = 1; tries < ATTEMPTS && late; tries++) {
					long begun = clock_ms(CLOCK_MONOTONIC);
					arm(timer, clocks[i], absolute, moves->wait_ms);
					shift(moves->move_ms);
					late = was_late(moves, begun);
					MUST(sigwaitinfo(&set, NULL));
					took = clock_ms(CLOCK_MONOTONIC) - begun;
					shift(-moves->move_ms);
				}
				puts(compare(moves, took));
				timer_delete(timer);
			}
}

static void coarse(void)
{
	int before = 0, far = 0, fine = 0;
	for (int i = 0; i < 300; i++) {
		struct timespec coarse, after, exact, begun;
		struct stat s;
		MUST(clock_gettime(CLOCK_REALTIME, &begun));
		MUST(clock_gettime(CLOCK_REALTIME_COARSE, &coarse));
		int fd = (int)MUST(open("/tmp/coarse", O_WRONLY | O_CREAT | O_TRUNC, 0600));
		write(fd, "x", 1);
		MUST(fstat(fd, &s));
		close(fd);
		MUST(syscall(SYS_clock_gettime, CLOCK_REALTIME_COARSE, &after));
		MUST(clock_gettime(CLOCK_REALTIME, &exact));
		long mtime = s.st_mtim.tv_sec * 1000000000L + s.st_mtim.tv_nsec;
		before += mtime < coarse.tv_sec * 1000000000L + coarse.tv_nsec;
		before += after.tv_sec * 1000000000L + after.tv_nsec < mtime;
		far += begun.tv_sec * 1000000000L + begun.tv_nsec - mtime > 100000000L;
		fine += exact.tv_sec * 1000000000L + exact.tv_nsec < mtime;
		unlink("/tmp/coarse");
		usleep(300);
	}
	printf("times of files: %d before the coarse clock, %d far from the other, %d behind it\n", before, far, fine);
	int back = 0;
	struct timespec last = { 0, 0 };
	for (int i = 0; i < 20000; i++) {
		struct timespec now;
		if (i & 1)
			clock_gettime(CLOCK_REALTIME_COARSE, &now);
		else
			syscall(SYS_clock_gettime, CLOCK_REALTIME_COARSE, &now);
		back += now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
		last = now;
	}
	printf("%d times back\n", back);
}

int main(void)
{
	waits_of_each_kind();
	descriptors();
	signals();
	coarse();
	return 0;
}
