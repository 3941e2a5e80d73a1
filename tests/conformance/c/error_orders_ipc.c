/*
 * Calls of System V and POSIX queues, of descriptors that wait, of mounts, keys, programs and confinement with several bad
 * arguments at once: which error wins.
 */
#define BRIEF
#include "orders_case.h"
#include <sys/ioctl.h>
#include <sys/mount.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#define SYS_fspick 433
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif

static char *edge; /* the end of memory: a page that is not there follows */

/* Objects of the superuser that others may only read (0444), only write (0222), or not use at all (0). */
static int segments[3], sets[3], queues[3];
static int group; /* the directory of the topmost control group */
static const int modes[] = { 0444, 0222, 0 };

static void make_objects(void)
{
	for (int i = 0; i < 3; i++) {
		segments[i] = (int)MUST(syscall(SYS_shmget, 0, (long)PAGE, 01000 | modes[i]));
		sets[i] = (int)MUST(syscall(SYS_semget, 0, 2, 01000 | modes[i]));
		queues[i] = (int)MUST(syscall(SYS_msgget, 0, 01000 | modes[i]));
	}
	MUST(mkdir("groups", 0755));
	MUST(mount("none", "groups", "cgroup2", 0, ""));
	group = (int)MUST(open("groups", O_RDONLY | O_DIRECTORY));
	MUST(umount2("groups", MNT_DETACH));
}

static void remove_objects(void)
{
	close(group);
	MUST(rmdir("groups"));
	for (int i = 0; i < 3; i++) {
		MUST(syscall(SYS_shmctl, segments[i], 0, 0L));
		MUST(syscall(SYS_semctl, sets[i], 0, 0, 0L));
		MUST(syscall(SYS_msgctl, queues[i], 0, 0L));
	}
}

static void shared_memory(int id, int mine)
{
	static const int commands[] = { -1, 1, 2, 4, 5, 11, 12, 13, 15, 99 };
	char record[112] = { 0 };
	char *odd = (char *)1 + PAGE;
	C(shmat, id, odd, 0);
	C(shmat, id, odd, 020000 | 0x8000000);
	C(shmat, id, 0L, 040000);
	C(shmat, id, 100L, 060000);
	C(shmat, id, edge - PAGE, 0);
	C(shmat, id, edge - PAGE, 010000);
	C(shmat, id, KERNEL, 0);
	C(shmat, id, KERNEL, 040000);
	C(shmat, id, -4096L, 0100000);
	for (int i = 0; i < 10; i++) {
		if (commands[i] == 13 || commands[i] == 15)
			continue; /* they take an index */
		C(shmctl, id, commands[i], BAD);
		C(shmctl, id, commands[i], KERNEL);
		C(shmctl, id, commands[i] | 0x100, BAD);
		if (!mine && commands[i] != 1)
			C(shmctl, id, commands[i], record);
	}
	if (!mine)
		C(shmctl, id, 0, BAD);
}

static void semaphores(int id, int mine)
{
	struct operation { unsigned short number; short change, flags; } o[2] = { { 9, 1, 0 }, { 0, -5, 04000 } };
	struct timespec late = { 0, -1 };
	unsigned short values[2] = { 40000, 1 };
	char record[104] = { 0 };
	C(semop, id, BAD, 0);
	C(semop, id, BAD, 501);
	C(semop, id, BAD, -1);
	C(semop, id, BAD, 1);
	C(semop, id, o, 1);
	C(semop, id, o, 2);
	C(semop, id, o + 1, 1);
	C(semtimedop, id, BAD, 0, BAD);
	C(semtimedop, id, BAD, 501, BAD);
	C(semtimedop, id, BAD, 1, &late);
	C(semtimedop, id, BAD, 0, &late);
	C(semtimedop, id, o, 1, &late);
	C(semtimedop, id, o + 1, 1, &late);
	o[1].change = 0x7fff;
	o[1].flags = 04000 | 0x1000;
	o[0].number = 0;
	o[0].change = 1;
	C(semop, id, o, 2);
	C(semtimedop, id, o, 2, &late);
	static const int commands[] = { -1, 1, 2, 11, 12, 13, 14, 15, 16, 17, 99, 0x10c };
	for (int i = 0; i < 12; i++)
		for (int n = -1; n < 3; n++) {
			int c = commands[i];
			char before[100];
			memcpy(before, where, sizeof before);
			in("%.60scommand %d, semaphore %d: ", before, c, n);
			T(semctl, id, n, c, BAD);
			T(semctl, id, n, c, KERNEL);
			T(semctl, id, n, c, 40000L);
			T(semctl, id, n, c, -1L);
			if (c == 17)
				C(semctl, id, n, c, values);
			if (c == 1 && !mine)
				C(semctl, id, n, c, record);
			memcpy(where, before, sizeof before);
		}
	if (!mine)
		C(semctl, id, -1, 0, BAD);
}

