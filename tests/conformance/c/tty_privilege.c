/*
 * Covers: what of a terminal needs privilege: TIOCSTI with dev.tty.legacy_tiocsti, TIOCCONS, TIOCSCTTY (stealing, and by a
 * descriptor that cannot read), TIOCSETD, TIOCVHANGUP, vhangup, TIOCEXCL, TIOCLINUX.
 */
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "case.h"

#define LEGACY "/proc/sys/dev/tty/legacy_tiocsti"
#define AUTOLOAD "/proc/sys/dev/tty/ldisc_autoload"

static int master, slave;
static char slave_name[64];

static void as_user(void)
{
	MUST(setgroups(0, 0));
	MUST(setgid(1000));
	MUST(setuid(1000));
}

/* A new pair, of which neither side is a controlling terminal. */
static void pair(void)
{
	struct termios raw;
	MUST(openpty(&master, &slave, slave_name, NULL, NULL));
	MUST(tcgetattr(slave, &raw));
	cfmakeraw(&raw);
	MUST(tcsetattr(slave, TCSANOW, &raw));
	MUST(chmod(slave_name, 0666));
}

static void drop(void)
{
	close(slave);
	close(master);
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	int result = (int)write(fd, text, strlen(text)), error = errno;
	close(fd);
	errno = error;
	return result;
}

static void setting(const char *path, int most)
{
	struct stat status;
	if (TRY(stat(path, &status)) == 0)
		printf("mode %o of %d:%d\n", status.st_mode, status.st_uid, status.st_gid);
	show_file(path);
	SHOW(put(path, "1\n"));
	show_file(path);
	if (most > 1) {
		SHOW(put(path, "2\n"));
		show_file(path);
		SHOW(put(path, "-7"));
		show_file(path);
	} else {
		SHOW(put(path, "2"));
		SHOW(put(path, "-1"));
	}
	SHOW(put(path, "x"));
	SHOW(put(path, "0"));
	show_file(path);
	IN_CHILD(as_user(); SHOW(put(path, "1")); show_file(path));
}

static int typed(void)
{
	char text[16];
	struct pollfd p = { .fd = slave, .events = POLLIN };
	if (poll(&p, 1, 0) != 1)
		return 0;
	return (int)read(slave, text, sizeof text);
}

static void type_into(const char *who)
{
	char c = 'x';
	printf("%s\n", who);
	SHOW(ioctl(slave, TIOCSTI, &c));
	SHOW(ioctl(slave, TIOCSTI, NULL));
	SHOW(ioctl(master, TIOCSTI, &c));
	SHOW(typed());
}

static void all_who_type(void)
{
	type_into("root, not its terminal");
	IN_CHILD(as_user(); type_into("user, not its terminal"));
	IN_CHILD(MUST(setsid()); MUST(ioctl(slave, TIOCSCTTY, 0)); as_user(); type_into("user, its terminal"));
}

static void input(void)
{
	puts("--- TIOCSTI");
	pair();
	all_who_type();
	if (put(LEGACY, "1") < 0)
		puts("no setting");
	all_who_type();
	put(LEGACY, "0");
	drop();
}

static void disciplines(const char *who)
{
	int numbers[] = { 0, 30, 31, -1, 1000, 29 };
	printf("%s\n", who);
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		printf("discipline %d: ", numbers[i]);
		SHOW(ioctl(slave, TIOCSETD, &numbers[i]));
	}
	SHOW(ioctl(slave, TIOCSETD, NULL));
	int now = -1;
	SHOW(ioctl(slave, TIOCGETD, &now));
	printf("discipline is %d\n", now);
}

