/* A pseudo terminal as controlling terminal: sessions, job control, SIGWINCH, keys, what a hang-up sends to whom. */
#include "case.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int report; /* a pipe to the parent: what the session says does not go through its terminal */

static void say(const char *text)
{
	write(report, text, strlen(text));
}

static volatile int signals;

static void caught(int signal)
{
	signals++;
	char text[32];
	snprintf(text, sizeof text, "signal %d\n", signal);
	say(text);
}

/* The signal is blocked but while wait_for_signals() sleeps, so that none comes too early. */
static void catch(int signal)
{
	struct sigaction action = { .sa_handler = caught };
	sigset_t set;
	sigaction(signal, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void wait_for_signals(int count)
{
	sigset_t none;
	sigemptyset(&none);
	while (signals < count)
		sigsuspend(&none);
}

/* Start `body` as the leader of a session with a terminal; show what it says until it ends. */
static int session(void (*body)(void), int *out, pid_t *leader)
{
	int m, p[2];
	MUST(pipe(p));
	fflush(stdout);
	*leader = MUST(forkpty(&m, NULL, NULL, NULL));
	if (*leader == 0) {
		report = p[1];
		close(p[0]);
		body();
		_exit(0);
	}
	close(p[1]);
	*out = p[0];
	return m;
}

static void expect(int fd, const char *what)
{
	char b[256];
	size_t n = 0;
	while (n < sizeof b - 1 && read(fd, b + n, 1) == 1)
		if (b[n++] == '\n')
			break;
	b[n] = 0;
	printf("%s: %s%s", what, b, n ? "" : "end\n");
}

static void keys(void)
{
	catch(SIGINT);
	catch(SIGQUIT);
	catch(SIGTSTP);
	catch(SIGWINCH);
	char text[100];
	int fd = open("/dev/tty", O_RDWR);
	snprintf(text, sizeof text, "tty %d, group is mine %d, session is mine %d\n", fd >= 0, tcgetpgrp(0) == getpgrp(),
		 tcgetsid(0) == getpid());
	say(text);
	wait_for_signals(5);
}

static void test_keys(void)
{
	int out;
	pid_t leader;
	int m = session(keys, &out, &leader);
	expect(out, "leader");
	pid_t group = 0;
	MUST(ioctl(m, TIOCGPGRP, &group));
	CHECK(group == leader);
	group = 0;
	MUST(ioctl(m, TIOCGSID, &group));
	CHECK(group == leader);
	SHOW(ioctl(m, TIOCSPGRP, &group));
	MUST(write(m, "\003", 1));
	expect(out, "^C");
	MUST(write(m, "\034", 1));
	expect(out, "^\\");
	MUST(write(m, "\032", 1));
	expect(out, "^Z");
	struct winsize w = { 40, 90, 0, 0 };
	MUST(ioctl(m, TIOCSWINSZ, &w));
	expect(out, "window");
	MUST(ioctl(m, TIOCSWINSZ, &w)); /* nothing new: no signal */
	SHOW(ioctl(m, 0x40045436, SIGKILL));
	SHOW(ioctl(m, 0x40045436, SIGINT));
	expect(out, "TIOCSIG");
	expect(out, "end");
	show_end(leader);
	close(m);
	close(out);
}

static void waits(void)
{
	catch(SIGHUP);
	catch(SIGCONT);
	fflush(stdout);
	pid_t background = fork();
	if (background == 0) { /* a background job in a group of its own hears of nothing */
		setpgid(0, 0);
		say("background\n");
		signal(SIGALRM, SIG_DFL);
		alarm(3);
		wait_for_signals(2);
		_exit(0);
	}
	until_asleep(background);
	pid_t job = fork();
	if (job == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(0, getpgrp());
		say("job in the foreground\n");
		wait_for_signals(2);
		_exit(0);
	}
	wait_for_signals(2);
	char b[10];
	int n = read(0, b, 10);
	char text[64];
	snprintf(text, sizeof text, "read %d, write %d %s\n", n, (int)write(1, "x", 1), error_name(errno));
	say(text);
	snprintf(text, sizeof text, "/dev/tty: %s\n", open("/dev/tty", O_RDWR) < 0 ? error_name(errno) : "open");
	say(text);
}

static void test_hang_up(void)
{
	int out;
	pid_t leader;
	int m = session(waits, &out, &leader);
	expect(out, "session");
	expect(out, "session");
	sleep_ms(200);
	close(m);
	for (int i = 0; i < 7; i++)
		expect(out, "after hang-up");
	show_end(leader);
	close(out);
}

static void background(void)
{
	char text[100];
	int status;
	signal(SIGTTOU, SIG_IGN);
	pid_t job = fork();
	if (job == 0) {
		setpgid(0, 0);
		char b;
		read(0, &b, 1);
		say("job has read\n");
		_exit(5);
	}
	waitpid(job, &status, WUNTRACED);
	snprintf(text, sizeof text, "stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	say(text);
	tcsetpgrp(0, job);
	kill(-job, SIGCONT);
	say("continued\n");
	waitpid(job, &status, WUNTRACED);
	snprintf(text, sizeof text, "exited %d\n", WEXITSTATUS(status));
	say(text);
	tcsetpgrp(0, getpgrp());
	struct termios t;
	tcgetattr(0, &t);
	t.c_lflag |= TOSTOP;
	tcsetattr(0, TCSANOW, &t);
	job = fork();
	if (job == 0) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		write(1, "x", 1);
		_exit(0);
	}
	waitpid(job, &status, WUNTRACED);
	snprintf(text, sizeof text, "stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
	say(text);
	kill(-job, SIGKILL);
	waitpid(job, &status, 0);
	snprintf(text, sizeof text, "TIOCNOTTY %d\n", ioctl(0, TIOCNOTTY));
	signal(SIGHUP, SIG_IGN);
	say(text);
	snprintf(text, sizeof text, "TIOCSCTTY %d\n", ioctl(0, TIOCSCTTY, 0));
	say(text);
}

static void test_background(void)
{
	int out;
	pid_t leader;
	signal(SIGHUP, SIG_IGN);
	int m = session(background, &out, &leader);
	expect(out, "session");
	expect(out, "session");
	MUST(write(m, "line\n", 5));
	for (int i = 0; i < 6; i++)
		expect(out, "session");
	show_end(leader);
	char b[64];
	ssize_t n = read(m, b, sizeof b);
	printf("echo %zd, then ", n);
	n = read(m, b, sizeof b);
	printf("%zd %s\n", n, n < 0 ? error_name(errno) : "");
	close(m);
	close(out);
}

int main(void)
{
	signal(SIGALRM, SIG_DFL);
	alarm(200);
	test_keys();
	test_hang_up();
	test_background();
	return 0;
}