static void messages(int id, int mine)
{
	struct { long type; char text[8]; } m = { 0, "" };
	char record[120] = { 0 };
	C(msgsnd, id, BAD, 0L, 04000);
	C(msgsnd, id, BAD, -1L, 04000);
	C(msgsnd, id, BAD, 8193L, 04000);
	C(msgsnd, id, &m, -1L, 04000);
	C(msgsnd, id, &m, 8193L, 04000);
	C(msgsnd, id, &m, 1L, 04000);
	m.type = -1;
	C(msgsnd, id, &m, 0L, 04000);
	m.type = 1;
	*(long *)(edge - 8) = 1;
	C(msgsnd, id, edge - 8, 1L, 04000);
	*(long *)(edge - 8) = 0;
	C(msgsnd, id, edge - 8, 1L, 04000);
	C(msgrcv, id, BAD, 0L, 0L, 04000);
	C(msgrcv, id, BAD, -1L, 0L, 04000);
	C(msgrcv, id, BAD, 1L, 0L, 040000 | 04000);
	C(msgrcv, id, BAD, 1L, 0L, 040000);
	C(msgrcv, id, BAD, 1L, 0L, 040000 | 020000 | 04000);
	C(msgrcv, id, BAD, -1L, 0L, 040000);
	C(msgrcv, id, BAD, 1L, -0x7fffffffffffffff - 1, 04000);
	static const int commands[] = { -1, 1, 2, 4, 99, 0x102 };
	for (int i = 0; i < 6; i++) {
		C(msgctl, id, commands[i], BAD);
		C(msgctl, id, commands[i], KERNEL);
		if (commands[i] == 1 && !mine) {
			C(msgctl, id, commands[i], record);
			memset(record, 0xff, sizeof record);
			C(msgctl, id, commands[i], record);
		}
	}
	if (!mine)
		C(msgctl, id, 0, BAD);
}

static void system_v(int mine)
{
	in("");
	C(shmget, 0, 0L, 07777);
	C(shmget, 0x1234, 0L, 0);
	C(shmget, 0x1234, 0L, 02000);
	C(shmget, 0x1234, -1L, 01000);
	C(shmget, 0x1234, 0L, 03000);
	C(semget, 0x1234, -1, 0);
	C(semget, 0x1234, 0, 0);
	C(semget, 0x1234, 0, 01000);
	C(semget, 0x1234, 32001, 0);
	C(semget, 0x1234, 32001, 01000);
	C(semget, 0, 0, 0);
	C(msgget, 0x1234, 0);
	C(msgget, 0x1234, 02000);
	static const int none[] = { -1, 12345, (int)0x80000000 };
	for (int i = 0; i < 3; i++) {
		in("number %d: ", none[i]);
		shared_memory(none[i], 0);
		semaphores(none[i], 0);
		messages(none[i], 0);
	}
	for (int i = 0; i < 3; i++) {
		in("mode %o: ", modes[i]);
		shared_memory(segments[i], mine);
		semaphores(sets[i], mine);
		messages(queues[i], mine);
	}
}

