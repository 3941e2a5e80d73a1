/* Locks that a server of files keeps: record locks, those of descriptions, flock(2), waits, signals, closing, and lies. */
#define _GNU_SOURCE
#include "fuse_case.h"

#include <sys/file.h>

#define LOCKS 32

enum lie { HONEST, BAD_KIND, BAD_RANGE, BEYOND, STRANGER, SHORT, LONG, UNKNOWN, GREAT_PID };

struct lock { int used, node, type, whole; uint64_t owner, start, end; uint32_t pid; };
struct wait { int used; uint64_t unique; struct lock lock; };

static struct lock locks[LOCKS];   /* the server's own */
static struct wait waits[LOCKS];
static pid_t first_process;

static const char *kind_name(uint32_t type)
{
	return type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : type == F_UNLCK ? "unlock" : "?";
}

static struct lock *conflict(const struct lock *wanted)
{
	for (int i = 0; i < LOCKS; i++) {
		struct lock *lock = &locks[i];
		if (lock->used && lock->node == wanted->node && lock->whole == wanted->whole && lock->owner != wanted->owner &&
			lock->start <= wanted->end && wanted->start <= lock->end && (lock->type == F_WRLCK || wanted->type == F_WRLCK))
			return lock;
	}
	return NULL;
}

static void enter(const struct lock *lock)
{
	for (int i = 0; i < LOCKS; i++)
		if (!locks[i].used) {
			locks[i] = *lock;
			locks[i].used = 1;
			return;
		}
	all->wrong++;
}

/* Replace what the owner has in the range. */
static void set(const struct lock *wanted)
{
	for (int i = 0; i < LOCKS; i++) {
		struct lock old = locks[i];
		if (!old.used || old.node != wanted->node || old.whole != wanted->whole || old.owner != wanted->owner ||
			old.start > wanted->end || wanted->start > old.end)
			continue;
		locks[i].used = 0;
		if (old.start < wanted->start) {
			struct lock part = old;
			part.end = wanted->start - 1;
			enter(&part);
		}
		if (old.end > wanted->end) {
			struct lock part = old;
			part.start = wanted->end + 1;
			enter(&part);
		}
	}
	if (wanted->type != F_UNLCK)
		enter(wanted);
}

static void grant(void)
{
	for (int i = 0; i < LOCKS; i++)
		if (waits[i].used && !conflict(&waits[i].lock)) {
			waits[i].used = 0;
			set(&waits[i].lock);
			put_answer(waits[i].unique, 0, NULL, 0);
		}
}

static void drop_owner(int node, uint64_t owner, int whole)
{
	struct lock all_of_it = {.node = node, .type = F_UNLCK, .whole = whole, .owner = owner, .end = -1ull};
	set(&all_of_it);
	grant();
}

static const char *who(uint32_t pid)
{
	return pid == 0 ? "nobody" : (pid_t)pid == first_process ? "the first" : "another";
}

static int lock_request(const struct fuse_in_header *in, struct fuse_lk_in *lk)
{
	struct lock wanted = {.node = (int)in->nodeid, .type = (int)lk->lk.type, .whole = (lk->lk_flags & FUSE_LK_FLOCK) != 0,
		.owner = lk->owner, .start = lk->lk.start, .end = lk->lk.end, .pid = lk->lk.pid};
	struct fuse_lk_out out = {.lk = {.type = F_UNLCK}};
	struct lock *found = conflict(&wanted);
	size_t size = sizeof out;
	note("%s %s %lld-%lld by %c, process: %s, flags %x, handle %d", in->opcode == FUSE_GETLK ? "GETLK" :
		in->opcode == FUSE_SETLK ? "SETLK" : "SETLKW", kind_name(lk->lk.type), (long long)lk->lk.start, (long long)lk->lk.end,
		owner_letter(lk->owner), who(lk->lk.pid), lk->lk_flags, (int)lk->fh);
	if (all->lie == UNKNOWN)
		return answer(in, -ENOSYS, NULL, 0), 1;
	if (in->opcode == FUSE_GETLK) {
		if (found)
			out.lk = (struct fuse_file_lock){found->start, found->end, (uint32_t)found->type, found->pid};
		switch (all->lie) {
		case BAD_KIND: out.lk.type = 7; break;
		case BAD_RANGE: out.lk.end = 1, out.lk.start = 2, out.lk.type = F_WRLCK; break;
		case BEYOND: out.lk.end = -1ull, out.lk.type = F_WRLCK; break;
		case STRANGER: out.lk = (struct fuse_file_lock){3, 7, F_RDLCK, 999999}; break;
		case GREAT_PID: out.lk = (struct fuse_file_lock){0, 0x7fffffffffffffff, F_WRLCK, 0xfffffff0}; break;
		case SHORT: size--; break;
		case LONG: out.lk.type = F_WRLCK; size++; break;
		}
		char body[sizeof out + 1] = "";
		memcpy(body, &out, sizeof out);
		answer(in, 0, body, size);
		return 1;
	}
	if (all->lie == LONG || all->lie == SHORT)
		return answer(in, 0, &out, 8), 1;
	if (wanted.type != F_UNLCK && found) {
		if (in->opcode == FUSE_SETLK)
			return answer(in, -EAGAIN, NULL, 0), 1;
		for (int i = 0; i < LOCKS; i++)
			if (!waits[i].used) {
				waits[i] = (struct wait){1, in->unique, wanted};
				return 1;
			}
	}
	set(&wanted);
	answer(in, 0, NULL, 0);
	grant();
	return 1;
}

