/* What each flag of a terminal does to input, echo and output, tried on a pseudo terminal: a table of settings, what is typed at
 * the master, what the slave reads and what the master sees (termios(3), ioctl_tty(2)).
 */
#define _GNU_SOURCE
#include "case.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int m, s;
static struct termios plain;

static void settle(void) { settle_for(10); }

static void show_bytes(const char *what, const char *bytes, ssize_t n)
{
	if (n < 0) {
		printf("  %s: %s\n", what, error_name(errno));
		return;
	}
	printf("  %s: \"", what);
	for (ssize_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c >= 32 && c < 127 && c != '\\')
			putchar(c);
		else
			printf("\\%02x", c);
	}
	printf("\"\n");
}

static void show_read(const char *what, int fd)
{
	char buffer[512];
	struct pollfd p = { fd, POLLIN, 0 };
	if (poll(&p, 1, 0) == 0) {
		printf("  %s: nothing\n", what);
		return;
	}
	show_bytes(what, buffer, read(fd, buffer, sizeof buffer));
}

/* Flags are changed from those of a new terminal: first taken away, then added. */
static struct termios with(tcflag_t in_off, tcflag_t in_on, tcflag_t out_off, tcflag_t out_on, tcflag_t local_off, tcflag_t local_on)
{
	struct termios t = plain;
	t.c_iflag = (t.c_iflag & ~in_off) | in_on;
	t.c_oflag = (t.c_oflag & ~out_off) | out_on;
	t.c_lflag = (t.c_lflag & ~local_off) | local_on;
	return t;
}

static void use(struct termios t)
{
	MUST(tcsetattr(s, TCSANOW, &t));
	MUST(tcflush(s, TCIOFLUSH));
}

static void type_bytes(const char *name, struct termios t, const char *input, size_t n)
{
	printf("%s\n", name);
	use(t);
	MUST(write(m, input, n));
	settle();
	show_read("slave reads", s);
	show_read("and then", s);
	show_read("echo", m);
}
#define TYPE(name, settings, input) type_bytes(name, settings, input, sizeof input - 1)

static void put_bytes(const char *name, struct termios t, const char *output, size_t n)
{
	printf("%s\n", name);
	use(t);
	MUST(write(s, output, n));
	settle();
	show_read("master sees", m);
}
#define PUT(name, settings, output) put_bytes(name, settings, output, sizeof output - 1)

static void input_flags(void)
{
	TYPE("plain line", plain, "hello\n");
	TYPE("two lines", plain, "one\rtwo\r");
	TYPE("no ICRNL", with(ICRNL, 0, 0, 0, 0, 0), "a\rb\n");
	TYPE("INLCR", with(ICRNL, INLCR, 0, 0, 0, 0), "a\nb\r");
	TYPE("IGNCR", with(0, IGNCR, 0, 0, 0, 0), "a\rb\n");
	TYPE("ISTRIP", with(0, ISTRIP, 0, 0, 0, 0), "\xe1\xe2\n");
	TYPE("IUCLC", with(0, IUCLC, 0, 0, 0, IEXTEN), "AbC\n");
	TYPE("IUCLC without IEXTEN", with(0, IUCLC, 0, 0, IEXTEN, 0), "AbC\n");
	TYPE("PARMRK", with(0, PARMRK, 0, 0, ICANON | ECHO, 0), "a\377b");
	TYPE("PARMRK and ISTRIP", with(0, PARMRK | ISTRIP, 0, 0, ICANON | ECHO, 0), "a\377b");
	TYPE("IUTF8 erase", with(0, IUTF8, 0, 0, 0, 0), "a\xc3\xa4\x7f" "b\n");
	TYPE("erase without IUTF8", plain, "a\xc3\xa4\x7f" "b\n");
	TYPE("IUTF8 erase of a wide one", with(0, IUTF8, 0, 0, 0, 0), "\xe2\x82\xac\x7f\n");
}