static void posix_queues(void)
{
	in("");
	struct { long flags, most, size, now, rest[4]; } a = { 0, 2, 8, 0, { 0 } };
	struct timespec late = { 0, -1 }, past = { 0, 0 };
	struct sigevent event;
	char text[16] = "";
	unsigned priority;
	memset(&event, 0, sizeof event);
	static const char *const bad_names[] = { BAD, KERNEL, "", "/x", "x/y", ".", "..", "none" };
	for (int i = 0; i < 8; i++) {
		in("name %d: ", i);
		C(mq_open, bad_names[i], 0x40, 0600, BAD);
		C(mq_open, bad_names[i], 3, 0600, BAD);
		C(mq_open, bad_names[i], 3, 0600, 0L);
		C(mq_open, bad_names[i], 0, 0600, 0L);
		a.most = 0;
		C(mq_open, bad_names[i], 0x40, 0600, &a);
		a.most = 1L << 40;
		C(mq_open, bad_names[i], 0x43, 0600, &a);
		a.most = 2;
		if (i != 7)
			C(mq_open, bad_names[i], 0x40, 0600, &a);
		C(mq_unlink, bad_names[i]);
	}
	in("");
	C(mq_unlink, "orders");
	int q = (int)MUST(syscall(SYS_mq_open, "orders", 0x42 | O_NONBLOCK, 0600, &a));
	int reader = (int)MUST(syscall(SYS_mq_open, "orders", O_NONBLOCK, 0, 0L)), writer = (int)MUST(syscall(SYS_mq_open, "orders", 1 | O_NONBLOCK, 0, 0L));
	C(mq_open, "orders", 0xc0, 0, BAD);
	C(mq_open, "orders", 0xc3, 0, 0L);
	C(mq_open, "orders", 3, 0, 0L);
	C(mq_open, "orders", 0x43, 0, 0L);
	C(mq_open, "orders", 0x40, 0, BAD);
	a.most = 0;
	close((int)T(mq_open, "orders", 0x40, 0, &a));
	int plain = (int)MUST(open("/dev/null", O_RDWR));
	int fds[] = { q, reader, writer, plain, 999, -1 };
	static const char *const kinds[] = { "queue", "reader", "writer", "file", "closed", "negative" };
	for (int i = 0; i < 6; i++) {
		int f = fds[i];
		in("%s: ", kinds[i]);
		C(mq_timedsend, f, BAD, 9L, 32768, &late);
		C(mq_timedsend, f, BAD, 9L, 32768, BAD);
		C(mq_timedsend, f, BAD, 9L, 32768, 0L);
		C(mq_timedsend, f, BAD, 9L, 0, 0L);
		C(mq_timedsend, f, BAD, 8L, 32768, 0L);
		C(mq_timedsend, f, BAD, 8L, 0, &late);
		C(mq_timedsend, f, BAD, 8L, 0, &past);
		C(mq_timedsend, f, BAD, 8L, 0, 0L);
		C(mq_timedsend, f, text, -1L, 0, 0L);
		C(mq_timedreceive, f, BAD, 7L, BAD, &late);
		C(mq_timedreceive, f, BAD, 7L, BAD, BAD);
		C(mq_timedreceive, f, BAD, 7L, BAD, 0L);
		C(mq_timedreceive, f, BAD, 8L, BAD, 0L);
		C(mq_timedreceive, f, BAD, -1L, BAD, &past);
		C(mq_getsetattr, f, BAD, BAD);
		a.flags = 1;
		C(mq_getsetattr, f, &a, BAD);
		C(mq_getsetattr, f, 0L, BAD);
		a.flags = O_NONBLOCK;
		C(mq_getsetattr, f, &a, BAD);
		C(mq_notify, f, BAD);
		event.sigev_notify = 9;
		C(mq_notify, f, &event);
		event.sigev_notify = SIGEV_SIGNAL;
		event.sigev_signo = 65;
		C(mq_notify, f, &event);
		event.sigev_notify = SIGEV_THREAD;
		event.sigev_signo = 999;
		event.sigev_value.sival_ptr = BAD;
		C(mq_notify, f, &event);
		event.sigev_value.sival_ptr = text;
		event.sigev_signo = plain;
		char *cookie = edge - 32;
		event.sigev_value.sival_ptr = cookie;
		C(mq_notify, f, &event);
		event.sigev_signo = 999;
		C(mq_notify, f, &event);
		event.sigev_notify = SIGEV_NONE;
		event.sigev_signo = 65;
		C(mq_notify, f, &event);
		C(mq_notify, f, &event);
		C(mq_notify, f, 0L);
		C(read, f, BAD, 10L);
		C(write, f, BAD, 10L);
		C(ftruncate, f, -1L);
	}
	in("");
	memset(text, 7, sizeof text);
	C(mq_timedsend, q, text, 8L, 1, 0L);
	C(mq_timedreceive, q, BAD, 8L, BAD, 0L);
	C(mq_timedreceive, q, BAD, 8L, BAD, 0L);
	C(mq_timedsend, q, text, 8L, 1, 0L);
	priority = 9;
	C(mq_timedreceive, q, BAD, 8L, &priority, 0L);
	printf("priority %u\n", priority);
	C(mq_unlink, "orders");
	close(q);
	close(reader);
	close(writer);
	close(plain);
}

