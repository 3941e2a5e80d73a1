/* Covers: hostile input: a bounded fork bomb under RLIMIT_NPROC, and many rounds of fork, exec and exit. */
#include <sys/resource.h>
#include "case.h"

int main(void)
{
	struct rlimit limit = { 60, 60 };
	IN_CHILD(
		MUST(setpgid(0, 0));
		MUST(setrlimit(RLIMIT_NPROC, &limit));
		MUST(setgid(1000));
		MUST(setuid(1000));
		int made = 0;
		pid_t child;
		while ((child = fork()) > 0)
			made++;
		if (child == 0) {
			for (;;)
				pause();
		}
		printf("forked %d times, then %s\n", made, error_name(errno));
		fflush(stdout);
		kill(0, SIGKILL);
	);
	/* Every process forks for as long as it can, until all are killed together. */
	pid_t bomb = (pid_t)MUST(fork());
	if (bomb == 0) {
		MUST(setpgid(0, 0));
		MUST(setrlimit(RLIMIT_NPROC, &limit));
		MUST(setgid(1001));
		MUST(setuid(1001));
		for (;;)
			fork();
	}
	while (getpgid(bomb) != bomb)
		sleep_ms(1);
	sleep_ms(1000);
	SHOW(kill(-bomb, SIGKILL));
	show_end(bomb);
	for (int tries = 0; kill(-bomb, SIGKILL) == 0 && tries < 2000; tries++)
		sleep_ms(20);
	printf("the bomb is over: %s\n", error_name(errno));

	int good = 0;
	for (int i = 0; i < 200; i++) {
		int status;
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		waitpid(child, &status, 0);
		good += status == 0;
	}
	printf("%d programs ran\n", good);
	return 0;
}
