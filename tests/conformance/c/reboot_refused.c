/* What reboot(2) refuses, and what leaves the machine running.
 * Covers: reboot.
 */
#include "case.h"
#include <sys/reboot.h>

static void try(const char *name, unsigned one, unsigned two, unsigned command, unsigned long argument)
{
	long result = syscall(SYS_reboot, one, two, command, argument);
	printf("%s: %s\n", name, result < 0 ? error_name(errno) : "done");
}

int main(void)
{
	const unsigned one = 0xfee1dead, two = 672274793;
	try("no magic", 0, 0, 0, 0);
	try("one magic", one, 0, 0, 0);
	try("keys on", one, two, 0x89abcdef, 0);
	try("keys off", one, 85072278, 0, 0);
	try("keys off", one, 369367448, 0, 0);
	try("keys off", one, 537993216, 0, 0);
	try("another kernel, of which there is none", one, two, 0x45584543, 0);
	try("unknown", one, two, 0x11111111, 0);
	try("restart with a reason from nowhere", one, two, 0xa1b2c3d4, 8);
	try("restart with a reason of the kernel's", one, two, 0xa1b2c3d4, -4096);
	fflush(stdout);
	if (fork() == 0) {
		setresuid(1000, 1000, 1000);
		try("as a user", one, two, 0x4321fedc, 0);
		try("as a user without magic", 0, 0, 0, 0);
		return 0;
	}
	wait(0);
	return 0;
}
