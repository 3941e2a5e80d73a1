/* POSIX message queues: attributes and limits, priorities, waiting and its time limits, notification by signal and by
 * thread, the mounted file system, permissions and errors (mq_overview(7), mq_open(3), mq_send(3), mq_receive(3),
 * mq_notify(3), mq_getattr(3), mq_unlink(3)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/resource.h>

static char text[10000];

static void show_attributes(const char *what, mqd_t q)
{
	struct mq_attr a;
	if (mq_getattr(q, &a))
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: flags %#lx, %ld of %ld messages of %ld bytes\n", what, a.mq_flags, a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize);
}

static mqd_t make(const char *name, int flags, long count, long size)
{
	struct mq_attr a = { .mq_flags = O_NONBLOCK, .mq_maxmsg = count, .mq_msgsize = size };
	mqd_t q = mq_open(name, flags, 0666, &a);
	printf("open %s %ld x %ld: %s\n", name, count, size, q == (mqd_t)-1 ? error_name(errno) : "ok");
	return q;
}

static void get(mqd_t q, size_t size)
{
	unsigned priority = 99;
	ssize_t n = mq_receive(q, text, size, &priority);
	if (n < 0)
		printf("receive: %s\n", error_name(errno));
	else
		printf("receive: priority %u \"%.*s\"\n", priority, (int)n, text);
}

static int in_ms(long ms, struct timespec *t)
{
	clock_gettime(CLOCK_REALTIME, t);
	t->tv_nsec += ms * 1000000;
	t->tv_sec += t->tv_nsec / 1000000000;
	t->tv_nsec %= 1000000000;
	return 0;
}

static void opening(void)
{
	SHOW(mq_open("/none", O_RDWR));
	SHOW(mq_open("/", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(mq_open("/..", O_RDWR | O_CREAT, 0600, NULL));
	memset(text, 'n', 300);
	text[0] = '/';
	text[257] = 0;
	SHOW(mq_open(text, O_RDWR | O_CREAT, 0600, NULL));
	text[256] = 0;
	mqd_t longest = (mqd_t)MUST(mq_open(text, O_RDWR | O_CREAT, 0600, NULL));
	show_attributes("default", longest);
	MUST(mq_close(longest));
	SHOW(mq_unlink(text));
	SHOW(mq_unlink(text));
	SHOW(syscall(SYS_mq_open, (void *)8, O_RDWR, 0, 0));
	SHOW(syscall(SYS_mq_open, "x", O_RDWR | O_CREAT, 0600, (void *)8));
	make("/x", O_RDWR | O_CREAT, 0, 8);
	make("/x", O_RDWR | O_CREAT, -1, 8);
	make("/x", O_RDWR | O_CREAT, 8, 0);
	make("/x", O_RDWR | O_CREAT, 65537, 8);
	make("/x", O_RDWR | O_CREAT, 8, (16 << 20) + 1);
	make("/x", O_RDWR | O_CREAT, 1, 16 << 20);
	make("/x", O_RDWR | O_CREAT, 9000, 8);
	mqd_t q = make("/x", O_RDWR | O_CREAT, 4, 20);
	make("/x", O_RDWR | O_CREAT | O_EXCL, 4, 20);
	close(make("/x", O_RDWR, 0, 0));
	SHOW(mq_open("/x", 3));
	show_attributes("new", q);
	printf("cloexec %d, flags %#x\n", fcntl(q, F_GETFD), fcntl(q, F_GETFL));
	struct mq_attr a = { .mq_flags = O_NONBLOCK, .mq_maxmsg = 99 }, before;
	SHOW(mq_setattr(q, &a, &before));
	printf("before: flags %#lx\n", before.mq_flags);
	show_attributes("after", q);
	a.mq_flags = O_APPEND;
	SHOW(mq_setattr(q, &a, NULL));
	a.mq_flags = 0;
	SHOW(mq_setattr(q, &a, NULL));
	SHOW(mq_getattr(0, &a));
	SHOW(mq_getattr(99, &a));
	SHOW(syscall(SYS_mq_getsetattr, q, 0, (void *)8));
	struct stat st;
	MUST(fstat(q, &st));
	printf("mode %o size %ld links %lu\n", st.st_mode, (long)st.st_size, (unsigned long)st.st_nlink);
	SHOW(write(q, "x", 1));
	MUST(mq_close(q));
	SHOW(mq_unlink("/x"));
	IN_CHILD(
		MUST(setuid(1000));
		make("/mine", O_RDWR | O_CREAT, 11, 8);
		make("/mine", O_RDWR | O_CREAT, 10, 8193);
		make("/mine", O_RDWR | O_CREAT, 10, 8192);
		make("/other", O_RDWR | O_CREAT, 10, 8192);
		for (int i = 3; i < 12; i++) {
			char name[16];
			sprintf(name, "/other%d", i);
			make(name, O_RDWR | O_CREAT, 10, 8192);
			mq_unlink(name);
		}
		mq_unlink("/mine");
		mq_unlink("/other");
		struct rlimit none = { 0, 0 };
		MUST(setrlimit(RLIMIT_MSGQUEUE, &none));
		make("/mine", O_RDWR | O_CREAT, 1, 8);
	);
	q = make("/roots", O_RDWR | O_CREAT, 1, 8);
	MUST(fchmod(q, 0604));
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		SHOW(mq_open("/roots", O_RDWR));
		SHOW(mq_open("/roots", O_WRONLY));
		TRY(mq_open("/roots", O_RDONLY));
		SHOW(mq_unlink("/roots"));
	);
	MUST(mq_unlink("/roots"));
	close(q);
}

static void on_alarm(int signal) { (void)signal; }

static void messages(void)
{
	mqd_t q = make("/m", O_RDWR | O_CREAT, 4, 20), w = (mqd_t)MUST(mq_open("/m", O_WRONLY | O_NONBLOCK)),
	      r = (mqd_t)MUST(mq_open("/m", O_RDONLY | O_NONBLOCK));
	get(r, 20);
	SHOW(mq_send(w, "low", 3, 1));
	SHOW(mq_send(w, "high", 4, 32767));
	SHOW(mq_send(w, "low too", 7, 1));
	SHOW(mq_send(w, "", 0, 5));
	SHOW(mq_send(w, "full", 4, 5));
	struct pollfd p[2] = { { w, POLLOUT | POLLIN, 0 }, { r, POLLOUT | POLLIN, 0 } };
	SHOW(poll(p, 2, 0));
	printf("revents %#x %#x\n", p[0].revents, p[1].revents);
	show_attributes("four", q);
	char line[100];
	memset(line, 0, sizeof line);
	SHOW(pread(r, line, 99, 0));
	printf("%s", line);
	get(r, 19);
	for (int i = 0; i < 5; i++)
		get(r, 20);
	SHOW(poll(p, 2, 0));
	printf("revents %#x %#x\n", p[0].revents, p[1].revents);
	SHOW(mq_send(w, "x", 1, 32768));
	SHOW(mq_send(w, text, 21, 0));
	SHOW(mq_send(r, "x", 1, 0));
	get(w, 20);
	SHOW(mq_send(0, "x", 1, 0));
	SHOW(mq_send(w, (void *)8, 1, 0));
	SHOW(mq_send(w, "good", 4, 3));
	SHOW(syscall(SYS_mq_timedreceive, r, (void *)8, 20, 0, 0));
	get(r, 20);
	struct timespec t;
	SHOW(mq_timedreceive(q, text, 20, 0, &(struct timespec){ 0, 1000000000 }));
	SHOW(mq_timedreceive(q, text, 20, 0, &(struct timespec){ -1, 0 }));
	SHOW(mq_timedreceive(q, text, 20, 0, &(struct timespec){ 1, 0 }));
	SHOW(syscall(SYS_mq_timedreceive, q, text, 20, 0, (void *)8));
	SHOW((in_ms(50, &t), mq_timedreceive(q, text, 20, 0, &t)));
	for (int i = 0; i < 4; i++)
		MUST(mq_send(q, "fill", 4, 1));
	SHOW((in_ms(50, &t), mq_timedsend(q, "fifth", 5, 2, &t)));
	show_attributes("still four", q);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (!child)
		_exit(mq_send(q, "waited", 6, 9) ? errno : 0);
	until_asleep(child);
	SHOW(waitpid(child, 0, WNOHANG));
	get(q, 20);
	show_end(child);
	for (int i = 0; i < 4; i++)
		get(r, 20);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (!child) {
		get(q, 20);
		fflush(stdout);
		_exit(0);
	}
	until_asleep(child);
	MUST(mq_send(q, "handed over", 11, 4));
	show_end(child);
	struct sigaction act = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &act, 0);
	ualarm(30000, 30000);
	get(q, 20);
	ualarm(0, 0);
	IN_CHILD(SHOW(mq_close(q)); SHOW(mq_close(q)));
	SHOW(mq_unlink("/m"));
	SHOW(mq_send(q, "without a name", 14, 0));
	get(q, 20);
	close(q);
	close(w);
	close(r);
}

static volatile sig_atomic_t told;
static void on_message(int signal, siginfo_t *info, void *context)
{
	(void)context;
	told++;
	printf("signal %d, code %d, value %d, from me %d, uid %d\n", signal, info->si_code, info->si_value.sival_int,
	       info->si_pid == getpid(), info->si_uid);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int threads;

static void in_thread(union sigval value)
{
	pthread_mutex_lock(&mutex);
	threads += value.sival_int;
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&mutex);
}

static void notification(void)
{
	mqd_t q = make("/n", O_RDWR | O_CREAT | O_NONBLOCK, 4, 20);
	struct sigaction act = { .sa_sigaction = on_message, .sa_flags = SA_SIGINFO };
	MUST(sigaction(SIGUSR1, &act, 0));
	struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42 };
	SHOW(mq_notify(q, &e));
	SHOW(mq_notify(q, &e));
	IN_CHILD(SHOW(mq_notify(q, &e)); SHOW(mq_notify(q, NULL)));
	char line[100] = "";
	MUST(pread(q, line, 99, 0));
	printf("%.42s\n", line);
	SHOW(mq_send(q, "one", 3, 0));
	SHOW(mq_send(q, "two", 3, 0));
	printf("told %d times\n", told);
	SHOW(mq_notify(q, &e));
	SHOW(mq_send(q, "three", 5, 0));
	printf("told %d times\n", told);
	for (int i = 0; i < 3; i++)
		get(q, 20);
	SHOW(mq_notify(q, NULL));
	SHOW(mq_notify(q, NULL));
	SHOW(mq_send(q, "four", 4, 0));
	get(q, 20);
	printf("told %d times\n", told);
	e.sigev_signo = 65;
	SHOW(mq_notify(q, &e));
	e.sigev_signo = SIGUSR1;
	e.sigev_notify = 9;
	SHOW(mq_notify(q, &e));
	SHOW(mq_notify(0, NULL));
	SHOW(syscall(SYS_mq_notify, q, (void *)8));
	e.sigev_notify = SIGEV_NONE;
	SHOW(mq_notify(q, &e));
	SHOW(mq_notify(q, &e));
	MUST(mq_notify(q, NULL));
	e.sigev_notify = SIGEV_SIGNAL;
	MUST(mq_notify(q, &e));
	mqd_t again = (mqd_t)MUST(mq_open("/n", O_RDONLY));
	MUST(mq_close(again));
	SHOW(mq_notify(q, &e));
	e.sigev_notify = SIGEV_THREAD;
	e.sigev_notify_function = in_thread;
	e.sigev_value.sival_int = 7;
	SHOW(mq_notify(q, &e));
	SHOW(mq_notify(q, NULL));
	SHOW(mq_notify(q, &e));
	SHOW(mq_send(q, "five", 4, 0));
	pthread_mutex_lock(&mutex);
	while (threads == 0)
		pthread_cond_wait(&condition, &mutex);
	pthread_mutex_unlock(&mutex);
	printf("threads %d\n", threads);
	MUST(mq_unlink("/n"));
	close(q);
}

static void file_system(void)
{
	struct stat st;
	mqd_t q = make("/seen", O_RDWR | O_CREAT, 4, 20);
	MUST(mq_send(q, "12345", 5, 0));
	MUST(mkdir("/tmp/mq", 0755));
	SHOW(mount("none", "/tmp/mq", "mqueue", 0, 0));
	MUST(stat("/tmp/mq", &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	show_file("/tmp/mq/seen");
	int f = (int)MUST(open("/tmp/mq/made", O_RDWR | O_CREAT, 0640));
	close(f);
	mqd_t made = (mqd_t)MUST(mq_open("/made", O_RDWR));
	show_attributes("made by open", made);
	close(made);
	SHOW(mkdir("/tmp/mq/d", 0755));
	SHOW(symlink("x", "/tmp/mq/l"));
	SHOW(rename("/tmp/mq/made", "/tmp/mq/moved"));
	SHOW(link("/tmp/mq/made", "/tmp/mq/linked"));
	fflush(stdout);
	SHOW(system("ls /tmp/mq"));
	SHOW(unlink("/tmp/mq/made"));
	SHOW(mq_open("/made", O_RDWR));
	SHOW(umount("/tmp/mq"));
	MUST(rmdir("/tmp/mq"));
	SHOW(mq_unlink("/seen"));
	close(q);
	show_file("/proc/sys/fs/mqueue/msg_max");
	show_file("/proc/sys/fs/mqueue/msgsize_max");
	show_file("/proc/sys/fs/mqueue/msg_default");
	show_file("/proc/sys/fs/mqueue/msgsize_default");
	show_file("/proc/sys/fs/mqueue/queues_max");
}

int main(void)
{
	umask(0);
	opening();
	messages();
	notification();
	file_system();
	return 0;
}