static int lock_hook(const struct fuse_in_header *in, char *argument)
{
	switch (in->opcode) {
	case FUSE_GETLK: case FUSE_SETLK: case FUSE_SETLKW:
		return lock_request(in, (void *)argument);
	case FUSE_INTERRUPT: {
		struct fuse_interrupt_in *interrupt = (void *)argument;
		note("INTERRUPT");
		for (int i = 0; i < LOCKS; i++)
			if (waits[i].used && waits[i].unique == interrupt->unique) {
				waits[i].used = 0;
				put_answer(interrupt->unique, -EINTR, NULL, 0);
			}
		return 1;
	}
	case FUSE_FLUSH: {
		struct fuse_flush_in *flush = (void *)argument;
		note("FLUSH by %c, handle %d", owner_letter(flush->lock_owner), (int)flush->fh);
		drop_owner((int)in->nodeid, flush->lock_owner, 0);
		return 0;
	}
	case FUSE_RELEASE: {
		struct fuse_release_in *release = (void *)argument;
		note("RELEASE flags %x by %c", release->release_flags, owner_letter(release->lock_owner));
		if (release->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
			drop_owner((int)in->nodeid, release->lock_owner, 1);
		return 0;
	}
	case FUSE_READ: {
		struct fuse_read_in *read = (void *)argument;
		note("READ flags %x by %c", read->read_flags, owner_letter(read->lock_owner));
		return 0;
	}
	case FUSE_WRITE: {
		struct fuse_write_in *write = (void *)argument;
		note("WRITE flags %x by %c", write->write_flags, owner_letter(write->lock_owner));
		return 0;
	}
	case FUSE_SETATTR: {
		struct fuse_setattr_in *set = (void *)argument;
		note("SETATTR valid %x by %c", set->valid & (FATTR_SIZE | FATTR_LOCKOWNER), owner_letter(set->lock_owner));
		return 0;
	}
	}
	return 0;
}

/* fcntl(2) with a lock; shows what came back. */
static int lock_quietly(int file, int command, int type, long start, long length)
{
	struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	int result = fcntl(file, command, &lock), error = errno;
	const char *name = command == F_GETLK ? "GETLK" : command == F_SETLK ? "SETLK" : command == F_SETLKW ? "SETLKW" :
		command == F_OFD_GETLK ? "OFD_GETLK" : command == F_OFD_SETLK ? "OFD_SETLK" : "OFD_SETLKW";
	printf("%s %s %ld+%ld: %s", name, kind_name((uint32_t)type), start, length, result ? error_name(error) : "ok");
	if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK)) {
		printf(", %s", kind_name((uint32_t)lock.l_type));
		if (lock.l_type != F_UNLCK)
			printf(" %ld+%ld of %s", (long)lock.l_start, (long)lock.l_len, lock.l_pid == -1 ? "a description" :
				lock.l_pid == first_process ? "the first" : lock.l_pid == 0 ? "nobody" : "another");
	}
	printf("\n");
	return result;
}

/* The same, and what the server was asked. */
static int lock_by(int file, int command, int type, long start, long length)
{
	int result = lock_quietly(file, command, type, start, length);
	show_notes();
	return result;
}

