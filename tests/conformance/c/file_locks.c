/* Covers: flock: LOCK_SH LOCK_EX LOCK_UN LOCK_NB; fcntl: F_GETLK F_SETLK F_SETLKW, F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW; who owns a lock, when
 * it ends, which ranges collide, deadlock, what a signal does to a wait. */
#define _GNU_SOURCE
#include <sys/file.h>
#include "case.h"

static int lock(int fd, int command, short type, off_t start, off_t length)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	return fcntl(fd, command, &l);
}

static void show_lock(const char *what, int fd, int command, short type, off_t start, off_t length)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	errno = 0;
	int result = fcntl(fd, command, &l);
	if (result == -1)
		printf("%s: %s\n", what, error_name(errno));
	else if (l.l_type == F_UNLCK)
		printf("%s: free, whence %d start %ld length %ld\n", what, l.l_whence, (long)l.l_start, (long)l.l_len);
	else
		printf("%s: %s from %ld, length %ld, whence %d, owner %s\n", what, l.l_type == F_RDLCK ? "read" : "write", (long)l.l_start,
		       (long)l.l_len, l.l_whence, l.l_pid == -1 ? "description" : l.l_pid == getppid() ? "parent" : l.l_pid == getpid() ? "self" : "other");
}

static void on_alarm(int signal) { (void)signal; }