static void commands(void)
{
	puts("--- other commands");
	pair();
	disciplines("root");
	IN_CHILD(
		as_user();
		disciplines("user");
		SHOW(ioctl(slave, TIOCVHANGUP));
		SHOW(ioctl(master, TIOCVHANGUP));
		SHOW(ioctl(slave, TIOCCONS));
		SHOW(ioctl(master, TIOCCONS));
		char which = 6;
		SHOW(ioctl(slave, TIOCLINUX, &which));
		SHOW(syscall(SYS_vhangup)));
	int only_reads = (int)MUST(open(slave_name, O_RDONLY | O_NOCTTY)), null = (int)MUST(open("/dev/null", O_RDWR));
	SHOW(ioctl(only_reads, TIOCCONS));
	SHOW(ioctl(null, TIOCCONS));
	close(null);
	close(only_reads);
	drop();
}

static void redirect(void)
{
	puts("--- redirected console");
	pair();
	int console = (int)MUST(open("/dev/console", O_RDWR | O_NOCTTY));
	char text[64];
	SHOW(ioctl(slave, TIOCCONS));
	SHOW(ioctl(slave, TIOCCONS));
	SHOW(ioctl(master, TIOCCONS));
	SHOW(write(console, "to the console", 14));
	memset(text, 0, sizeof text);
	SHOW(read(master, text, sizeof text));
	printf("read \"%s\"\n", text);
	SHOW(ioctl(console, TIOCCONS));
	SHOW(ioctl(console, TIOCCONS));
	SHOW(ioctl(slave, TIOCCONS));
	drop();
	pair();
	SHOW(ioctl(slave, TIOCCONS)); /* the other one has hung up */
	SHOW(ioctl(console, TIOCCONS));
	close(console);
	drop();
}

static void exclusive(void)
{
	puts("--- exclusive");
	pair();
	int is = -1;
	SHOW(ioctl(slave, TIOCEXCL));
	SHOW(ioctl(slave, TIOCGEXCL, &is));
	printf("exclusive %d\n", is);
	TRY(open(slave_name, O_RDWR | O_NOCTTY));
	IN_CHILD(as_user(); TRY(open(slave_name, O_RDWR | O_NOCTTY)); TRY(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)));
	IN_CHILD(MUST(setsid()); MUST(ioctl(slave, TIOCSCTTY, 0)); as_user(); TRY(open("/dev/tty", O_RDWR)));
	IN_CHILD(as_user(); SHOW(ioctl(slave, TIOCNXCL)); TRY(open(slave_name, O_RDWR | O_NOCTTY)));
	drop();
}

static int hang_ups;

static void count_hang_up(int signal)
{
	hang_ups++;
}

/* A session whose terminal is the pair's: it says what is left of it once `go` has something to read. */
static pid_t holder(int go, int ready)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child != 0)
		return child;
	char c = 0;
	MUST(setsid());
	MUST(ioctl(slave, TIOCSCTTY, 0));
	signal(SIGHUP, count_hang_up);
	MUST(write(ready, &c, 1));
	while (read(go, &c, 1) == -1 && errno == EINTR)
		;
	printf("holder: %d hang-ups\n", hang_ups);
	TRY(open("/dev/tty", O_RDWR));
	TRY(tcgetpgrp(slave));
	TRY(tcgetsid(slave));
	SHOW(ioctl(slave, TIOCNOTTY));
	fflush(stdout);
	_exit(0);
}

static void thief(const char *who, int is_user, int flags)
{
	printf("%s\n", who);
	IN_CHILD(
		MUST(setsid());
		if (is_user)
			as_user();
		int fd = (int)MUST(open(slave_name, flags | O_NOCTTY));
		SHOW(ioctl(fd, TIOCSCTTY, 0));
		SHOW(ioctl(fd, TIOCSCTTY, 2));
		SHOW(ioctl(fd, TIOCSCTTY, 1));
		TRY(open("/dev/tty", O_RDWR)));
}

static void stealing(int is_user)
{
	int go[2], ready[2];
	char c = 0;
	MUST(pipe(go));
	MUST(pipe(ready));
	pair();
	pid_t child = holder(go[0], ready[1]);
	MUST(read(ready[0], &c, 1));
	thief(is_user ? "a user steals" : "root steals", is_user, O_RDWR);
	MUST(write(go[1], &c, 1));
	show_end(child);
	drop();
}