static void line_editing(void)
{
	TYPE("erase", plain, "abc\x7f\x7f" "d\n");
	TYPE("erase too often", plain, "a\x7f\x7f\x7f" "b\n");
	TYPE("kill", plain, "abc\x15" "d\n");
	TYPE("word erase", plain, "one two  \x17" "three\n");
	TYPE("word erase with marks", plain, "a-b c_d.e\x17\n");
	TYPE("word erase without IEXTEN", with(0, 0, 0, 0, IEXTEN, 0), "one two\x17\n");
	TYPE("reprint", plain, "abc\x12" "d\n");
	TYPE("literal", plain, "a\x16\x03" "b\n");
	TYPE("literal without IEXTEN", with(0, 0, 0, 0, IEXTEN | ISIG, 0), "a\x16\x03" "b\n");
	TYPE("control characters erased", plain, "a\x01\x02\x7f" "b\n");
	TYPE("tab erased", plain, "a\tb\x7f\x7f" "c\n");
	TYPE("tab killed", plain, "ab\tc\x15\n");
	TYPE("end of file", plain, "abc\x04");
	TYPE("end of file in an empty line", plain, "\x04");
	TYPE("two ends of file", plain, "a\x04\x04");
	struct termios t = plain;
	t.c_cc[VEOL] = 'x';
	t.c_cc[VEOL2] = 'y';
	TYPE("VEOL and VEOL2", t, "axbyc\n");
	t.c_lflag &= ~(tcflag_t)IEXTEN;
	TYPE("VEOL2 without IEXTEN", t, "axbyc\n");
	t = plain;
	t.c_cc[VERASE] = 'e';
	t.c_cc[VKILL] = 'k';
	TYPE("other characters", t, "abec\x7f\n");
	TYPE("other kill", t, "abkc\n");
	t.c_cc[VERASE] = _POSIX_VDISABLE;
	TYPE("no erase", t, "ab\x7f\0c\n");
	TYPE("escape of the eraser", plain, "a\\\x7f" "b\n");
}

static void echoes(void)
{
	TYPE("no ECHO", with(0, 0, 0, 0, ECHO, 0), "abc\x7f\n");
	TYPE("no ECHO, ECHONL", with(0, 0, 0, 0, ECHO, ECHONL), "abc\n");
	TYPE("no ECHOE", with(0, 0, 0, 0, ECHOE, 0), "abc\x7f" "d\n");
	TYPE("no ECHOE, ECHOPRT", with(0, 0, 0, 0, ECHOE, ECHOPRT), "abc\x7f\x7f" "d\n");
	TYPE("ECHOPRT", with(0, 0, 0, 0, 0, ECHOPRT), "abc\x7f\x7f" "d\x7f\x7f\x7f\n");
	TYPE("no ECHOK", with(0, 0, 0, 0, ECHOK | ECHOKE, 0), "abc\x15" "d\n");
	TYPE("ECHOK without ECHOKE", with(0, 0, 0, 0, ECHOKE, ECHOK), "abc\x15" "d\n");
	TYPE("no ECHOCTL", with(0, 0, 0, 0, ECHOCTL, 0), "a\x01\x02\n");
	TYPE("ECHOCTL", plain, "a\x01\x1b\x7f\t\n");
	TYPE("no ICANON", with(0, 0, 0, 0, ICANON, 0), "abc\x7f\x15\x04\r");
	TYPE("no ICANON, no ECHO", with(0, 0, 0, 0, ICANON | ECHO, 0), "abc");
}

static void output_flags(void)
{
	PUT("plain output", plain, "a\nb\tc\rd");
	PUT("no OPOST", with(0, 0, OPOST, 0, 0, 0), "a\nb\tc\r");
	PUT("no ONLCR", with(0, 0, ONLCR, 0, 0, 0), "a\nb");
	PUT("OCRNL", with(0, 0, ONLCR, OCRNL, 0, 0), "a\rb\n");
	PUT("ONOCR at the start", with(0, 0, ONLCR, ONOCR, 0, 0), "\ra\r\rb\n\r");
	PUT("ONLRET", with(0, 0, ONLCR, ONLRET, 0, 0), "a\nb\r");
	PUT("OLCUC", with(0, 0, 0, OLCUC, 0, 0), "aBc1\n");
	PUT("XTABS", with(0, 0, 0, XTABS, 0, 0), "a\tbc\t\t1234567\t\n");
	PUT("XTABS after a backspace", with(0, 0, 0, XTABS, 0, 0), "abc\b\b\tx\n");
}

