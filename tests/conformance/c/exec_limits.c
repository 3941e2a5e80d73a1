/* Covers: execve, execveat: sizes of arguments and environment, MAX_ARG_STRLEN, RLIMIT_STACK, scripts of scripts, long first lines, descriptors, NULL argv,
 * what a new program inherits: signals, masks, timers, ids, locks, umask, nice; AT_EMPTY_PATH; errors. */
#define _GNU_SOURCE
#include <sys/resource.h>
#include <sys/time.h>
#include "case.h"

static char *big(size_t size)
{
	char *text = malloc(size + 1);
	memset(text, 'x', size);
	text[size] = 0;
	return text;
}

static int show_self(int count, char **arguments)
{
	sigset_t set;
	struct itimerval timer;
	struct sigaction action;
	sigprocmask(SIG_SETMASK, NULL, &set);
	getitimer(ITIMER_REAL, &timer);
	printf("%d arguments, last %zu bytes\n", count, strlen(arguments[count - 1]));
	printf("blocked %d, pending alarm timer %d\n", sigismember(&set, SIGUSR1), timer.it_value.tv_sec > 0);
	sigaction(SIGUSR2, NULL, &action);
	printf("ignored stays %d, ", action.sa_handler == SIG_IGN);
	sigaction(SIGTERM, NULL, &action);
	printf("caught goes %d\n", action.sa_handler == SIG_DFL);
	stack_t stack;
	sigaltstack(NULL, &stack);
	printf("alternate stack %#x, nice %d, umask %o\n", stack.ss_flags, getpriority(PRIO_PROCESS, 0), umask(0));
	printf("kept descriptor %d, closed %d\n", fcntl(20, F_GETFD), fcntl(21, F_GETFD));
	sigpending(&set);
	printf("pending stays %d\n", sigismember(&set, SIGUSR1));
	return 17;
}

static void on_term(int signal) { (void)signal; }

int main(int count, char **arguments)
{
	if (count == 1 && arguments[0][0] == 0)
		return printf("an empty name\n") & 0;
	if (count > 1 && strcmp(arguments[1], "self") == 0)
		return show_self(count, arguments);
	char path[256];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	path[length] = 0;

	IN_CHILD(
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		signal(SIGUSR2, SIG_IGN);
		signal(SIGTERM, on_term);
		static char stack[65536];
		stack_t s = { .ss_sp = stack, .ss_size = sizeof stack };
		sigaltstack(&s, NULL);
		alarm(100);
		nice(3);
		umask(031);
		dup2(1, 20);
		dup3(1, 21, O_CLOEXEC);
		execl(path, path, "self", "argument", NULL));
	IN_CHILD(char *a[] = { path, "self", big(131071), NULL }; execv(path, a); printf("%s\n", error_name(errno)));
	IN_CHILD(char *a[] = { path, "self", big(131072), NULL }; execv(path, a); printf("%s\n", error_name(errno)));
	IN_CHILD(
		char **many = calloc(100001, sizeof *many);
		many[0] = path;
		for (int i = 1; i < 100000; i++)
			many[i] = "self";
		execv(path, many);
		printf("%s\n", error_name(errno)));
	IN_CHILD(
		char *text = big(100000);
		char *a[32] = { path, "self" };
		for (int i = 2; i < 31; i++)
			a[i] = text;
		execv(path, a);
		printf("2.9 MB: %s\n", error_name(errno)));
	IN_CHILD(
		struct rlimit limit = { 512 * 1024, 512 * 1024 };
		setrlimit(RLIMIT_STACK, &limit);
		char *text = big(100000);
		char *a[] = { path, "self", text, text, NULL };
		execv(path, a);
		printf("beyond a quarter of the stack: %s\n", error_name(errno)));
	IN_CHILD(execve(path, NULL, NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(char *a[] = { path, "self", NULL }; execve(path, a, (char **)1); printf("%s\n", error_name(errno)));
	IN_CHILD(char *a[] = { path, (char *)1, NULL }; execve(path, a, NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(execve((char *)1, NULL, NULL); printf("%s\n", error_name(errno)));

	/* Scripts. */
	static const char *scripts[][2] = {
		{ "plain", "#!/bin/sh\necho \"plain: $0 $1\"\n" },
		{ "spaces", "#!  \t/bin/sh   -u  \necho \"spaces: $1 $-\"\n" },
		{ "empty", "#!\necho\n" },
		{ "blank", "#!   \necho\n" },
		{ "missing", "#!/none/such\n" },
		{ "directory", "#!/bin\n" },
		{ "text", "echo no header\n" },
		{ "unterminated", "#!/bin/echo one two" },
		{ "nothing", "" },
		{ "self", "#!./self\n" },
	};
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		put_file(scripts[i][0], scripts[i][1], 0755);
		IN_CHILD(char here[64]; sprintf(here, "./%s", scripts[i][0]); execl(here, here, "argument", NULL); printf("%s: %s\n", scripts[i][0], error_name(errno)));
	}
	put_file("level0", "#!/bin/echo\n", 0755);
	for (int i = 1; i < 8; i++) {
		char name[16], line[32];
		sprintf(name, "level%d", i);
		sprintf(line, "#!level%d\n", i - 1);
		put_file(name, line, 0755);
		IN_CHILD(execl(name, name, "a", NULL); printf("%s: %s\n", name, error_name(errno)));
	}
	char *line = big(400);
	memcpy(line, "#!/bin/echo ", 12);
	line[300] = '\n';
	put_file("long", line, 0755);
	IN_CHILD(execl("./long", "./long", NULL); printf("long: %s\n", error_name(errno)));
	put_file("mode", "#!/bin/sh\n", 0644);
	IN_CHILD(execl("./mode", "mode", NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(execl(".", ".", NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(execl("", "", NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(execl("/dev/null", "x", NULL); printf("%s\n", error_name(errno)));
	IN_CHILD(execl("plain/x", "x", NULL); printf("%s\n", error_name(errno)));

	/* execveat */
	int fd = (int)MUST(open(path, O_PATH));
	char *self[] = { "name", "self", NULL };
	IN_CHILD(syscall(SYS_execveat, fd, "", self, NULL, AT_EMPTY_PATH); printf("%s\n", error_name(errno)));
	IN_CHILD(syscall(SYS_execveat, fd, "", self, NULL, 0); printf("%s\n", error_name(errno)));
	IN_CHILD(syscall(SYS_execveat, -1, "x", self, NULL, 0); printf("%s\n", error_name(errno)));
	IN_CHILD(syscall(SYS_execveat, AT_FDCWD, "plain", self, NULL, 0); printf("%s\n", error_name(errno)));
	IN_CHILD(syscall(SYS_execveat, AT_FDCWD, "plain", self, NULL, 8); printf("%s\n", error_name(errno)));
	symlink("plain", "alias");
	IN_CHILD(syscall(SYS_execveat, AT_FDCWD, "alias", self, NULL, AT_SYMLINK_NOFOLLOW); printf("%s\n", error_name(errno)));
	int script = (int)MUST(open("plain", O_RDONLY | O_CLOEXEC));
	IN_CHILD(syscall(SYS_execveat, script, "", self, NULL, AT_EMPTY_PATH); printf("%s\n", error_name(errno)));
	script = (int)MUST(open("plain", O_RDONLY));
	IN_CHILD(syscall(SYS_execveat, script, "", self, NULL, AT_EMPTY_PATH); printf("%s\n", error_name(errno)));
	return 0;
}