static void waiting_files(void)
{
	in("");
	struct itimerspec late = { { 0, -1 }, { 0, 0 } }, fine = { { 0, 0 }, { 0, 0 } };
	unsigned long set = 1UL << 9, number = -1UL;
	unsigned event[3] = { 0xffffffff, 0, 0 };
	static const int clocks[] = { -1, 0, 1, 2, 4, 7, 8, 9, 11, 99 };
	for (int i = 0; i < 10; i++) {
		in("clock %d: ", clocks[i]);
		C(timerfd_create, clocks[i], 1);
		int f = (int)T(timerfd_create, clocks[i], O_NONBLOCK);
		close(f);
	}
	in("");
	int plain = (int)MUST(open("/dev/null", O_RDWR)), e = (int)MUST(syscall(SYS_epoll_create1, 0)), e2 = (int)MUST(syscall(SYS_epoll_create1, 0));
	int v = (int)MUST(syscall(SYS_eventfd2, 0, O_NONBLOCK)), t = (int)MUST(syscall(SYS_timerfd_create, 0, O_NONBLOCK));
	int s = (int)MUST(syscall(SYS_signalfd4, -1, &set, 8L, O_NONBLOCK)), n = (int)MUST(syscall(SYS_inotify_init1, O_NONBLOCK));
	int p = (int)MUST(open("/dev/null", O_PATH)), d = (int)MUST(open(".", O_RDONLY));
	int fds[] = { plain, e, v, t, s, n, p, d, 999, -1 };
	static const char *const kinds[] = { "file", "epoll", "eventfd", "timerfd", "signalfd", "inotify", "path", "directory", "closed", "negative" };
	for (int i = 0; i < 10; i++) {
		int f = fds[i];
		in("%s: ", kinds[i]);
		C(timerfd_settime, f, 0, BAD, BAD);
		C(timerfd_settime, f, 99, &late, BAD);
		C(timerfd_settime, f, 0, &late, BAD);
		C(timerfd_settime, f, 99, &fine, BAD);
		C(timerfd_settime, f, 0, &fine, BAD);
		C(timerfd_gettime, f, BAD);
		C(signalfd4, f, BAD, 7L, 99);
		C(signalfd4, f, BAD, 8L, 99);
		C(signalfd4, f, &set, 7L, 0);
		C(signalfd4, f, &set, 8L, 99);
		if (f >= 0)
			C(signalfd4, f, &set, 8L, 0);
		C(signalfd, f, BAD, 7L);
		C(inotify_add_watch, f, BAD, 0);
		C(inotify_add_watch, f, BAD, 1);
		C(inotify_add_watch, f, "none", 0x30000001);
		C(inotify_add_watch, f, "none", 0x01000000);
		C(inotify_add_watch, f, "none", 0x80000000);
		C(inotify_rm_watch, f, -1);
		C(epoll_wait, f, BAD, -1, 0);
		C(epoll_wait, f, KERNEL, 1, 0);
		C(epoll_wait, f, BAD, 1, 0);
		C(epoll_pwait, f, BAD, 0, 0, BAD, 8L);
		C(epoll_pwait, f, BAD, 0, 0, &set, 9L);
		C(epoll_pwait2, f, BAD, 0, BAD, BAD, 8L);
		C(epoll_pwait2, f, BAD, 0, &late, &set, 9L);
		C(epoll_pwait2, f, BAD, 0, 0L, &set, 9L);
		C(fanotify_mark, f, 0, 0L, 999, BAD);
		C(fanotify_mark, f, 1, 1L, 999, BAD);
		C(fanotify_mark, f, 3, 1L, 999, BAD);
		C(fanotify_mark, f, 1, 1L << 40, 999, BAD);
		C(fanotify_mark, f, 0x10000, 1L, 999, BAD);
		C(fanotify_mark, f, 0x1001, 1L, 999, BAD);
		for (int o = 0; o < 4; o++)
			for (int g = 0; g < 10; g++) {
				if (o == 1 && g < 6)
					continue; /* added below */
				char before[100];
				memcpy(before, where, sizeof before);
				in("%.60soperation %d of %s: ", before, o, kinds[g]);
				C(epoll_ctl, f, o, fds[g], BAD);
				C(epoll_ctl, f, o, fds[g], 0L);
				if (o != 1)
					C(epoll_ctl, f, o, fds[g], event);
				memcpy(where, before, sizeof before);
			}
		if (f == d)
			continue;
		C(read, f, BAD, 7L);
		C(read, f, BAD, 8L);
		C(read, f, &number, 7L);
		C(write, f, BAD, 7L);
		C(write, f, BAD, 8L);
		C(write, f, &number, 8L);
		C(write, f, &number, 7L);
		C(ioctl, f, 0x40085400, BAD);
		C(ioctl, f, 0x40085400, &number);
		C(lseek, f, -1L, 9);
		C(pread64, f, BAD, 8L, -1L);
		C(pread64, f, BAD, 8L, 0L);
		C(pwrite64, f, BAD, 8L, 0L);
	}
	in("");
	event[0] = 0x10000000 | 1;
	C(epoll_ctl, e, 1, v, event);
	C(epoll_ctl, e, 1, v, event);
	C(epoll_ctl, e, 1, v, BAD);
	C(epoll_ctl, e, 3, v, event);
	event[0] = 0x50000001;
	C(epoll_ctl, e, 1, t, event);
	event[0] = 0x10000005;
	C(epoll_ctl, e, 1, e2, event);
	event[0] = 0x10000008 | 0x40000000;
	C(epoll_ctl, e, 1, plain, event);
	event[0] = 1;
	C(epoll_ctl, e, 1, plain, event);
	C(epoll_ctl, e, 1, d, event);
	C(epoll_ctl, e, 1, e2, event);
	C(epoll_ctl, e2, 1, e, event);
	C(epoll_ctl, e2, 2, e, BAD);
	C(epoll_ctl, e, 2, v, BAD);
	C(epoll_ctl, e, 2, v, BAD);
	C(eventfd2, 0, 0x1000);
	C(eventfd2, -1, 0x1000);
	C(epoll_create, -1);
	C(epoll_create1, 0x1000);
	C(inotify_init1, 0x1000);
	C(fanotify_init, 0x80000000, 0x80000000);
	C(fanotify_init, 0xc, 0);
	C(fanotify_init, 0xc, 3);
	C(fanotify_init, 0x200, 3);
	C(fanotify_init, 0x800, 0);
	C(fanotify_init, 0x800, 3);
	C(fanotify_init, 4, 0);
	C(fanotify_init, 0x10, 0x80000000);
	C(fanotify_init, 0x200, 0x40000000);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(e2);
}