static void flow(void)
{
	char buffer[64];
	printf("stop and start\n");
	use(plain);
	MUST(write(m, "\x13", 1));
	settle();
	int flags = fcntl(s, F_GETFL);
	MUST(fcntl(s, F_SETFL, flags | O_NONBLOCK));
	show_bytes("slave writes while stopped", "", write(s, "held", 4) == 4 ? 0 : -1);
	MUST(fcntl(s, F_SETFL, flags));
	settle();
	show_read("master sees", m);
	MUST(write(m, "\x11", 1));
	settle();
	show_read("after the start", m);
	show_read("slave reads", s);
	printf("IXANY\n");
	use(with(0, IXANY, 0, 0, 0, 0));
	MUST(write(m, "\x13", 1));
	MUST(write(m, "a\n", 2));
	settle();
	show_read("slave reads", s);
	show_read("echo", m);
	printf("no IXON\n");
	TYPE("typed", with(IXON, 0, 0, 0, 0, 0), "a\x13\x11" "b\n");
	printf("TCXONC\n");
	use(plain);
	SHOW(tcflow(s, TCOOFF));
	MUST(fcntl(s, F_SETFL, flags | O_NONBLOCK));
	printf("  write: %s\n", write(s, "x", 1) == 1 ? "ok" : error_name(errno));
	MUST(fcntl(s, F_SETFL, flags));
	SHOW(tcflow(s, TCOON));
	settle();
	tcflush(m, TCIFLUSH);
	SHOW(tcflow(s, TCIOFF));
	SHOW(tcflow(s, TCION));
	settle();
	show_read("master sees", m);
	SHOW(tcflow(s, 9));
	SHOW(tcflush(s, 9));
	SHOW(tcdrain(s));
	SHOW(tcsendbreak(s, 0));
	printf("queues\n");
	use(with(0, 0, 0, 0, ICANON | ECHO, 0));
	MUST(write(m, "12345", 5));
	settle();
	int n = -1;
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait\n", n);
	SHOW(tcflush(s, TCOFLUSH));
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait\n", n);
	SHOW(tcflush(s, TCIFLUSH));
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait\n", n);
	use(plain);
	MUST(write(m, "ab", 2));
	settle();
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait of a line that has not ended\n", n);
	MUST(write(m, "c\nd", 3));
	settle();
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait\n", n);
	MUST(read(s, buffer, 2));
	SHOW(ioctl(s, FIONREAD, &n));
	printf("  %d wait after two were read\n", n);
	use(with(0, 0, 0, 0, ICANON, 0));
	printf("from lines to characters: what waited stays\n");
	use(plain);
	MUST(write(m, "half", 4));
	settle();
	struct termios t = with(0, 0, 0, 0, ICANON, 0);
	MUST(tcsetattr(s, TCSANOW, &t));
	show_read("slave reads", s);
	MUST(write(m, "more", 4));
	settle();
	MUST(tcsetattr(s, TCSANOW, &plain));
	show_read("and back to lines", s);
	MUST(tcsetattr(s, TCSAFLUSH, &plain));
	show_read("echo", m);
}