int main(void)
{
	put_file("file", "0123456789", 0644);
	int a = (int)MUST(open("file", O_RDWR)), b = (int)MUST(open("file", O_RDWR)), r = (int)MUST(open("file", O_RDONLY));
	int w = (int)MUST(open("file", O_WRONLY));

	/* flock belongs to the open description. */
	SHOW(flock(a, LOCK_EX));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(a, LOCK_SH));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	SHOW(flock(b, LOCK_SH | LOCK_NB));
	SHOW(flock(r, LOCK_EX | LOCK_NB));
	SHOW(flock(a, LOCK_UN));
	SHOW(flock(b, LOCK_UN));
	SHOW(flock(r, LOCK_EX | LOCK_NB));
	int copy = dup(r);
	SHOW(flock(copy, LOCK_UN));
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	IN_CHILD(SHOW(flock(a, LOCK_EX | LOCK_NB)); SHOW(flock(b, LOCK_EX | LOCK_NB)); SHOW(flock(a, LOCK_UN)));
	SHOW(flock(b, LOCK_EX | LOCK_NB));
	SHOW(flock(b, LOCK_UN));
	SHOW(flock(a, 0));
	SHOW(flock(a, LOCK_SH | LOCK_EX));
	SHOW(flock(a, LOCK_NB));
	SHOW(flock(-1, LOCK_SH));
	int path = (int)MUST(open("file", O_PATH));
	SHOW(flock(path, LOCK_SH));
	int ends[2];
	MUST(pipe(ends));
	SHOW(flock(ends[0], LOCK_SH));
	/* The last close gives it up. */
	int c = (int)MUST(open("file", O_RDWR));
	SHOW(flock(c, LOCK_EX));
	int d = dup(c);
	close(c);
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	close(d);
	SHOW(flock(a, LOCK_EX | LOCK_NB));
	struct sigaction action = { .sa_handler = on_alarm };
	sigaction(SIGALRM, &action, NULL);
	ualarm(100000, 100000); /* again and again: the first one may come before the call */
	SHOW(flock(b, LOCK_EX));
	ualarm(0, 0);
	SHOW(flock(a, LOCK_UN));

	/* fcntl locks belong to the process. */
	SHOW(lock(a, F_SETLK, F_WRLCK, 2, 4));
	SHOW(lock(b, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(b, F_SETLK, F_UNLCK, 4, 2));
	SHOW(lock(a, F_SETLK, F_RDLCK, 8, 2));
	show_lock("own locks do not matter", a, F_GETLK, F_WRLCK, 0, 0);
	IN_CHILD(
		show_lock("at 0", a, F_GETLK, F_WRLCK, 0, 1);
		show_lock("at 4", a, F_GETLK, F_WRLCK, 4, 2);
		show_lock("from 4", a, F_GETLK, F_WRLCK, 4, 3);
		show_lock("read at 8", a, F_GETLK, F_RDLCK, 8, 2);
		show_lock("write at 9", a, F_GETLK, F_WRLCK, 9, 1);
		show_lock("far", a, F_GETLK, F_WRLCK, 1000, 0);
		SHOW(lock(a, F_SETLK, F_WRLCK, 4, 2));
		SHOW(lock(a, F_SETLK, F_WRLCK, 5, 2));
		SHOW(lock(a, F_SETLK, F_RDLCK, 8, 2));
		SHOW(flock(a, LOCK_EX | LOCK_NB)));
	/* Closing any descriptor of the file gives up all. */
	close(dup(r));
	IN_CHILD(show_lock("after a close", a, F_GETLK, F_WRLCK, 0, 0));
	SHOW(lock(r, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(w, F_SETLK, F_RDLCK, 0, 0));
	SHOW(lock(r, F_SETLK, F_RDLCK, 0, 0));
	show_lock("write lock of a read-only file", r, F_GETLK, F_WRLCK, 0, 0);
	SHOW(lock(r, F_SETLK, F_UNLCK, 0, 0));
	SHOW(lock(a, F_SETLK, 7, 0, 0));
	SHOW(lock(a, F_GETLK, F_UNLCK, 0, 0));
	SHOW(lock(a, F_SETLK, F_WRLCK, -1, 1));
	SHOW(lock(a, F_SETLK, F_WRLCK, 5, -3));
	SHOW(lock(a, F_SETLK, F_WRLCK, 5, -6));
	SHOW(lock(a, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 1));
	SHOW(lock(a, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 2));
	SHOW(lock(-1, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(path, F_SETLK, F_WRLCK, 0, 0));
	SHOW(lock(ends[1], F_SETLK, F_WRLCK, 0, 0));
	SHOW(fcntl(a, F_SETLK, NULL));
	lseek(a, 3, SEEK_SET);
	struct flock here = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 2 };
	SHOW(fcntl(a, F_SETLK, &here));
	struct flock end = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = 0 };
	SHOW(fcntl(a, F_SETLK, &end));
	struct flock bad = { .l_type = F_WRLCK, .l_whence = 9 };
	SHOW(fcntl(a, F_SETLK, &bad));
	IN_CHILD(
		show_lock("relative 1", a, F_GETLK, F_WRLCK, 4, 1);
		show_lock("relative 2", a, F_GETLK, F_WRLCK, 6, 0));
	SHOW(lock(a, F_SETLK, F_UNLCK, 0, 0));

	/* Waiting: until the owner is gone, or a signal comes; a circle is refused. */
	int ready[2], tried[2];
	MUST(pipe(ready));
	MUST(pipe(tried));
	char byte;
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(lock(a, F_SETLK, F_WRLCK, 0, 1));
		MUST(write(ready[1], "x", 1));
		MUST(read(tried[0], &byte, 1));
		until_asleep(getppid());
		_exit(0);
	}
	MUST(read(ready[0], &byte, 1));
	SHOW(lock(a, F_SETLK, F_WRLCK, 0, 1));
	MUST(write(tried[1], "x", 1));
	SHOW(lock(a, F_SETLKW, F_WRLCK, 0, 1));
	show_end(child);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		ualarm(100000, 100000);
		SHOW(lock(a, F_SETLKW, F_WRLCK, 0, 1));
		ualarm(0, 0);
		_exit(0);
	}
	show_end(child);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(lock(a, F_SETLK, F_WRLCK, 1, 1));
		MUST(write(ready[1], "x", 1));
		MUST(lock(a, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	MUST(read(ready[0], &byte, 1));
	until_asleep(child);
	SHOW(lock(a, F_SETLKW, F_WRLCK, 1, 1));
	SHOW(lock(a, F_SETLK, F_UNLCK, 0, 0));
	show_end(child);

	/* Locks of open descriptions. */
	SHOW(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
	SHOW(lock(b, F_OFD_SETLK, F_WRLCK, 4, 1));
	SHOW(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	show_lock("of another description", b, F_OFD_GETLK, F_WRLCK, 0, 0);
	show_lock("of a description, asked by a process", b, F_GETLK, F_WRLCK, 0, 0);
	SHOW(lock(b, F_SETLK, F_WRLCK, 0, 1));
	IN_CHILD(SHOW(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5)); SHOW(lock(a, F_OFD_SETLK, F_UNLCK, 0, 2)));
	SHOW(lock(b, F_OFD_SETLK, F_RDLCK, 0, 2));
	close(dup(a));
	SHOW(lock(b, F_OFD_SETLK, F_RDLCK, 2, 1));
	struct flock owned = { .l_type = F_WRLCK, .l_pid = 1 };
	SHOW(fcntl(a, F_OFD_SETLK, &owned));
	SHOW(fcntl(a, F_OFD_GETLK, &owned));
	ualarm(100000, 100000);
	SHOW(lock(b, F_OFD_SETLKW, F_WRLCK, 2, 1));
	ualarm(0, 0);
	close(a);
	SHOW(lock(b, F_OFD_SETLKW, F_WRLCK, 2, 1));
	return 0;
}