static void controlling(void)
{
	puts("--- controlling terminal");
	stealing(1);
	stealing(0);
	pair();
	thief("user, only writes", 1, O_WRONLY);
	drop();
	pair();
	thief("root, only writes", 0, O_WRONLY);
	drop();
	pair();
	IN_CHILD(
		MUST(setsid());
		MUST(open(slave_name, O_WRONLY));
		TRY(open("/dev/tty", O_RDWR));
		MUST(open(slave_name, O_RDONLY));
		TRY(open("/dev/tty", O_RDWR)));
	drop();
}

/* A session's leader ends, and a process that it leaves behind has the terminal open. */
static void leader_ends(void)
{
	int go[2], gone[2];
	char c = 0;
	MUST(pipe(go));
	MUST(pipe(gone));
	puts("the leader ends");
	IN_CHILD(
		MUST(setsid());
		int fd = (int)TRY(open(slave_name, O_RDWR));
		TRY(open("/dev/tty", O_RDWR));
		fflush(stdout);
		signal(SIGHUP, SIG_IGN);
		if (MUST(fork()) == 0) {
			MUST(read(go[0], &c, 1));
			SHOW(write(fd, "", 0));
			TRY(tcgetattr(fd, &(struct termios){ 0 }));
			TRY(open("/dev/tty", O_RDWR));
			fflush(stdout);
			_exit(0);
		});
	MUST(write(go[1], &c, 1));
	close(gone[1]);
	MUST(read(gone[0], &c, 1)); /* until the process has ended */
	close(gone[0]);
	close(go[0]);
	close(go[1]);
}

static void hang_up(void)
{
	puts("--- hang-up");
	pair();
	char c;
	int other = (int)MUST(open(slave_name, O_RDWR | O_NOCTTY));
	MUST(write(master, "abc", 3));
	SHOW(ioctl(slave, TIOCVHANGUP));
	SHOW(read(slave, &c, 1));
	SHOW(write(other, &c, 1));
	SHOW(tcgetpgrp(other));
	struct pollfd p = { .fd = other, .events = POLLIN | POLLOUT };
	SHOW(poll(&p, 1, 0));
	printf("events %#x\n", p.revents);
	int again = (int)TRY(open(slave_name, O_RDWR | O_NOCTTY));
	SHOW(write(again, "out", 3));
	SHOW(read(other, &c, 1));
	char text[8] = { 0 };
	SHOW(read(master, text, sizeof text));
	printf("read \"%s\"\n", text);
	close(again);
	close(other);
	drop();
	puts("its session");
	int go[2], ready[2];
	MUST(pipe(go));
	MUST(pipe(ready));
	pair();
	pid_t child = holder(go[0], ready[1]);
	MUST(read(ready[0], &c, 1));
	SHOW(ioctl(slave, TIOCVHANGUP));
	MUST(write(go[1], &c, 1));
	show_end(child);
	drop();
	puts("vhangup");
	pair();
	IN_CHILD(
		signal(SIGHUP, count_hang_up);
		SHOW(syscall(SYS_vhangup));
		MUST(setsid());
		MUST(ioctl(slave, TIOCSCTTY, 0));
		SHOW(syscall(SYS_vhangup));
		printf("%d hang-ups\n", hang_ups);
		TRY(open("/dev/tty", O_RDWR));
		SHOW(write(slave, "x", 1)));
	SHOW(write(slave, "x", 1));
	drop();
	pair();
	leader_ends();
	drop();
}

int main(void)
{
	signal(SIGTTOU, SIG_IGN);
	setting(LEGACY, 2);
	setting(AUTOLOAD, 1);
	input();
	commands();
	redirect();
	exclusive();
	controlling();
	hang_up();
	return 0;
}
