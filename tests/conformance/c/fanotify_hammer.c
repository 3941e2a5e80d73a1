/* Programs open, run, rename and remove files and are killed, while groups that guard them come, answer and go. In the
 * end nothing keeps the file system. */
#include "fanotify_case.h"
#include <pthread.h>

#define WORKERS 5
#define ROUNDS 150

static volatile int group = -1, over;

static unsigned next_number(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

static void work(unsigned state)
{
	for (;;) {
		char name[16], other[16], bytes[64];
		snprintf(name, sizeof name, "d/%u", next_number(&state) % 4);
		snprintf(other, sizeof other, "e/%u", next_number(&state) % 4);
		int f;
		switch (next_number(&state) % 8) {
		case 0: case 1:
			f = open(name, O_RDWR | O_CREAT, 0755);
			read(f, bytes, sizeof bytes);
			write(f, "#!/none\n", 8);
			close(f);
			break;
		case 2: unlink(name); break;
		case 3: rename(name, other); break;
		case 4: rename(other, name); break;
		case 5:
			f = open("d", O_RDONLY | O_DIRECTORY);
			syscall(SYS_getdents64, f, bytes, sizeof bytes);
			close(f);
			break;
		case 6: execl(name, name, NULL); break;
		default:
			f = open("d", O_RDWR | O_TMPFILE, 0600);
			close(f);
		}
	}
}

static pid_t start_worker(unsigned seed)
{
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		close(group);
		work(seed);
	}
	return child;
}

static void *answer(void *unused)
{
	(void)unused;
	unsigned state = 9;
	static char buffer[4096] __attribute__((aligned(8)));
	while (!over) {
		int now = group;
		struct pollfd poller = { now, POLLIN, 0 };
		if (poll(&poller, 1, 2) <= 0)
			continue;
		ssize_t n = read(now, buffer, 24 * (1 + next_number(&state) % 20));
		for (char *at = buffer; n >= 24 && at < buffer + n; at += 24) {
			struct fanotify_event_metadata e;
			memcpy(&e, at, sizeof e);
			struct fanotify_response r = { e.fd, next_number(&state) % 4 ? FAN_ALLOW : FAN_DENY };
			if (next_number(&state) % 16)
				write(now, &r, sizeof r);
			if (e.fd >= 0)
				close(e.fd);
		}
	}
	return NULL;
}

static int made_group(unsigned state)
{
	int made = (int)MUST(fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY));
	unsigned how[] = { 0, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM };
	MUST(fanotify_mark(made, FAN_MARK_ADD | how[state % 3], FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | FAN_OPEN |
			FAN_CLOSE | FAN_MODIFY | FAN_ONDIR | FAN_EVENT_ON_CHILD, AT_FDCWD, "d"));
	return made;
}

int main(void)
{
	on_tmpfs();
	MUST(mkdir("d", 0755));
	MUST(mkdir("e", 0755));
	unsigned state = 3;
	group = made_group(0);
	int named = (int)MUST(fanotify_init(FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_FID | FAN_NONBLOCK | FAN_CLOEXEC, 0));
	MUST(fanotify_mark(named, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_DELETE_SELF |
			FAN_OPEN | FAN_ONDIR, AT_FDCWD, "."));
	pid_t workers[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		workers[i] = start_worker((unsigned)i + 1);
	pthread_t thread;
	pthread_create(&thread, NULL, answer, NULL);
	static char buffer[16384];
	for (int round = 0; round < ROUNDS; round++) {
		unsigned which = next_number(&state) % WORKERS;
		int status, old = group;
		char path[64];
		switch (next_number(&state) % 6) {
		case 0: case 1:
			kill(workers[which], SIGKILL);
			MUST(waitpid(workers[which], &status, 0));
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				printf("a worker: %#x\n", status);
			workers[which] = start_worker(state);
			break;
		case 2:
			group = made_group(state);
			close(old);
			break;
		case 3: fanotify_mark(old, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, NULL); break;
		case 4:
			snprintf(path, sizeof path, "/proc/self/fdinfo/%d", named);
			int f = open(path, O_RDONLY);
			read(f, buffer, sizeof buffer);
			close(f);
			break;
		default: read(named, buffer, sizeof buffer);
		}
		sleep_ms(2);
	}
	for (int i = 0; i < WORKERS; i++) {
		kill(workers[i], SIGKILL);
		MUST(waitpid(workers[i], NULL, 0));
	}
	over = 1;
	pthread_join(thread, NULL);
	close(group);
	while (read(named, buffer, sizeof buffer) > 0)
		;
	MUST(chdir(".."));
	SHOW(umount("place"));
	close(named);
	MUST(rmdir("place"));
	return 0;
}
