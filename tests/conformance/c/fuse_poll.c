/* Files of a server that are polled: what it is asked, its notices, epoll, servers that know no POLL, and lies. */
#define _GNU_SOURCE
#include "fuse_case.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

enum lie { HONEST, SHORT, LONG, EVERYTHING, FAILS, UNKNOWN };

/* What the server's files are ready for, and the number by which the kernel knows the polled one. */
struct state { volatile int events; volatile uint64_t number; };
static struct state *state;

static int notice(int code, const void *body, size_t size)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof out + size), .error = code};
	struct iovec parts[2] = {{&out, sizeof out}, {(void *)body, size}};
	return writev(device, parts, 2) < 0 ? errno : 0;
}

static int poll_hook(const struct fuse_in_header *in, char *argument)
{
	if (in->opcode == FUSE_WRITE) { /* a command */
		struct fuse_write_in *write = (void *)argument;
		struct fuse_write_out out = {.size = write->size};
		char *text = argument + sizeof *write;
		struct fuse_notify_poll_wakeup_out wakeup = {.kh = state->number};
		char bytes[16] = "";
		if (*text == 'n')
			note("notice: %s", error_name(notice(FUSE_NOTIFY_POLL, &wakeup, sizeof wakeup)));
		if (*text == 'u') {
			wakeup.kh = 12345678;
			int error = notice(FUSE_NOTIFY_POLL, &wakeup, sizeof wakeup);
			note("notice of an unknown file: %s", error ? error_name(error) : "ok");
		}
		if (*text == 's')
			note("short notice: %s", error_name(notice(FUSE_NOTIFY_POLL, bytes, 7)));
		if (*text == 'l')
			note("long notice: %s", error_name(notice(FUSE_NOTIFY_POLL, bytes, 9)));
		answer(in, 0, &out, sizeof out);
		return 1;
	}
	if (in->opcode != FUSE_POLL)
		return 0;
	struct fuse_poll_in *poll = (void *)argument;
	struct fuse_poll_out out = {.revents = (uint32_t)state->events, .padding = 0};
	char body[sizeof out + 1] = "";
	size_t size = sizeof out;
	int error = 0;
	if (state->number && poll->kh != state->number)
		note("the number has changed");
	state->number = poll->kh;
	note("POLL for %x, flags %x", poll->events, poll->flags);
	switch (all->lie) {
	case SHORT: size--; break;
	case LONG: size++; break;
	case EVERYTHING: out.revents = 0xffffffff; break;
	case FAILS: error = -ENOSPC, size = 0; break;
	case UNKNOWN: error = -ENOSYS, size = 0; break;
	}
	memcpy(body, &out, sizeof out);
	answer(in, error, body, size);
	return 1;
}

static void show_poll(int file, int events, int timeout)
{
	struct pollfd one = {.fd = file, .events = (short)events};
	int result = poll(&one, 1, timeout);
	printf("poll for %x: %d, %x\n", events, result, one.revents & 0xffff);
}

/* A child that becomes ready by a notice, once it sleeps. */
static void wakes(int file, int uses_epoll)
{
	int status;
	state->events = 0;
	all->asked[FUSE_POLL] = 0;
	all->count = 0;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		if (uses_epoll) {
			struct epoll_event event = {.events = EPOLLIN, .data.u32 = 5};
			int set = (int)MUST(epoll_create1(0));
			TRY(epoll_ctl(set, EPOLL_CTL_ADD, file, &event));
			SHOW(epoll_wait(set, &event, 1, -1));
			printf("events %x of %d\n", event.events, event.data.u32);
		} else {
			show_poll(file, POLLIN, -1);
		}
		fflush(stdout);
		_exit(0);
	}
	until_asked(FUSE_POLL, 1);
	until_asleep(child);
	state->events = POLLIN | POLLRDNORM;
	MUST(pwrite(file, "n", 1, 0));
	waitpid(child, &status, 0);
	show_status(status);
	until_asked(FUSE_POLL, 2);
	all->count = 0;
}

static void ready(void)
{
	printf("\nready files\n");
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	state->events = POLLIN;
	show_poll(file, POLLIN | POLLOUT, 0);
	show_poll(file, POLLOUT, 0);
	state->events = POLLERR | POLLHUP | POLLPRI | POLLRDHUP;
	show_poll(file, 0, 0);
	show_poll(file, POLLPRI | POLLRDHUP, 0);
	show_poll(file, POLLIN, 1);
	all->count = 0;
	state->events = POLLOUT;
	fd_set in, out;
	struct timeval now = {0, 0};
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(file, &in);
	FD_SET(file, &out);
	SHOW(select(file + 1, &in, &out, NULL, &now));
	CHECK(FD_ISSET(file, &in));
	CHECK(FD_ISSET(file, &out));
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = 7};
	int set = (int)MUST(epoll_create1(0));
	TRY(epoll_ctl(set, EPOLL_CTL_ADD, file, &event));
	SHOW(epoll_wait(set, &event, 1, 0));
	printf("events %x of %d\n", event.events, event.data.u32);
	state->events = 0;
	SHOW(epoll_wait(set, &event, 1, 0));
	TRY(epoll_ctl(set, EPOLL_CTL_DEL, file, NULL));
	int directory = (int)MUST(open("/f", O_RDONLY));
	TRY(epoll_ctl(set, EPOLL_CTL_ADD, directory, &event));
	show_poll(directory, POLLIN | POLLOUT, 0);
	close(directory);
	close(set);
	all->count = 0;
	wakes(file, 0);
	wakes(file, 1);
	printf("notices\n");
	all->count = 0;
	MUST(pwrite(file, "u", 1, 0));
	MUST(pwrite(file, "s", 1, 0));
	MUST(pwrite(file, "l", 1, 0));
	show_notes();
	close(file);
	until_asked(FUSE_RELEASE, 1);
	end();
}

/* Whoever waits finds out that the server has gone. */
static void death(void)
{
	int status;
	printf("\nthe end\n");
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	state->events = 0;
	all->asked[FUSE_POLL] = 0;
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		show_poll(file, POLLIN, -1);
		fflush(stdout);
		_exit(0);
	}
	until_asked(FUSE_POLL, 1);
	until_asleep(child);
	kill(server, SIGKILL);
	waitpid(child, &status, 0);
	show_status(status);
	show_poll(file, POLLIN, 0);
	close(file);
	TRY(umount("/f"));
	waitpid(server, &status, 0);
	show_status(status);
	memset(all, 0, sizeof *all);
}

static void lies(void)
{
	printf("\nlies\n");
	begin("");
	int file = (int)MUST(open("/f/a", O_RDWR));
	state->events = POLLIN;
	for (int lie = SHORT; lie <= UNKNOWN; lie++) {
		all->lie = lie;
		printf("lie %d\n", lie);
		show_poll(file, POLLIN | POLLOUT, 0);
	}
	/* It knows no POLL, and is not asked again. */
	all->lie = HONEST;
	all->count = 0;
	show_poll(file, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLPRI, 0);
	show_notes();
	close(file);
	until_asked(FUSE_RELEASE, 1);
	end();
}

int main(void)
{
	prepare();
	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hook = poll_hook;
	ready();
	state->number = 0;
	death();
	state->number = 0;
	lies();
	rmdir("/f");
	return 0;
}
