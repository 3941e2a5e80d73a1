/* What calls functions of the C library, so that tracers of these see them: in the process, a child and a signal handler. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void caught(int signo)
{
	(void)signo;
	puts("caught");
}

int main(int count, char **arguments)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	printf("%d arguments, %s\n", count, arguments[0]);
	signal(SIGUSR1, caught);
	raise(SIGUSR1);
	char text[16];
	strcpy(text, "a text");
	if (strlen(text) != 6 || getenv("NOWHERE"))
		return 1;
	for (int turn = 0; turn < 20; turn++)
		if (atoi("12") != 12)
			return 1;
	pid_t child = fork();
	if (child == 0) {
		puts("child");
		exit(strlen("four"));
	}
	int status;
	wait(&status);
	putchar('0' + WEXITSTATUS(status));
	putchar('\n');
	return 3;
}