static void records(void)
{
	printf("\nrecord locks\n");
	all->flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR)), other = (int)MUST(open("/f/a", O_RDONLY));
	CHECK((all->offered & FUSE_POSIX_LOCKS) != 0);
	CHECK((all->offered & FUSE_FLOCK_LOCKS) != 0);
	lock_by(file, F_SETLK, F_WRLCK, 10, 10);
	lock_by(file, F_SETLK, F_RDLCK, 12, 3);
	lock_by(other, F_SETLK, F_RDLCK, 100, 0);
	lock_by(other, F_SETLK, F_WRLCK, 100, 0);
	lock_by(file, F_SETLK, F_RDLCK, 200, -50);
	lock_by(file, F_GETLK, F_WRLCK, 0, 0);
	lock_by(file, F_GETLK, F_UNLCK, 0, 0);
	IN_CHILD(
		lock_by(file, F_GETLK, F_WRLCK, 0, 0);
		lock_by(file, F_GETLK, F_RDLCK, 12, 2);
		lock_by(file, F_GETLK, F_WRLCK, 1000, 5);
		lock_by(file, F_GETLK, F_RDLCK, 1000, 5);
		lock_by(file, F_SETLK, F_WRLCK, 0, 11);
		lock_by(file, F_SETLK, F_WRLCK, 0, 10);
		lock_by(file, F_SETLK, F_UNLCK, 0, 0);
		char text[20];
		SHOW(pread(file, text, 4, 0));
		SHOW(pwrite(file, "xy", 2, 0));
		TRY(ftruncate(file, 14));
		show_notes();
		TRY(close(file));
		show_notes();
		/* Whatever the exit closes may be told later. */
		TRY(close(other));
		show_notes();
	);
	lock_by(file, F_SETLK, F_UNLCK, 0, 12);
	int copy = (int)MUST(dup(file));
	TRY(close(copy));
	show_notes();
	forget_owners(1);
	IN_CHILD(lock_by(file, F_GETLK, F_WRLCK, 0, 0); close(file); close(other));
	all->count = 0;
	SHOW(fcntl(file, F_SETLK, &(struct flock){.l_type = 9}));
	struct stat st;
	TRY(fstat(file, &st));
	TRY(truncate("/f/a", 3));
	show_notes();
	TRY(close(file));
	TRY(close(other));
	until_asked(FUSE_RELEASE, 2);
	end();
}

static void nothing(int signal)
{
	(void)signal;
}

static void handle_usr1(int flags)
{
	struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
	sigaction(SIGUSR1, &action, NULL);
}

/* In a child, whose status is the error: what it printed might come before or after its parent's words. */
static int wait_for_lock(int file, int type)
{
	struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
	return fcntl(file, F_SETLKW, &lock) ? errno : 0;
}

static void waiting(void)
{
	int status;
	printf("\nwaiting\n");
	all->flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	lock_by(file, F_SETLKW, F_WRLCK, 0, 10);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		_exit(wait_for_lock(file, F_WRLCK));
	}
	until_asked(FUSE_SETLKW, 2);
	lock_quietly(file, F_SETLK, F_UNLCK, 0, 10);
	waitpid(child, &status, 0);
	show_status(status);
	until_asked(FUSE_FLUSH, 1);
	show_notes();
	lock_by(file, F_SETLK, F_WRLCK, 0, 10);

	printf("a signal ends it\n");
	all->asked[FUSE_SETLKW] = 0;
	forget_owners(1);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		handle_usr1(0);
		_exit(wait_for_lock(file, F_RDLCK));
	}
	until_asked(FUSE_SETLKW, 1);
	kill(child, SIGUSR1);
	waitpid(child, &status, 0);
	show_status(status);
	until_asked(FUSE_FLUSH, 2);
	show_notes();

	printf("or begins it anew\n");
	all->asked[FUSE_SETLKW] = 0;
	forget_owners(1);
	fflush(stdout);
	child = (pid_t)MUST(fork());
	if (child == 0) {
		handle_usr1(SA_RESTART);
		_exit(wait_for_lock(file, F_RDLCK));
	}
	until_asked(FUSE_SETLKW, 1);
	kill(child, SIGUSR1);
	until_asked(FUSE_SETLKW, 2);
	show_notes();
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	show_status(status);
	until_asked(FUSE_INTERRUPT, 3);
	until_asked(FUSE_FLUSH, 3);
	show_notes();
	lock_by(file, F_SETLK, F_UNLCK, 0, 10);
	lock_by(file, F_SETLK, F_WRLCK, 0, 0);
	TRY(close(file));
	until_asked(FUSE_RELEASE, 1);
	end();
}

