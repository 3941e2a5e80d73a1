/*
 * The agent's loop: ports, the programs' streams, children that end, and the machine's end: it comes with the signals that
 * busybox's poweroff, halt and reboot send to process 1. Programs get SIGTERM first, and END_S to follow it; their hosts
 * get the status 0. The main program's host learns of it last, because it ends the machine then.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct session sessions[SESSIONS];
int tools = -1;

enum {
	PORT_WAIT_S = 5, /* for the kernel's driver, which has usually found the ports by now */
	END_S = 2,       /* for programs that were asked to end, and again for their last output */
};

static const int end_signals[] = {SIGUSR1, SIGUSR2, SIGTERM}; /* halt, power off, restart: all of them end the machine */
static volatile sig_atomic_t end_wanted;
static time_t end_time; /* when programs are killed; 0: nobody wants the machine to end */

static int idle_ports; /* an epoll set: a port that nobody uses reports "hung up" all the time, and must not wake us */

static void on_child(int number)
{
	(void)number;
}

static void on_end(int number)
{
	(void)number;
	end_wanted = 1;
}

/* A port that is in the set already stays as it is. */
static void watch_idle(struct session *session)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = session};

	epoll_ctl(idle_ports, EPOLL_CTL_ADD, session->port, &event);
}

void session_idle(struct session *session)
{
	session_reset(session);
	watch_idle(session);
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static int open_port(int number, bool waits)
{
	char path[32];
	time_t start = seconds();

	snprintf(path, sizeof path, "/dev/vport0p%d", number);
	for (;;) {
		int port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (port >= 0 || !waits || seconds() - start > PORT_WAIT_S)
			return port;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* The main program's port is connected from the beginning; until the kernel knows that, a read says "hung up". */
static void wait_for_host(int port)
{
	struct pollfd wanted = {.fd = port, .events = POLLIN};

	while (poll(&wanted, 1, 1000) >= 0 && wanted.revents & POLLHUP)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Whether there are processes left. */
static bool reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < SESSIONS && !end_time; i++)
			if (sessions[i].state == RUNNING && sessions[i].pid == pid)
				session_ended(&sessions[i], status);
	return pid == 0;
}

static void ask_to_end(void)
{
	end_time = seconds() + END_S;
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	for (int i = 0; i < SESSIONS; i++)
		if (sessions[i].state == RUNNING && sessions[i].tty)
			kill(sessions[i].pid, SIGHUP); /* a shell at a terminal ignores SIGTERM */
}

/* Send what a program has printed, and that it has ended. */
static void send_rest(struct session *session)
{
	time_t limit = seconds() + END_S;

	if (session->state != RUNNING && session->state != ENDED)
		return;
	session_ended(session, 0);
	while ((session_pump(session), session->state != FINISHED || session_wants_output(session)) && seconds() <= limit)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static _Noreturn void end_machine(void)
{
	struct pollfd answer = {.fd = sessions[0].port, .events = POLLIN};

	end_programs();
	for (int i = 1; i < SESSIONS; i++)
		send_rest(&sessions[i]);
	sync();
	send_rest(&sessions[0]);
	poll(&answer, 1, END_S * 1000); /* the host has the status when it answers, or ends the machine itself */
	power_off();
}

static bool is_active(const struct session *session)
{
	return session->port >= 0 && (session->is_main || session->state != IDLE || session->have > 0);
}

static int collect(struct pollfd *wanted)
{
	int count = 0;

	wanted[count++] = (struct pollfd){.fd = idle_ports, .events = POLLIN};
	for (int i = 0; i < SESSIONS; i++) {
		struct session *session = &sessions[i];
		if (!is_active(session))
			continue;
		bool is_full = session_wants_output(session);
		wanted[count++] = (struct pollfd){.fd = session->port, .events = (short)(POLLIN | (is_full ? POLLOUT : 0))};
		for (int which = 0; which < 2 && !is_full; which++)
			if (session->output[which] >= 0)
				wanted[count++] = (struct pollfd){.fd = session->output[which], .events = POLLIN};
		if (session->input >= 0 && session->ring_used > 0)
			wanted[count++] = (struct pollfd){.fd = session->input, .events = POLLOUT};
	}
	return count;
}

static void serve_idle(void)
{
	struct epoll_event events[SESSIONS];
	int count = epoll_wait(idle_ports, events, SESSIONS, 0);

	for (int i = 0; i < count; i++) {
		struct session *session = events[i].data.ptr;
		session_readable(session);
		if (is_active(session))
			epoll_ctl(idle_ports, EPOLL_CTL_DEL, session->port, NULL);
	}
}

int main(void)
{
	static struct pollfd wanted[1 + 4 * SESSIONS];
	sigset_t handled, none;

	prepare_devices();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, on_child);
	sigemptyset(&none);
	sigemptyset(&handled);
	sigaddset(&handled, SIGCHLD);
	for (size_t i = 0; i < sizeof end_signals / sizeof end_signals[0]; i++) {
		signal(end_signals[i], on_end);
		sigaddset(&handled, end_signals[i]);
	}
	sigprocmask(SIG_BLOCK, &handled, NULL);
	idle_ports = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < SESSIONS; i++) {
		struct session *session = &sessions[i];
		session->is_main = i == 0;
		session->input = session->output[0] = session->output[1] = -1;
		session->port = open_port(i + 1, i == 0);
		if (session->port >= 0 && i > 0)
			watch_idle(session);
	}
	if (sessions[0].port < 0) {
		fprintf(stderr, "agent: there is no port to the host\n");
		power_off();
	}
	wait_for_host(sessions[0].port);
	for (;;) {
		int count = collect(wanted);
		struct timespec moment = {.tv_nsec = 50000000};
		if (ppoll(wanted, (nfds_t)count, end_time ? &moment : NULL, &none) < 0 && errno != EINTR)
			power_off();
		if (end_wanted && !end_time)
			ask_to_end();
		bool are_left = reap();
		if (end_time && (!are_left || seconds() > end_time))
			end_machine();
		serve_idle();
		for (int i = 0; i < SESSIONS; i++) {
			struct session *session = &sessions[i];
			for (int at = 1; at < count; at++)
				if (wanted[at].fd == session->port && wanted[at].revents & (POLLIN | POLLHUP) && is_active(session)) {
					session_readable(session);
					break;
				}
			session_pump(session);
		}
	}
}