static void mount_api(void)
{
	in("");
	static const char *const paths[] = { BAD, KERNEL, "", "none", "none/x", "f" };
	struct { uint64_t set, clear, propagation, userns; } a = { 0, 0, 0, 0 };
	int f = (int)MUST(open("f", O_RDONLY)), p = (int)MUST(open("f", O_PATH));
	int dirs[] = { AT_FDCWD, f, p, 999 };
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 4; j++) {
			int d = dirs[j];
			const char *path = paths[i];
			in("path %d, directory %d: ", i, j);
			C(open_tree, d, path, 0x80000000);
			C(open_tree, d, path, 0x8000);
			C(open_tree, d, path, 0x1);
			C(move_mount, d, path, 999, BAD, 0x80000000);
			C(move_mount, d, path, 999, BAD, 0);
			C(move_mount, d, path, 999, "", 0x40);
			C(move_mount, d, path, 999, "", 4);
			C(move_mount, d, path, 999, "none", 0x300);
			C(fspick, d, path, 0x80000000);
			C(fspick, d, path, 0);
			C(fspick, d, path, 8);
			C(mount_setattr, d, path, 0x80000000, BAD, 31L);
			C(mount_setattr, d, path, 0x80000000, &a, 32L);
			C(mount_setattr, d, path, 0, BAD, 31L);
			C(mount_setattr, d, path, 0, BAD, 4097L);
			C(mount_setattr, d, path, 0, BAD, 32L);
			C(mount_setattr, d, path, 0, &a, 32L);
			a.set = 1UL << 40;
			C(mount_setattr, d, path, 0, &a, 32L);
			a.set = 0x100000;
			a.userns = 999;
			C(mount_setattr, d, path, 0, &a, 32L);
			a.set = 0;
			a.clear = 0x10;
			C(mount_setattr, d, path, 0, &a, 32L);
			a.clear = 0;
			a.propagation = 3;
			C(mount_setattr, d, path, 0, &a, 32L);
			a.propagation = 0;
			C(quotactl, 0x80000700, path, 0, BAD);
		}
	in("");
	C(fsopen, BAD, 2);
	C(fsopen, BAD, 0);
	C(fsopen, "none", 2);
	C(fsopen, "none", 0);
	C(fsmount, 999, 2, 0x80000000);
	C(fsmount, 999, 0, 0x80000000);
	C(fsmount, 999, 0, 0);
	C(fsmount, f, 2, 0x80000000);
	C(fsmount, f, 0, 0x80000000);
	C(fsmount, f, 0, 0);
	int s = (int)T(fsopen, "tmpfs", 0);
	int fds[] = { s, f, p, 999, -1 };
	for (int i = 0; i < 5; i++)
		for (int c = -1; c < 11; c++) {
			in("descriptor %d, command %d: ", i, c);
			C(fsconfig, fds[i], c, BAD, BAD, 99);
			C(fsconfig, fds[i], c, 0L, BAD, 99);
			C(fsconfig, fds[i], c, BAD, 0L, 0);
			C(fsconfig, fds[i], c, "none", BAD, 0);
			C(fsconfig, fds[i], c, "none", BAD, 999);
			C(fsconfig, fds[i], c, "none", 0L, 999);
			if (i != 0 || c != 1) /* here a parameter that does not exist is refused later */
				C(fsconfig, fds[i], c, "none", "x", 0);
			if (i != 0)
				C(fsconfig, fds[i], c, 0L, 0L, 0);
		}
	in("");
	struct { uint32_t size, spare; uint64_t mount, parameter, more; } r = { 24, 0, 0, 0, 0 };
	C(statmount, BAD, BAD, 100L, 1);
	C(statmount, BAD, BAD, 100L, 0);
	C(statmount, &r, BAD, 100L, 0);
	C(listmount, BAD, BAD, 100L, 8);
	C(listmount, BAD, BAD, 100L, 0);
	C(listmount, &r, BAD, 100L, 0);
	C(listmount, &r, BAD, -1L, 0);
	r.spare = 1;
	C(statmount, &r, BAD, 100L, 0);
	C(listmount, &r, BAD, 100L, 0);
	r.spare = 0;
	r.size = 23;
	C(statmount, &r, BAD, 100L, 0);
	r.size = 5000;
	C(statmount, &r, BAD, 100L, 0);
	r.size = 24;
	r.mount = 1UL << 60;
	C(statmount, &r, BAD, 0L, 0);
	C(listmount, &r, BAD, 0L, 0);
	r.parameter = 1UL << 60;
	C(statmount, &r, BAD, 0L, 0);
	C(listmount, &r, BAD, 0L, 0);
	close(s);
	close(f);
	close(p);
}

