/* What the cases about broken memory share: SIGBUS, as programs see it, and the count of what is lost. */
#ifndef BROKEN_CASE_H
#define BROKEN_CASE_H
#include <setjmp.h>
#include "case.h"

#define HWPOISON 100
#define SOFT_OFFLINE 101

static sigjmp_buf back;
static siginfo_t seen;
static char *base;

static void on_bus(int number, siginfo_t *info, void *context)
{
	(void)context;
	(void)number;
	seen = *info;
	siglongjmp(back, 1);
}

static void show_signal(void)
{
	const char *code = seen.si_code == BUS_MCEERR_AR ? "BUS_MCEERR_AR" : seen.si_code == BUS_MCEERR_AO ? "BUS_MCEERR_AO" : seen.si_code == BUS_ADRERR ? "BUS_ADRERR" : "?";
	printf("  SIGBUS %s at %+ld, lsb %d\n", code, (long)((char *)seen.si_addr - base), seen.si_code == BUS_ADRERR ? 0 : (int)seen.si_addr_lsb);
}

/* A statement that may raise SIGBUS. */
#define MAY_BREAK(...) do { printf("%s\n", #__VA_ARGS__); if (sigsetjmp(back, 1) == 0) { __VA_ARGS__; printf("  no signal\n"); } else show_signal(); } while (0)

static volatile char sink;
static int poison(char *at) { return madvise(at, PAGE, HWPOISON); }

static long corrupted(void)
{
	char line[256];
	long kilobytes = -1;
	FILE *f = fopen("/proc/meminfo", "r");
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "HardwareCorrupted: %ld", &kilobytes) == 1)
			break;
	fclose(f);
	return kilobytes;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	sigaction(SIGBUS, &action, NULL);
}
#endif