/* It must not end before the given time; if it waited for the wrong thing, it would end much later. */
static void timing(cc_t min, cc_t time, const char *input, int later, long least_ms)
{
	struct termios t = with(0, 0, 0, 0, ICANON | ECHO, 0);
	struct timespec before, after;
	char buffer[64];
	t.c_cc[VMIN] = min;
	t.c_cc[VTIME] = time;
	use(t);
	fflush(stdout);
	pid_t child = 0;
	if (later) {
		child = (pid_t)MUST(fork());
		if (!child) {
			sleep_ms(200);
			_exit(write(m, input, strlen(input)) < 0);
		}
	} else if (*input) {
		MUST(write(m, input, strlen(input)));
		settle();
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	ssize_t n = read(s, buffer, sizeof buffer);
	clock_gettime(CLOCK_MONOTONIC, &after);
	long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	printf("VMIN %d VTIME %d, \"%s\"%s: %zd bytes, %s\n", min, time, input, later ? " later" : "", n,
	       ms < least_ms ? "early" : ms < 20000 ? "in time" : "late");
	if (child)
		waitpid(child, 0, 0);
}

static void minimum_and_time(void)
{
	timing(0, 0, "", 0, 0);
	timing(0, 0, "ab", 0, 0);
	timing(0, 12, "", 0, 1190);
	timing(0, 255, "ab", 0, 0);
	timing(0, 255, "ab", 1, 0);
	timing(1, 0, "abc", 1, 0);
	timing(3, 0, "abc", 1, 0);
	timing(5, 3, "abc", 0, 290);
	timing(5, 3, "abc", 1, 290);
	timing(2, 255, "abc", 0, 0);
	struct termios t = with(0, 0, 0, 0, ICANON | ECHO, 0);
	t.c_cc[VMIN] = 4;
	t.c_cc[VTIME] = 0;
	use(t);
	char byte[8];
	MUST(write(m, "ab", 2));
	settle();
	struct pollfd p = { s, POLLIN, 0 };
	printf("fewer than VMIN: poll %d\n", poll(&p, 1, 0));
	int flags = fcntl(s, F_GETFL);
	MUST(fcntl(s, F_SETFL, flags | O_NONBLOCK));
	SHOW(read(s, byte, 1));
	SHOW(read(s, byte, 8));
	SHOW(read(s, byte, 8));
	MUST(fcntl(s, F_SETFL, flags));
}

static volatile sig_atomic_t got;
static void on_signal(int signal) { got = signal; }

/* In a session of its own, whose terminal this is. */
static void signals(void)
{
	MUST(setsid());
	SHOW(ioctl(s, TIOCSCTTY, 0));
	SHOW(ioctl(s, TIOCSCTTY, 0));
	int numbers[] = { SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP, SIGTTOU };
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		signal(numbers[i], on_signal);
	const char keys[] = { 3, 28, 26 };
	for (int i = 0; i < 3; i++) {
		char text[4] = { 'a', keys[i], 'b', '\n' };
		got = 0;
		use(plain);
		MUST(write(m, text, 4));
		settle();
		printf("key %d: signal %d\n", keys[i], got);
		show_read("slave reads", s);
		show_read("echo", m);
	}
	use(with(0, 0, 0, 0, 0, NOFLSH));
	got = 0;
	MUST(write(m, "a\x03" "b\n", 4));
	settle();
	printf("NOFLSH: signal %d\n", got);
	show_read("slave reads", s);
	show_read("echo", m);
	got = 0;
	TYPE("no ISIG", with(0, 0, 0, 0, ISIG, 0), "a\x03" "b\n");
	printf("signal %d\n", got);
	struct winsize w = { 30, 90, 5, 6 };
	SHOW(ioctl(s, TIOCSWINSZ, &w));
	settle();
	printf("signal %d\n", got);
	got = 0;
	SHOW(ioctl(m, TIOCSWINSZ, &w));
	settle();
	printf("the same size: signal %d\n", got);
	w.ws_row = 31;
	SHOW(ioctl(m, TIOCSWINSZ, &w));
	settle();
	printf("another: signal %d\n", got);
	memset(&w, 0, sizeof w);
	SHOW(ioctl(s, TIOCGWINSZ, &w));
	printf("%d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	char c = 'q';
	use(plain);
	SHOW(ioctl(s, TIOCSTI, &c));
	c = '\n';
	SHOW(ioctl(s, TIOCSTI, &c));
	SHOW(ioctl(s, TIOCSTI, 8));
	settle();
	show_read("slave reads what was pushed", s);
	show_read("echo", m);
	int on = 1, session = 0;
	SHOW(ioctl(s, TIOCGSID, &session));
	CHECK(session == getpid());
	SHOW(ioctl(s, TIOCEXCL));
	SHOW(ioctl(s, 0x80045440, &on));
	printf("exclusive %d\n", on);
	SHOW(open("/dev/tty", O_RDWR));
	SHOW(ioctl(s, TIOCNXCL));
	SHOW(ioctl(s, TIOCGETD, &on));
	printf("discipline %d\n", on);
	SHOW(ioctl(s, 0x5499, &on));
	SHOW(ioctl(s, TIOCMGET, &on));
	SHOW(ioctl(s, TIOCOUTQ, &on));
	printf("%d in the output queue\n", on);
	got = 0;
	SHOW(ioctl(s, TIOCNOTTY));
	settle();
	printf("signal %d\n", got);
	SHOW(open("/dev/tty", O_RDWR));
	SHOW(ioctl(s, TIOCNOTTY));
	SHOW(tcgetpgrp(s));
}

static void settings(void)
{
	struct termios t;
	MUST(tcgetattr(s, &t));
	printf("new: %#o %#o %#o %#o line %d\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
	for (int i = 0; i < 17; i++)
		printf(" %d", t.c_cc[i]);
	printf("\n");
	cfsetspeed(&t, B9600);
	t.c_cflag = (t.c_cflag & ~(tcflag_t)CSIZE) | CS7 | PARENB | CSTOPB;
	SHOW(tcsetattr(s, TCSADRAIN, &t));
	MUST(tcgetattr(m, &t));
	printf("from the master: %#o %#o %#o %#o speed %d\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, cfgetospeed(&t) == B9600);
	SHOW(ioctl(s, TCSETS, 8));
	SHOW(ioctl(s, TCGETS, 8));
	MUST(tcsetattr(s, TCSANOW, &plain));
}

int main(void)
{
	m = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY));
	MUST(unlockpt(m));
	s = (int)MUST(open(ptsname(m), O_RDWR | O_NOCTTY));
	MUST(tcgetattr(s, &plain));
	settings();
	input_flags();
	line_editing();
	echoes();
	output_flags();
	flow();
	minimum_and_time();
	IN_CHILD(signals());
	return 0;
}