static void key_calls(void)
{
	static const char *const types[] = { BAD, "", ".x", "none", "user", "keyring", "logon", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	static const char *const descriptions[] = { BAD, 0, "", "x", ".x" };
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 5; j++) {
			in("type %d, description %d: ", i, j);
			C(add_key, types[i], descriptions[j], BAD, 0L, NOBODY);
			C(add_key, types[i], descriptions[j], BAD, 1L, NOBODY);
			C(add_key, types[i], descriptions[j], BAD, 1L << 20, NOBODY);
			C(add_key, types[i], descriptions[j], BAD, 1L << 19, -99);
			C(add_key, types[i], descriptions[j], "p", 1L, NOBODY);
			C(add_key, types[i], descriptions[j], "p", 1L, -99);
			C(request_key, types[i], descriptions[j], BAD, NOBODY);
			C(request_key, types[i], descriptions[j], 0L, NOBODY);
			C(request_key, types[i], descriptions[j], 0L, 0);
			C(keyctl, 10, NOBODY, types[i], descriptions[j], 0L);
			C(keyctl, 10, -99L, types[i], descriptions[j], 0L);
			C(keyctl, 29, NOBODY, types[i], descriptions[j], 0L);
		}
	static const int keys[] = { 0, NOBODY, -99, -10, -1 };
	/* Not Diffie-Hellman's and public keys (23 to 28), without which Linux may be built. */
	for (int c = 0; c < 34; c++)
		for (int k = 0; k < 5; k++) {
			if (c == 1 || c == 18 || (c == 0 && k == 4) || (c == 3 && k == 4) || (c == 21 && k == 4) || c == 9 || c == 14 || (k == 4 && c == 15)
				|| c == 7 || (c >= 23 && c <= 28) || (c == 5 && k == 4))
				continue; /* they change the keyrings of this session */
			long key = keys[k];
			in("command %d, key %d: ", c, keys[k]);
			C(keyctl, c, key, BAD, 1L << 30, BAD);
			C(keyctl, c, key, BAD, 1L, BAD);
			C(keyctl, c, key, BAD, 0L, 0L);
			C(keyctl, c, key, KERNEL, 32768L, NOBODY);
			if (c != 6 && c != 24 && c != 25 && c != 26 && c != 27 && c != 28 && c != 11 && c != 17)
				C(keyctl, c, key, NOBODY, 99L, 99L);
		}
}

