/* Covers: uname, sethostname, setdomainname, sysinfo, prctl: PR_SET_NAME PR_GET_NAME PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_SET_DUMPABLE PR_GET_DUMPABLE
 * PR_SET_KEEPCAPS PR_GET_KEEPCAPS PR_SET_NO_NEW_PRIVS PR_SET_CHILD_SUBREAPER PR_SET_TIMERSLACK PR_CAPBSET_READ PR_GET_TID_ADDRESS and errors; personality;
 * getcpu; getrandom; arch_prctl. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include "case.h"

int main(void)
{
	struct utsname name;
	SHOW(uname(&name));
	printf("%s %s %s\n", name.sysname, name.machine, name.domainname);
	CHECK(name.release[0] >= '3' && name.release[1] == '.');
	SHOW(syscall(SYS_uname, (void *)1));
	SHOW(sethostname("one", 3));
	uname(&name);
	printf("%s\n", name.nodename);
	show_file("/proc/sys/kernel/hostname");
	SHOW(sethostname("with\0zero", 9));
	uname(&name);
	printf("%s\n", name.nodename);
	char longest[66];
	memset(longest, 'n', sizeof longest);
	SHOW(sethostname(longest, 64));
	uname(&name);
	printf("%zu\n", strlen(name.nodename));
	SHOW(sethostname(longest, 65));
	SHOW(sethostname(longest, (size_t)-1));
	SHOW(syscall(SYS_sethostname, (void *)1, 5));
	SHOW(sethostname("", 0));
	uname(&name);
	printf("\"%s\"\n", name.nodename);
	SHOW(setdomainname("domain", 6));
	uname(&name);
	printf("%s\n", name.domainname);
	SHOW(setdomainname(longest, 65));
	SHOW(setdomainname("(none)", 6));
	IN_CHILD(setuid(1000); SHOW(sethostname("two", 3)); SHOW(setdomainname("two", 3)));
	int fd = (int)MUST(open("/proc/sys/kernel/hostname", O_WRONLY));
	SHOW(write(fd, "krait\n", 6));
	uname(&name);
	printf("%s\n", name.nodename);

	struct sysinfo info;
	SHOW(sysinfo(&info));
	CHECK(info.uptime > 0 && info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit == 1 && info.procs > 0);
	SHOW(syscall(SYS_sysinfo, (void *)1));

	char text[17] = "";
	SHOW(prctl(PR_SET_NAME, "a name that is too long"));
	SHOW(prctl(PR_GET_NAME, text));
	printf("%s\n", text);
	show_file("/proc/self/comm");
	SHOW(prctl(PR_SET_NAME, 1));
	SHOW(prctl(PR_GET_NAME, 1));
	int value = -1;
	SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	SHOW(prctl(PR_GET_PDEATHSIG, &value));
	printf("%d\n", value);
	SHOW(prctl(PR_SET_PDEATHSIG, 65));
	SHOW(prctl(PR_SET_PDEATHSIG, 0));
	SHOW(prctl(PR_GET_DUMPABLE));
	SHOW(prctl(PR_SET_DUMPABLE, 0));
	SHOW(prctl(PR_GET_DUMPABLE));
	SHOW(prctl(PR_SET_DUMPABLE, 2));
	SHOW(prctl(PR_SET_DUMPABLE, 1));
	SHOW(prctl(PR_GET_KEEPCAPS));
	SHOW(prctl(PR_SET_KEEPCAPS, 1));
	SHOW(prctl(PR_GET_KEEPCAPS));
	SHOW(prctl(PR_SET_KEEPCAPS, 2));
	SHOW(prctl(PR_SET_KEEPCAPS, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
	SHOW(prctl(PR_GET_CHILD_SUBREAPER, &value));
	printf("%d\n", value);
	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
	SHOW(prctl(PR_GET_TIMERSLACK));
	SHOW(prctl(PR_SET_TIMERSLACK, 70000));
	SHOW(prctl(PR_GET_TIMERSLACK));
	IN_CHILD(SHOW(prctl(PR_GET_TIMERSLACK)); SHOW(prctl(PR_SET_TIMERSLACK, 1)); SHOW(prctl(PR_SET_TIMERSLACK, 0)); SHOW(prctl(PR_GET_TIMERSLACK)));
	SHOW(prctl(PR_CAPBSET_READ, 0));
	SHOW(prctl(PR_CAPBSET_READ, 21));
	SHOW(prctl(PR_CAPBSET_READ, 99));
	SHOW(prctl(PR_GET_SECCOMP));
	SHOW(prctl(PR_GET_TSC, &value));
	printf("%d\n", value);
	SHOW(prctl(PR_GET_TIMING));
	SHOW(prctl(PR_SET_TIMING, 1));
	SHOW(prctl(PR_GET_SECUREBITS));
	SHOW(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	SHOW(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
	SHOW(prctl(0x53564d41, 0, &value, 1, "x"));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
	SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	SHOW(prctl(12345));
	SHOW(prctl(-1));

	SHOW(personality(0xffffffff));
	SHOW(personality(ADDR_NO_RANDOMIZE));
	SHOW(personality(0xffffffff));
	IN_CHILD(SHOW(personality(0xffffffff)));
	SHOW(personality(0));
	unsigned long first = 1; /* of several processors, the one that every machine has */
	SHOW(syscall(SYS_sched_setaffinity, 0, 8, &first));
	unsigned cpu = 99, node = 99;
	SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
	printf("%u %u\n", cpu, node);
	SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
	SHOW(syscall(SYS_getcpu, (void *)1, NULL, NULL));
	SHOW(getrandom(text, 16, 0));
	SHOW(getrandom(text, 16, GRND_NONBLOCK | GRND_RANDOM));
	SHOW(getrandom(text, 16, 4));
	SHOW(getrandom(text, 16, 8));
	SHOW(getrandom(text, 16, 6));
	SHOW(getrandom((void *)1, 16, 0));
	SHOW(getrandom(text, 0, 0));
	unsigned long base = 0;
	SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	CHECK(base != 0);
	SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234000));
	SHOW(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	printf("%#lx\n", base);
	SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, -1L));
	SHOW(syscall(SYS_arch_prctl, ARCH_SET_FS, 1L << 47));
	SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
	SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, 1));
	SHOW(syscall(SYS_arch_prctl, 0x1011));
	SHOW(syscall(SYS_arch_prctl, 0x1012, 1));
	return 0;
}
