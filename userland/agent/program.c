/* Starting a program: its user, its streams, its place; and what a shell would say where that fails. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

/* The value of the next setting with this key; `place` says where to begin, and is moved. NULL: there is none. */
const char *setting(const struct request *request, const char *key, size_t *place)
{
	size_t at = place ? *place : 0, length = strlen(key);

	while (at < request->length) {
		const char *text = request->text + at;
		at += strlen(text) + 1;
		if (strncmp(text, key, length) == 0 && text[length] == '=') {
			if (place)
				*place = at;
			return text + length + 1;
		}
	}
	return NULL;
}

struct failure {
	int status;
	char text[240];
};

/* In the child: tell the agent why there is no program, and end. */
static _Noreturn void fail(int report, int status, const char *format, const char *what, int error)
{
	struct failure failure = {.status = status};

	snprintf(failure.text, sizeof failure.text, format, what, strerror(error));
	ssize_t done = write(report, &failure, sizeof failure);
	_exit(done == sizeof failure ? status : EXIT_AGENT);
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 10;
}

/* Become USER[:GROUP], each a name or a number. */
static void become(const char *wanted, int report)
{
	char name[256];
	snprintf(name, sizeof name, "%s", wanted);
	char *group = strchr(name, ':');
	if (group)
		*group++ = 0;
	struct passwd *user = is_number(name) ? getpwuid((uid_t)atol(name)) : getpwnam(name);
	if (!user && !is_number(name))
		fail(report, EXIT_AGENT, "there is no user %s in the image", name, 0);
	uid_t uid = user ? user->pw_uid : (uid_t)atol(name);
	gid_t gid = user ? user->pw_gid : 0;
	if (group && *group) {
		struct group *found = is_number(group) ? NULL : getgrnam(group);
		if (!found && !is_number(group))
			fail(report, EXIT_AGENT, "there is no group %s in the image", group, 0);
		gid = found ? found->gr_gid : (gid_t)atol(group);
		setgroups(0, NULL);
	} else if (!user || initgroups(user->pw_name, gid) != 0) {
		setgroups(0, NULL);
	}
	if (!getenv("HOME"))
		setenv("HOME", user && *user->pw_dir ? user->pw_dir : "/", 1);
	if (setgid(gid) != 0 || setuid(uid) != 0)
		fail(report, EXIT_AGENT, "cannot become user %s: %s", name, errno);
}

/* In a child: signals as programs expect them. What the agent catches, exec(3) sets back itself. */
void reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void make_directories(const char *path)
{
	char part[PATH_MAX];
	snprintf(part, sizeof part, "%s", path);
	for (char *at = part + 1; *at; at++) {
		if (*at == '/') {
			*at = 0;
			mkdir(part, 0755);
			*at = '/';
		}
	}
	mkdir(part, 0755);
}

static _Noreturn void run(const struct request *request, int streams[3], int report)
{
	char *arguments[SETTINGS];
	int count = 0;
	const char *value;

	setsid();
	if (setting(request, "tty", NULL))
		ioctl(streams[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		if (dup2(streams[i], i) < 0)
			fail(report, EXIT_AGENT, "%s: %s", "the program's streams", errno);
	clearenv();
	for (size_t place = 0; (value = setting(request, "env", &place));)
		putenv((char *)value);
	for (size_t place = 0; (value = setting(request, "arg", &place)) && count < SETTINGS - 1;)
		arguments[count++] = (char *)value;
	arguments[count] = NULL;
	const char *user = setting(request, "user", NULL);
	const char *where = setting(request, "cwd", NULL);
	if (where && chdir(where) != 0) {
		make_directories(where);
		if (chdir(where) != 0)
			fail(report, EXIT_NOT_RUN, "cannot go to %s: %s", where, errno);
	}
	become(user && *user ? user : "0", report);
	reset_signals();
	if (count == 0)
		fail(report, EXIT_AGENT, "%s", "no program was named", 0);
	if (setting(request, "tool", NULL))
		fexecve(tools, arguments, environ);
	else
		execvp(arguments[0], arguments);
	fail(report, errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN, "%s: %s", arguments[0], errno);
}

/* A pseudo terminal; false where there is none. */
static bool open_terminal(struct session *session, const struct request *request, int streams[3])
{
	int number = 0, unlock = 0;
	char path[32];
	unsigned rows = 0, columns = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCGPTN, &number) != 0)
		return false;
	snprintf(path, sizeof path, "/dev/pts/%d", number);
	int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return false;
	const char *size = setting(request, "size", NULL);
	if (size && sscanf(size, "%u,%u", &rows, &columns) == 2) {
		struct winsize window = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
		ioctl(slave, TIOCSWINSZ, &window);
	}
	session->input = master;
	session->output[0] = fcntl(master, F_DUPFD_CLOEXEC, 3);
	streams[0] = streams[1] = streams[2] = slave;
	return session->output[0] >= 0;
}

static bool open_pipes(struct session *session, const struct request *request, int streams[3])
{
	int ends[2];

	if (setting(request, "input", NULL)) {
		if (pipe2(ends, O_CLOEXEC) != 0)
			return false;
		streams[0] = ends[0];
		session->input = ends[1];
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
	} else {
		streams[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	for (int i = 0; i < 2; i++) {
		if (pipe2(ends, O_CLOEXEC) != 0)
			return false;
		streams[1 + i] = ends[1];
		session->output[i] = ends[0];
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
	}
	return streams[0] >= 0;
}

void program_start(struct session *session, const struct request *request)
{
	int streams[3] = {-1, -1, -1}, report[2];
	struct failure failure;

	session->tty = setting(request, "tty", NULL) != NULL;
	bool has_streams = session->tty ? open_terminal(session, request, streams) : open_pipes(session, request, streams);
	if (!has_streams || pipe2(report, O_CLOEXEC) != 0) {
		session_failed(session, EXIT_AGENT, session->tty ? "there is no terminal" : "there are no pipes");
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		run(request, streams, report[1]);
	close(report[1]);
	for (int i = 0; i < 3; i++)
		if (streams[i] >= 0 && (i == 0 || streams[i] != streams[0]))
			close(streams[i]);
	if (pid < 0) {
		session_failed(session, EXIT_AGENT, "no process can be made");
	} else if (read(report[0], &failure, sizeof failure) == (ssize_t)sizeof failure) {
		failure.text[sizeof failure.text - 1] = 0;
		session_failed(session, failure.status, failure.text);
	} else {
		session->pid = pid;
		session->state = RUNNING;
	}
	close(report[0]);
}