static void programs(void)
{
	static char attributes[160];
	unsigned *words = (unsigned *)attributes;
	int f = (int)MUST(open("/dev/null", O_RDWR));
	in("");
	/* Not BPF_OBJ_GET, those of BTF, and others that are not here. */
	for (int c = -1; c < 38; c++) {
		if (c == 7 || c == 19 || c == 20 || c == 23 || c == 32 || c == 33 || c == 35)
			continue;
		in("command %d: ", c);
		memset(attributes, 0, sizeof attributes);
		C(bpf, c, BAD, 0);
		C(bpf, c, BAD, 5000);
		C(bpf, c, BAD, 8);
		attributes[159] = 1;
		C(bpf, c, attributes, 160);
		attributes[159] = 0;
		if (c == 0 || c == 5 || (c >= 11 && c <= 14) || c == 17 || c == 18 || c == 23 || c == 31)
			continue; /* a program's error depends on what its kernel knows; numbers of what runs differ */
		words[0] = 999;
		C(bpf, c, attributes, 144);
		words[0] = (unsigned)f;
		C(bpf, c, attributes, 144);
		attributes[143] = 1;
		C(bpf, c, attributes, 144);
	}
	in("");
	memset(attributes, 0, sizeof attributes);
	words[0] = (unsigned)group;
	C(bpf, 9, attributes, 32); /* nothing is attached to it */
	words[5] = 1;
	C(bpf, 9, attributes, 32);
	close(f);
}

