/* Covers: kernel.core_pattern with all specifiers, core_uses_pid, core_pipe_limit, programs that read core files, fs.suid_dumpable, SIGKILL
 * during a dump, a full disk, RLIMIT_FSIZE, seccomp's end. */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include "core_case.h"

#define PATTERN "/proc/sys/kernel/core_pattern"

static void set(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY));
	errno = 0;
	if (write(fd, text, strlen(text)) < 0)
		printf("%s \"%s\": %s\n", path, text, error_name(errno));
	close(fd);
}

static void pattern(const char *text) { set(PATTERN, text); }

/* A text with "PID" in place of a number, and "TIME" in place of what is near to the present time. */
static void show_named(const char *text, pid_t pid)
{
	char digits[32];
	long now = time(NULL);
	int n = sprintf(digits, "%d", pid);
	for (const char *p = text; *p;) {
		long value = 0;
		int length = 0;
		while (p[length] >= '0' && p[length] <= '9' && length < 12)
			value = value * 10 + p[length++] - '0';
		if (length == n && strncmp(p, digits, n) == 0)
			printf("PID");
		else if (length > 8 && value > now - 100 && value <= now)
			printf("TIME");
		else
			printf("%.*s", length ? length : 1, p);
		p += length ? length : 1;
	}
}

static void show_directory(pid_t pid)
{
	DIR *directory = opendir(".");
	struct dirent *entry;
	char names[8][256];
	int count = 0;
	while ((entry = readdir(directory)) && count < 8)
		if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
			strcpy(names[count++], entry->d_name);
	closedir(directory);
	qsort(names, count, sizeof *names, (int (*)(const void *, const void *))strcmp);
	for (int i = 0; i < count; i++) {
		printf("  ");
		show_named(names[i], pid);
		printf("\n");
		unlink(names[i]);
	}
	if (count == 0)
		printf("  nothing\n");
}

static void dump_as(const char *text)
{
	pattern(text);
	printf("%s:\n", text);
	pid_t pid = DUMPING(abort());
	show_directory(pid);
}

/* What the kernel starts. */
static int handle(int count, char **arguments)
{
	char line[512];
	int out = open("/tmp/patterns/handled.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	struct rlimit limit;
	struct stat s;
	size_t total = 0;
	ssize_t n;
	static char data[65536];
	if (strcmp(arguments[1], "sleep") == 0) {
		close(open("/tmp/patterns/ready", O_WRONLY | O_CREAT, 0644));
		for (;;)
			pause();
	}
	dprintf(out, "%d arguments:", count);
	for (int i = 1; i < count; i++)
		dprintf(out, " <%s>", arguments[i]);
	dprintf(out, "\n");
	if (strcmp(arguments[1], "look") == 0) {
		snprintf(line, sizeof line, "/proc/%s/status", arguments[2]);
		FILE *status = fopen(line, "r");
		while (status && fgets(line, sizeof line, status))
			if (strncmp(line, "CoreDumping", 11) == 0 || strncmp(line, "Name", 4) == 0)
				dprintf(out, "%s", line);
	}
	int magic = 0;
	while ((n = read(0, data, sizeof data)) > 0) {
		if (total == 0)
			magic = memcmp(data, ELFMAG, 4) == 0;
		total += n;
	}
	getrlimit(RLIMIT_CORE, &limit);
	getcwd(line, sizeof line);
	fstat(0, &s);
	dprintf(out, "ELF %d, large %d, in %s, uid %d, euid %d, group %d, session %d, leader %d\n", magic, total > PAGE, line, getuid(), geteuid(),
		getpgrp(), getsid(0), getpgrp() == getpid());
	dprintf(out, "core limit %ld %ld, fifo %d, fd 1 %s, umask %o, environment %s\n", (long)limit.rlim_cur, (long)limit.rlim_max, S_ISFIFO(s.st_mode),
		fcntl(1, F_GETFD) < 0 ? "closed" : "open", umask(0), environ[0] ? environ[0] : "empty");
	close(out);
	if (strcmp(arguments[1], "crash") == 0)
		abort();
	rename("/tmp/patterns/handled.new", "/tmp/patterns/handled");
	return 0;
}

static void show_handled(pid_t pid)
{
	char text[1024] = "";
	for (int i = 0; i < 15000 && access("/tmp/patterns/handled", F_OK); i++)
		sleep_ms(2);
	int fd = open("/tmp/patterns/handled", O_RDONLY);
	if (fd < 0) {
		printf("nobody handled it\n");
		return;
	}
	read(fd, text, sizeof text - 1);
	close(fd);
	show_named(text, pid);
	unlink("/tmp/patterns/handled");
}

static void pipe_to(const char *text)
{
	pattern(text);
	printf("%s:\n", text);
	pid_t pid = DUMPING(abort());
	show_handled(pid);
}

static void forbid_getppid(unsigned action)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { 4, program };
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	getppid();
}

