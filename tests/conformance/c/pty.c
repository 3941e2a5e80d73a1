/* Pseudo terminals: opening, locking, names, data both ways, settings, hang-up of either side, packet mode, polls. */
#include "case.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* Linux hands data from side to side in a work queue: give it the time. */
static void settle(void)
{
	settle_for(30);
}

static void show_poll(const char *what, int fd)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI, 0 };
	settle();
	int n = poll(&p, 1, 0);
	printf("%s: %d%s%s%s%s%s\n", what, n, p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
	       p.revents & POLLPRI ? " pri" : "", p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "");
}

static void show_read(const char *what, int fd)
{
	unsigned char b[256];
	settle();
	errno = 0;
	ssize_t n = read(fd, b, sizeof b);
	printf("%s: %zd", what, n);
	if (n < 0)
		printf(" %s", error_name(errno));
	for (ssize_t i = 0; i < n; i++)
		printf(b[i] >= 32 && b[i] < 127 ? " %c" : " %02x", b[i]);
	printf("\n");
}

static void raw(int fd)
{
	struct termios t;
	MUST(tcgetattr(fd, &t));
	cfmakeraw(&t);
	MUST(tcsetattr(fd, TCSANOW, &t));
}

static void opening(void)
{
	int lock = -1, number = -1;
	struct stat st;
	char name[64];
	int m = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	MUST(ioctl(m, TIOCGPTN, &number));
	snprintf(name, sizeof name, "/dev/pts/%d", number);
	CHECK(number >= 0);
	SHOW(ioctl(m, 0x80045439, &lock));
	printf("locked: %d\n", lock);
	SHOW(open(name, O_RDWR | O_NOCTTY));
	SHOW(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	MUST(stat(name, &st));
	printf("mode %o, major %d, minor is number: %d, size %d\n", st.st_mode, (int)(st.st_rdev >> 8 & 0xfff),
	       (int)(st.st_rdev & 0xff) == number, (int)st.st_size);
	printf("uid %d gid %d links %d\n", st.st_uid, st.st_gid, (int)st.st_nlink);
	SHOW(ioctl(m, TIOCSPTLCK, NULL));
	SHOW(unlockpt(m));
	SHOW(grantpt(m));
	CHECK(strcmp(ptsname(m), name) == 0);
	int s = MUST(open(name, O_RDWR | O_NOCTTY));
	CHECK(isatty(s) && isatty(m));
	CHECK(strcmp(ttyname(s), name) == 0);
	int peer = TRY(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	SHOW(fcntl(peer, F_GETFD));
	close(peer);
	SHOW(ioctl(s, TIOCGPTN, &number));
	SHOW(ioctl(s, TIOCSPTLCK, &lock));
	SHOW(ioctl(s, TIOCPKT, &lock));
	struct winsize w = { 9, 9, 9, 9 };
	MUST(ioctl(s, TIOCGWINSZ, &w));
	printf("window %d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	w.ws_row = 30; w.ws_col = 100; w.ws_xpixel = 7; w.ws_ypixel = 8;
	MUST(ioctl(m, TIOCSWINSZ, &w));
	memset(&w, 0, sizeof w);
	MUST(ioctl(s, TIOCGWINSZ, &w));
	printf("window %d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
	close(s);
	close(m);
	SHOW(stat(name, &st));
	SHOW(open(name, O_RDWR));
	SHOW(open("/dev/pts/none", O_RDWR));
	SHOW(mkdir("/dev/pts/d", 0755));
	SHOW(open("/dev/pts/f", O_CREAT | O_RDWR, 0644));
	SHOW(unlink("/dev/pts/ptmx"));
	struct statfs f;
	MUST(statfs("/dev/pts", &f));
	printf("type %lx, block %ld, name %ld\n", (long)f.f_type, (long)f.f_bsize, (long)f.f_namelen);
}

static void settings(int m, int s)
{
	struct termios a, b;
	MUST(tcgetattr(s, &a));
	MUST(tcgetattr(m, &b));
	printf("input %o output %o control %o local %o line %d\n", a.c_iflag, a.c_oflag, a.c_cflag, a.c_lflag, a.c_line);
	printf("speeds %d %d\n", cfgetispeed(&a), cfgetospeed(&a));
	for (int i = 0; i < 19; i++)
		printf("%d ", a.c_cc[i]);
	printf("\n");
	CHECK(a.c_lflag == b.c_lflag);
	b.c_lflag &= ~ECHO;
	b.c_cflag = (b.c_cflag & ~CSIZE) | CS7 | PARENB;
	cfsetspeed(&b, B9600);
	MUST(tcsetattr(m, TCSANOW, &b));
	MUST(tcgetattr(s, &b));
	CHECK(b.c_lflag == (a.c_lflag & ~ECHO));
	printf("control %o speed %o\n", b.c_cflag, cfgetospeed(&b));
	MUST(tcsetattr(s, TCSAFLUSH, &a));
}

static void data(int m, int s)
{
	show_poll("master, quiet", m);
	show_poll("slave, quiet", s);
	MUST(write(m, "hello\n", 6));
	show_poll("master, after line", m);
	show_poll("slave, after line", s);
	show_read("slave", s);
	show_read("master sees the echo", m);
	MUST(write(s, "out\n", 4));
	show_read("master", m);
	MUST(write(m, "ab\177c\025xy\027z\n", 10));
	show_read("slave after editing", s);
	show_read("master after editing", m);
	MUST(write(m, "part", 4));
	show_poll("slave, no line yet", s);
	int n = -1;
	MUST(ioctl(s, FIONREAD, &n));
	printf("slave has %d\n", n);
	MUST(ioctl(m, FIONREAD, &n));
	printf("master has %d\n", n);
	MUST(write(m, "\004", 1));
	show_read("slave after ^D", s);
	MUST(write(m, "\004", 1));
	show_read("slave at end of file", s);
	show_read("master", m);
	fcntl(m, F_SETFL, O_NONBLOCK);
	fcntl(s, F_SETFL, O_NONBLOCK);
	show_read("master, nothing", m);
	show_read("slave, nothing", s);
	raw(s);
	MUST(write(m, "\003\032\021\023\r\n\004", 7));
	show_read("slave, raw", s);
	show_read("master, raw", m);
	MUST(write(s, "a\nb\n", 4));
	show_read("master, raw", m);
	MUST(write(m, "flush me", 8));
	MUST(tcflush(s, TCIFLUSH));
	show_read("slave, flushed", s);
	fcntl(m, F_SETFL, 0);
	fcntl(s, F_SETFL, 0);
}

static void much(void)
{
	int m, s;
	MUST(openpty(&m, &s, NULL, NULL, NULL));
	raw(s);
	fflush(stdout);
	if (MUST(fork()) == 0) {
		char b[1000];
		for (int i = 0; i < 200; i++) {
			memset(b, 'a' + i % 26, sizeof b);
			for (size_t done = 0; done < sizeof b;) {
				ssize_t n = write(s, b + done, sizeof b - done);
				if (n < 0)
					_exit(1);
				done += n;
			}
		}
		_exit(0);
	}
	long total = 0, sum = 0;
	char b[4096];
	while (total < 200000) {
		ssize_t n = MUST(read(m, b, sizeof b));
		for (ssize_t i = 0; i < n; i++)
			sum = (sum * 31 + b[i]) % 1000003;
		total += n;
	}
	printf("slave to master: %ld bytes, sum %ld\n", total, sum);
	show_end(-1);
	if (MUST(fork()) == 0) {
		total = sum = 0;
		while (total < 200000) {
			ssize_t n = MUST(read(s, b, 777));
			for (ssize_t i = 0; i < n; i++)
				sum = (sum * 31 + b[i]) % 1000003;
			total += n;
		}
		printf("master to slave: %ld bytes, sum %ld\n", total, sum);
		_exit(0);
	}
	for (int i = 0; i < 200; i++) {
		memset(b, 'a' + i % 26, 1000);
		for (size_t done = 0; done < 1000;)
			done += MUST(write(m, b + done, 1000 - done));
	}
	show_end(-1);
	close(m);
	close(s);
}

static void hang_up(void)
{
	int m, s;
	char name[64];
	MUST(openpty(&m, &s, name, NULL, NULL));
	MUST(write(s, "last words", 10));
	close(s);
	show_poll("master, slave closed", m);
	show_read("master", m);
	show_read("master, drained", m);
	show_poll("master, drained", m);
	TRY(write(m, "kept\n", 5));
	s = MUST(open(name, O_RDWR | O_NOCTTY));
	show_poll("master, slave open again", m);
	show_read("slave", s);
	show_read("master", m);
	close(m);
	show_poll("slave, master closed", s);
	show_read("slave", s);
	TRY(write(s, "x", 1));
	struct winsize w;
	SHOW(ioctl(s, TIOCGWINSZ, &w));
	int pgrp = 1;
	SHOW(ioctl(s, TIOCSPGRP, &pgrp));
	SHOW(isatty(s));
	close(s);
}

static void packets(void)
{
	int m, s, on = 1, off = 0;
	struct termios t;
	MUST(openpty(&m, &s, NULL, NULL, NULL));
	fcntl(m, F_SETFL, O_NONBLOCK);
	SHOW(ioctl(m, TIOCPKT, &on));
	SHOW(ioctl(m, 0x80045438, &off));
	printf("packet mode %d\n", off);
	MUST(write(s, "data\n", 5));
	show_read("data", m);
	show_poll("no event", m);
	MUST(ioctl(s, TCFLSH, TCIFLUSH));
	show_poll("event", m);
	show_read("input flushed", m);
	MUST(ioctl(s, TCFLSH, TCOFLUSH));
	show_read("output flushed", m);
	MUST(ioctl(s, TCXONC, TCOOFF));
	show_read("stopped", m);
	MUST(ioctl(s, TCXONC, TCOON));
	show_read("started", m);
	MUST(tcgetattr(s, &t));
	t.c_iflag &= ~IXON;
	MUST(tcsetattr(s, TCSANOW, &t));
	show_read("no flow keys", m);
	t.c_iflag |= IXON;
	MUST(tcsetattr(s, TCSANOW, &t));
	show_read("flow keys", m);
	MUST(write(m, "\023", 1));
	show_read("^S", m);
	MUST(write(m, "\021", 1));
	show_read("^Q", m);
	MUST(write(m, "typed", 5));
	show_read("echo", m);
	MUST(write(m, "\003", 1));
	show_read("^C", m);
	show_read("^C", m);
	off = 0;
	MUST(ioctl(m, TIOCPKT, &off));
	MUST(write(s, "plain", 5));
	show_read("plain", m);
	close(m);
	close(s);
}

static void instances(void)
{
	MUST(mkdir("/tmp/pts", 0755));
	SHOW(mount("devpts", "/tmp/pts", "devpts", 0, "gid=5,mode=0640,ptmxmode=0666,newinstance"));
	SHOW(mount("devpts", "/tmp/pts", "devpts", 0, "mode=9"));
	SHOW(mount("devpts", "/tmp/pts", "devpts", 0, "nonsense"));
	int m = MUST(open("/tmp/pts/ptmx", O_RDWR | O_NOCTTY));
	int number;
	MUST(ioctl(m, TIOCGPTN, &number));
	char name[64];
	struct stat st;
	snprintf(name, sizeof name, "/tmp/pts/%d", number);
	MUST(stat(name, &st));
	printf("mode %o gid %d\n", st.st_mode, st.st_gid);
	close(m);
	SHOW(umount("/tmp/pts"));
	MUST(mknod("/tmp/ptmx", S_IFCHR | 0666, 5 << 8 | 2));
	SHOW(open("/tmp/ptmx", O_RDWR | O_NOCTTY));
	unlink("/tmp/ptmx");
	rmdir("/tmp/pts");
}

int main(void)
{
	int m, s;
	opening();
	MUST(openpty(&m, &s, NULL, NULL, NULL));
	settings(m, s);
	data(m, s);
	close(m);
	close(s);
	much();
	hang_up();
	packets();
	instances();
	return 0;
}