static void confinement(void)
{
	in("");
	struct { uint64_t files, network, scoped, more; } a = { 0, 0, 0, 0 };
	struct { uint64_t access; int fd; } __attribute__((packed)) rule = { 0, 999 };
	struct { uint64_t access, port; } port = { 1, 70000 };
	C(landlock_create_ruleset, BAD, 0L, 1);
	C(landlock_create_ruleset, 0L, 8L, 1);
	C(landlock_create_ruleset, 0L, 0L, 8);
	C(landlock_create_ruleset, 0L, 0L, 0);
	C(landlock_create_ruleset, BAD, 7L, 0);
	C(landlock_create_ruleset, BAD, 8L, 0);
	C(landlock_create_ruleset, BAD, 8L, 16);
	C(landlock_create_ruleset, BAD, 4097L, 0);
	C(landlock_create_ruleset, &a, 24L, 0);
	a.more = 1;
	C(landlock_create_ruleset, &a, 32L, 0);
	a.files = 1UL << 40;
	C(landlock_create_ruleset, &a, 32L, 0);
	C(landlock_create_ruleset, &a, 24L, 0);
	a.files = 4;
	a.network = 1;
	int ruleset = (int)MUST(syscall(SYS_landlock_create_ruleset, &a, 24L, 0)), f = (int)MUST(open("/dev/null", O_RDONLY));
	int p = (int)MUST(open("/", O_PATH));
	int fds[] = { ruleset, f, p, 999, -1 };
	for (int i = 0; i < 5; i++) {
		in("descriptor %d: ", i);
		for (int kind = 0; kind < 4; kind++) {
			C(landlock_add_rule, fds[i], kind, BAD, 1);
			C(landlock_add_rule, fds[i], kind, BAD, 0);
			C(landlock_add_rule, fds[i], kind, KERNEL, 0);
		}
		rule.access = 0;
		C(landlock_add_rule, fds[i], 1, &rule, 0);
		rule.access = 8;
		C(landlock_add_rule, fds[i], 1, &rule, 0);
		rule.access = 4;
		C(landlock_add_rule, fds[i], 1, &rule, 0);
		rule.fd = ruleset;
		C(landlock_add_rule, fds[i], 1, &rule, 0);
		rule.fd = 999;
		port.access = 1;
		C(landlock_add_rule, fds[i], 2, &port, 0);
		port.access = 2;
		C(landlock_add_rule, fds[i], 2, &port, 0);
		port.access = 0;
		C(landlock_add_rule, fds[i], 2, &port, 0);
		C(landlock_restrict_self, fds[i], 1);
		if (i != 0 || geteuid() != 0)
			C(landlock_restrict_self, fds[i], 0);
	}
	in("");
	uint32_t size = 0;
	C(lsm_list_modules, BAD, BAD, 1);
	C(lsm_list_modules, BAD, BAD, 0);
	C(lsm_list_modules, BAD, &size, 1);
	C(lsm_list_modules, BAD, &size, 0);
	C(lsm_get_self_attr, 0, BAD, BAD, 9);
	C(lsm_get_self_attr, 99, BAD, BAD, 0);
	C(lsm_set_self_attr, 99, BAD, 4, 1);
	C(lsm_set_self_attr, 100, BAD, 5000, 0);
	C(map_shadow_stack, 1L, 0L, 9);
	close(ruleset);
	close(f);
	close(p);
}

static void all(int is_owner)
{
	system_v(is_owner);
	posix_queues();
	waiting_files();
	mount_api();
	key_calls();
	programs();
	confinement();
}

int main(void)
{
	umask(0);
	MUST(chmod(".", 0777));
	edge = (char *)MUST(mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) + PAGE;
	MUST(munmap(edge, PAGE));
	MUST(signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0);
	put_file("f", "", 0666);
	make_objects();
	IN_CHILD({ all(1); });
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		all(0);
	});
	remove_objects();
	return 0;
}