int main(int count, char **arguments)
{
	if (count > 1)
		return handle(count, arguments);
	struct stat s;
	char self[256], text[512];
	self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
	MUST(mkdir("/tmp/patterns", 0777));
	MUST(mkdir("/tmp/patterns/in", 0777));
	MUST(chmod("/tmp/patterns/in", 0777));
	MUST(chdir("/tmp/patterns/in"));
	MUST(sethostname("a/host", 6));
	puts("--- settings");
	show_file(PATTERN);
	show_file("/proc/sys/kernel/core_uses_pid");
	show_file("/proc/sys/kernel/core_pipe_limit");
	show_file("/proc/sys/fs/suid_dumpable");
	set("/proc/sys/fs/suid_dumpable", "3");
	set("/proc/sys/fs/suid_dumpable", "-1");
	memset(text, 'x', 300);
	text[300] = 0;
	pattern(text);
	show_file(PATTERN);
	pattern("first\nsecond\n");
	show_file(PATTERN);
	pattern("\n");
	show_file(PATTERN);
	puts("--- names");
	dump_as("core");
	dump_as("c.%p.%P.%i.%I");
	dump_as("c.%u.%g.%d.%s");
	dump_as("c.%t");
	dump_as("c.%h.%e");
	dump_as("c.%E");
	dump_as("c.%f");
	dump_as("c.%c.%C");
	dump_as("c.%%.%x.%z.%");
	dump_as("c with space");
	dump_as("%e");
	dump_as("%%p");
	dump_as("./c");
	dump_as("../in/c");
	dump_as("nowhere/c");
	dump_as("/tmp/patterns/in/c");
	dump_as("");
	pattern("t.%e.%i");
	for (int i = 0; i < 4; i++) {
		static const char *titles[] = { "..", ".", "", "a/b c" };
		pid_t pid = DUMPING(prctl(PR_SET_NAME, titles[i]); set_limit(1 << 20); abort());
		show_directory(pid);
	}
	puts("--- core_uses_pid");
	set("/proc/sys/kernel/core_uses_pid", "1");
	dump_as("core");
	dump_as("core.%p");
	dump_as("core.%P");
	dump_as("core%%p");
	set("/proc/sys/kernel/core_uses_pid", "0");
	puts("--- a program");
	set("/proc/sys/kernel/core_pipe_limit", "4");
	snprintf(text, sizeof text, "|%s a %%p %%s %%c %%e %%h", self);
	pipe_to(text);
	snprintf(text, sizeof text, "| %s   look  %%p    end ", self);
	pipe_to(text);
	snprintf(text, sizeof text, "|%s x%%zy %%z z", self);
	pipe_to(text);
	pattern("|/nowhere/at/all %p");
	DUMPING(abort());
	pattern("|");
	DUMPING(abort());
	pattern("|/tmp");
	DUMPING(abort());
	snprintf(text, sizeof text, "|%s limit", self);
	pattern(text);
	puts("with small limits:");
	pid_t pid = DUMPING(set_limit(0); abort());
	show_handled(pid);
	DUMPING(set_limit(1); abort());
	pid = DUMPING(set_limit(2); abort());
	show_handled(pid);
	puts("whose end nobody awaits:");
	set("/proc/sys/kernel/core_pipe_limit", "0");
	pid = DUMPING(abort());
	show_handled(pid);
	puts("a user other than root:");
	pid = DUMPING(MUST(setresgid(1000, 1000, 1000)); MUST(setresuid(1000, 1000, 1000)); prctl(PR_SET_DUMPABLE, 1); abort());
	show_handled(pid);
	puts("that crashes itself:");
	snprintf(text, sizeof text, "|%s crash %%p", self);
	pattern(text);
	DUMPING(abort());
	puts("that does not read:");
	snprintf(text, sizeof text, "|%s sleep", self);
	pattern(text);
	fflush(stdout);
	pid = (pid_t)MUST(fork());
	if (pid == 0) {
		char *large = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(large, 1, 1 << 20);
		set_limit(RLIM_INFINITY);
		abort();
	}
	for (int i = 0; i < 15000 && access("/tmp/patterns/ready", F_OK); i++)
		sleep_ms(2);
	SHOW(kill(pid, SIGTERM));
	sleep_ms(20);
	SHOW(waitpid(pid, NULL, WNOHANG));
	SHOW(kill(pid, SIGKILL));
	show_core_end(pid);
	puts("--- a full disk");
	pattern("core");
	MUST(mkdir("/tmp/patterns/small", 0777));
	MUST(mount("tmpfs", "/tmp/patterns/small", "tmpfs", 0, "size=64k"));
	MUST(chdir("/tmp/patterns/small"));
	DUMPING(char *large = malloc(1 << 20); memset(large, 1, 1 << 20); abort());
	MUST(stat("core", &s));
	printf("%ld KiB at most\n", (long)s.st_blocks / 2 <= 64 ? 64 : (long)s.st_blocks / 2);
	CHECK(s.st_blocks > 8);
	MUST(chdir("/tmp/patterns/in"));
	MUST(umount("/tmp/patterns/small"));
	puts("--- RLIMIT_FSIZE");
	struct rlimit size = { 10000, 10000 };
	DUMPING(setrlimit(RLIMIT_FSIZE, &size); abort());
	MUST(stat("core", &s));
	printf("%ld bytes\n", (long)s.st_size);
	unlink("core");
	puts("--- fs.suid_dumpable");
	for (int mode = 0; mode < 3; mode++) {
		static const char *modes[] = { "0", "1", "2" };
		static const char *places[] = { "core", "/tmp/patterns/in/core.%d" };
		set("/proc/sys/fs/suid_dumpable", modes[mode]);
		for (int place = 0; place < 2; place++) {
			pattern(places[place]);
			DUMPING(MUST(setresuid(1000, 1000, 1000)); SHOW(prctl(PR_GET_DUMPABLE)); abort());
			snprintf(text, sizeof text, place ? "core.%d" : "core", mode);
			if (stat(text, &s) == 0)
				printf("%s: owner %d, mode %o\n", text, s.st_uid, s.st_mode);
			if (place == 1 && mode == 2)
				DUMPING(MUST(setresuid(1000, 1000, 1000)); abort());
			unlink(text);
		}
	}
	DUMPING(MUST(setresuid(1000, 1000, 1000)); SHOW(prctl(PR_SET_DUMPABLE, 2)); SHOW(prctl(PR_SET_DUMPABLE, 1)); SHOW(prctl(PR_GET_DUMPABLE)));
	set("/proc/sys/fs/suid_dumpable", "0");
	puts("--- seccomp");
	pattern("core");
	DUMPING(forbid_getppid(SECCOMP_RET_KILL_PROCESS));
	TRY(unlink("core"));
	DUMPING(forbid_getppid(SECCOMP_RET_KILL_THREAD));
	TRY(unlink("core"));
	DUMPING(forbid_getppid(SECCOMP_RET_TRAP));
	TRY(unlink("core"));
	DUMPING(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); getppid());
	TRY(unlink("core"));
	return 0;
}
