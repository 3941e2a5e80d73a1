/* Covers: execve, execveat: arguments, environment, close-on-exec, scripts with #!, what is kept and what is reset, errors. */
#include "case.h"
#include <pthread.h>

extern char **environ;

static int report(int argc, char **argv)
{
	printf("argc %d:", argc);
	for (int i = 0; i < argc; i++)
		printf(" [%s]", argv[i]);
	printf("\nenvironment:");
	for (char **e = environ; *e; e++)
		printf(" [%s]", *e);
	printf("\n");
	SHOW(fcntl(10, F_GETFD));
	SHOW(fcntl(11, F_GETFD));
	struct sigaction action;
	sigaction(SIGUSR1, 0, &action);
	printf("caught signal is %s\n", action.sa_handler == SIG_DFL ? "default" : "other");
	sigaction(SIGUSR2, 0, &action);
	printf("ignored signal is %s\n", action.sa_handler == SIG_IGN ? "ignored" : "other");
	sigset_t blocked, pending;
	sigprocmask(SIG_BLOCK, 0, &blocked);
	sigpending(&pending);
	printf("SIGHUP blocked %d pending %d\n", sigismember(&blocked, SIGHUP), sigismember(&pending, SIGHUP));
	stack_t stack;
	sigaltstack(0, &stack);
	printf("alternate stack %s\n", stack.ss_flags & SS_DISABLE ? "off" : "on");
	printf("umask %o\n", umask(0));
	char name[17] = { 0 };
	syscall(SYS_prctl, 16, name);
	printf("name %s\n", name);
	return 0;
}

static void nothing(int number) {}

static void *wait_for_signals(void *unused)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	for (;;)
		sigtimedwait(&set, 0, 0);
}

static void *change_masks(void *unused)
{
	sigset_t set, old;
	sigfillset(&set);
	for (;;) {
		pthread_sigmask(SIG_BLOCK, &set, &old);
		pthread_sigmask(SIG_SETMASK, &old, 0);
	}
}

#define EXEC(path, ...) do { \
	char *arguments[] = { __VA_ARGS__, NULL }; \
	SHOW(execve(path, arguments, (char *[]){ "A=1", "EMPTY=", NULL })); \
} while (0)

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "report"))
		return report(argc, argv);
	if (argc > 1 && strstr(argv[1], "script"))
		return report(argc, argv);
	char self[256] = { 0 };
	MUST(readlink("/proc/self/exe", self, 255));
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	static char alternate[16384];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
	sigaltstack(&stack, 0);
	IN_CHILD(
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGHUP);
		sigprocmask(SIG_BLOCK, &set, 0);
		raise(SIGHUP);
		int fd = (int)MUST(open("/dev/null", O_RDONLY));
		dup2(fd, 10);
		dup3(fd, 11, O_CLOEXEC);
		umask(027);
		EXEC(self, "a name", "report", "", "two words");
	);

	for (int i = 0; i < 2; i++) /* threads end, whatever they do to signals */
		IN_CHILD(
			pthread_t thread;
			pthread_create(&thread, 0, i == 0 ? wait_for_signals : change_masks, 0);
			usleep(50000);
			EXEC(self, "a name", "report", "after threads");
		);

	char text[600];
	snprintf(text, sizeof text, "#!%s\n", self);
	put_file("script1", text, 0755);
	IN_CHILD(EXEC("./script1", "zero", "one", "two"));
	snprintf(text, sizeof text, "#! %s  script argument  \nrest\n", self);
	put_file("script2", text, 0755);
	IN_CHILD(EXEC("./script2", "zero", "one"));
	put_file("script3", "#!./script1\n", 0755);
	IN_CHILD(EXEC("./script3", "zero", "one"));
	put_file("script4", "#!/bin/none\n", 0755);
	IN_CHILD(EXEC("./script4", "zero"));
	put_file("script5", "#!\n", 0755);
	IN_CHILD(EXEC("./script5", "zero"));
	put_file("script6", "#!./script6\n", 0755);
	IN_CHILD(EXEC("./script6", "zero"));
	put_file("script7", "#!/bin/sh\necho shell got $# arguments: $0 \"$@\"\nexit 6", 0755);
	IN_CHILD(EXEC("./script7", "zero", "one", "two words"));
	memset(text, 'p', sizeof text);
	memcpy(text, "#!/", 3);
	text[sizeof text - 1] = 0;
	put_file("script8", text, 0755);
	IN_CHILD(EXEC("./script8", "zero"));
	put_file("no-magic", "echo hello\n", 0755);
	EXEC("./no-magic", "zero");
	put_file("empty", "", 0755);
	EXEC("./empty", "zero");
	put_file("not-executable", "#!/bin/sh\n", 0644);
	EXEC("./not-executable", "zero");
	EXEC("./none", "zero");
	EXEC("./empty/x", "zero");
	EXEC(".", "zero");
	EXEC("/dev/null", "zero");
	EXEC("", "zero");
	EXEC((char *)8, "zero");
	SHOW(execve(self, (char **)8, environ));
	SHOW(execve(self, argv, (char **)8));
	char *wild[] = { "zero", (char *)8, NULL };
	SHOW(execve(self, wild, environ));
	int writer = (int)MUST(open("script7", O_WRONLY));
	IN_CHILD(EXEC("./script7", "zero"));
	close(writer);

	/* Argument lists that are too long, as a whole and in one word. */
	static char word[132 * 1024];
	memset(word, 'w', sizeof word - 1);
	IN_CHILD(EXEC("/bin/true", "zero", word));
	word[100 * 1024] = 0;
	IN_CHILD(EXEC("/bin/true", "zero", word));
	static char *many[1000];
	for (int i = 0; i < 999; i++)
		many[i] = word;
	IN_CHILD(SHOW(execve("/bin/true", many, environ)));
	IN_CHILD(
		int fd = (int)MUST(open(self, O_RDONLY | O_CLOEXEC));
		char *arguments[] = { "at", "report", NULL };
		SHOW(syscall(SYS_execveat, fd, "", arguments, environ + 99 * 0, 0));
		SHOW(syscall(SYS_execveat, fd, "", arguments, (char *[]){ NULL }, AT_EMPTY_PATH));
	);
	IN_CHILD(SHOW(execve("/bin/true", (char *[]){ NULL }, (char *[]){ NULL })));
	/* A running program's file cannot be written. */
	put_file("copy", "", 0755);
	IN_CHILD(EXEC("/bin/cp", "cp", "/bin/busybox", "sleep"));
	int child = (int)MUST(fork());
	if (child == 0)
		EXEC("./sleep", "sleep", "1000");
	until_asleep(child);
	SHOW(open("sleep", O_WRONLY));
	kill(child, SIGKILL);
	show_end(child);
	TRY(open("sleep", O_WRONLY));
	return 0;
}