static void whole(void)
{
	int status;
	printf("\nflock\n");
	all->flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	begin("");
	int file = (int)MUST(open("/f/a", O_RDONLY)), other = (int)MUST(open("/f/a", O_RDWR));
	TRY(flock(file, LOCK_EX));
	TRY(flock(other, LOCK_SH | LOCK_NB));
	TRY(flock(file, LOCK_SH | LOCK_NB));
	TRY(flock(other, LOCK_SH | LOCK_NB));
	TRY(flock(file, LOCK_EX | LOCK_NB));
	TRY(flock(other, LOCK_UN));
	TRY(flock(file, LOCK_UN | LOCK_NB));
	show_notes();
	TRY(flock(file, LOCK_EX));
	all->asked[FUSE_SETLKW] = 0;
	all->count = 0;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(file);
		_exit(flock(other, LOCK_EX) ? errno : 0);
	}
	until_asked(FUSE_SETLKW, 1);
	/* The release of the description ends the lock, and the child gets it. */
	TRY(close(file));
	waitpid(child, &status, 0);
	show_status(status);
	until_asked(FUSE_RELEASE, 1);
	until_asked(FUSE_FLUSH, 3);
	all->count = 0;
	forget_owners(2);
	TRY(close(other));
	until_asked(FUSE_RELEASE, 2);
	show_notes();
	end();
}

static void descriptions(void)
{
	printf("\nlocks of descriptions\n");
	all->flags = FUSE_POSIX_LOCKS;
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR)), other = (int)MUST(open("/f/a", O_RDWR));
	lock_by(file, F_OFD_SETLK, F_WRLCK, 0, 10);
	lock_by(other, F_OFD_SETLK, F_WRLCK, 5, 10);
	lock_by(other, F_OFD_GETLK, F_WRLCK, 5, 10);
	lock_by(other, F_GETLK, F_WRLCK, 5, 10);
	lock_by(file, F_OFD_SETLKW, F_UNLCK, 0, 10);
	lock_by(other, F_OFD_SETLKW, F_WRLCK, 5, 10);
	/* flock(2) is the kernel's here. */
	TRY(flock(file, LOCK_EX));
	TRY(flock(other, LOCK_EX | LOCK_NB));
	show_notes();
	TRY(close(file));
	until_asked(FUSE_RELEASE, 1);
	show_notes();
	TRY(flock(other, LOCK_EX | LOCK_NB));
	TRY(close(other));
	until_asked(FUSE_RELEASE, 2);
	end();
}

static void kernels_own(void)
{
	printf("\nlocks that the kernel keeps\n");
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	lock_by(file, F_SETLK, F_WRLCK, 10, 10);
	TRY(flock(file, LOCK_EX));
	IN_CHILD(
		lock_by(file, F_GETLK, F_WRLCK, 0, 0);
		lock_by(file, F_SETLK, F_WRLCK, 0, 0);
	);
	until_asked(FUSE_FLUSH, 1);
	TRY(close(file));
	until_asked(FUSE_RELEASE, 1);
	end();
	all->flags = FUSE_POSIX_LOCKS;
	all->minor = 16;
	begin("");
	file = (int)MUST(open("/f/a", O_RDWR));
	TRY(flock(file, LOCK_EX));
	show_notes();
	TRY(close(file));
	until_asked(FUSE_RELEASE, 1);
	end();
}

static void lies(void)
{
	printf("\nlies\n");
	all->flags = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	for (int lie = BAD_KIND; lie <= GREAT_PID; lie++) {
		printf("lie %d\n", lie);
		all->lie = lie;
		lock_by(file, F_GETLK, F_WRLCK, 0, 0);
		lock_by(file, F_OFD_GETLK, F_WRLCK, 0, 0);
		if (lie == SHORT || lie == LONG || lie == UNKNOWN) {
			lock_by(file, F_SETLK, F_WRLCK, 0, 0);
			TRY(flock(file, LOCK_SH));
			show_notes();
		}
	}
	all->lie = HONEST;
	lock_by(file, F_SETLK, F_WRLCK, 0, 0);
	TRY(close(file));
	until_asked(FUSE_RELEASE, 1);
	end();
}

int main(void)
{
	prepare();
	hook = lock_hook;
	first_process = getpid();
	records();
	waiting();
	whole();
	descriptions();
	kernels_own();
	lies();
	rmdir("/f");
	return 0;
}
