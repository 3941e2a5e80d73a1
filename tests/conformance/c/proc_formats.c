/* What the files of /proc look like: names of fields, their order, columns and units. Numbers are shown as N, so that values do
 * not matter; what is Linux's machinery and not Krait's is left out (proc(5) and its pages).
 */
#define _GNU_SOURCE
#include "case.h"
#include <ctype.h>
#include <dirent.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/prctl.h>

static char text[1 << 20];

static int load(const char *path)
{
	int fd = open(path, O_RDONLY), n = 0;
	if (fd < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return 0;
	}
	ssize_t got;
	while ((got = read(fd, text + n, sizeof text - 1 - (size_t)n)) > 0)
		n += (int)got;
	text[n] = 0;
	close(fd);
	if (got < 0)
		printf("%s: read: %s\n", path, error_name(errno));
	return got == 0;
}

/* A line with each run of digits as N, and runs of blanks as one. */
static void shape(const char *line)
{
	for (; *line; line++) {
		if (isdigit((unsigned char)*line)) {
			while (isdigit((unsigned char)line[1]))
				line++;
			putchar('N');
		} else if (*line == ' ' && line[1] == ' ') {
			continue;
		} else {
			putchar(*line);
		}
	}
	putchar('\n');
}

static void shapes(const char *path)
{
	printf("== %s\n", path);
	if (load(path))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			shape(line);
}

static void whole(const char *path)
{
	printf("== %s\n", path);
	if (load(path))
		printf("%s", text);
}

/* Which of these fields there are, and how they are written. */
static void fields(const char *path, const char *const *names)
{
	printf("== %s\n", path);
	if (!load(path))
		return;
	for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
		for (const char *const *name = names; *name; name++)
			if (strncmp(line, *name, strlen(*name)) == 0 && !isalnum((unsigned char)line[strlen(*name)]))
				shape(line);
}

static void of_process(void)
{
	static const char *const status[] = {
		"Name", "Umask", "State", "Tgid", "Ngid", "Pid", "PPid", "TracerPid", "Uid", "Gid", "FDSize", "Groups", "VmPeak", "VmSize",
		"VmLck", "VmPin", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk", "VmExe", "VmLib", "VmSwap",
		"Threads", "SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
		"NoNewPrivs", "Seccomp", "Cpus_allowed", "Cpus_allowed_list", "Mems_allowed_list", "voluntary_ctxt_switches",
		"nonvoluntary_ctxt_switches", 0 };
	fields("/proc/self/status", status);
	printf("== /proc/self/limits\n");
	load("/proc/self/limits");
	for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
		if (!strstr(line, "processes") && !strstr(line, "signals"))
			printf("%s\n", line);
		else
			shape(line);
	shapes("/proc/self/statm");
	load("/proc/self/stat");
	int count = 1;
	for (char *c = strchr(text, ')'); c && *c; c++)
		count += *c == ' ';
	printf("stat: %d fields, begins like \"", count + 1);
	text[strcspn(text, ")") + 4] = 0;
	shape(text);
	whole("/proc/self/comm");
	MUST(prctl(PR_SET_NAME, "renamed"));
	whole("/proc/self/comm");
	whole("/proc/self/oom_score_adj");
	whole("/proc/self/personality");
	whole("/proc/self/uid_map");
	whole("/proc/self/gid_map");
	whole("/proc/self/setgroups");
	whole("/proc/self/timerslack_ns");
	whole("/proc/self/wchan");
	putchar('\n');
	SHOW(open("/proc/self/none", O_RDONLY));
	SHOW(open("/proc/999999/status", O_RDONLY));
	SHOW(mkdir("/proc/self/d", 0755));
	SHOW(open("/proc/self/status", O_WRONLY));
	SHOW(unlink("/proc/self/status"));
	SHOW(chmod("/proc/self/status", 0600));
	char link[256];
	ssize_t n;
	MUST(chdir("/tmp"));
	static const char *const links[] = { "cwd", "root", "exe", "fd/0", 0 };
	for (int i = 0; links[i]; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/%s", links[i]);
		n = readlink(path, link, sizeof link);
		printf("%s -> %.*s\n", links[i], n > 0 && i < 3 ? (int)n : 0, link);
	}
}

static void descriptors(void)
{
	int f = (int)MUST(open("/tmp/proc-file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
	MUST(write(f, "hello", 5));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", f);
	printf("== fdinfo\n");
	if (load(path))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			if (strncmp(line, "mnt_id", 6) == 0 || strncmp(line, "ino", 3) == 0)
				shape(line);
			else
				printf("%s\n", line);
	struct stat st;
	snprintf(path, sizeof path, "/proc/self/fd/%d", f);
	MUST(lstat(path, &st));
	printf("link mode %o size %ld\n", st.st_mode, (long)st.st_size);
	int again = (int)MUST(open(path, O_RDONLY));
	char word[8] = "";
	MUST(read(again, word, 7));
	printf("opened anew: %s\n", word);
	MUST(unlink("/tmp/proc-file"));
	ssize_t n = readlink(path, text, 200);
	printf("%.*s\n", (int)n, text);
	static const struct { const char *path; int mode; } modes[] = {
		{ "/proc", 0 }, { "/proc/self/fd", 0 }, { "/proc/self/status", 0 }, { "/proc/self/environ", 0 }, { "/proc/self/maps", 0 },
		{ "/proc/self/limits", 0 }, { "/proc/meminfo", 0 }, { "/proc/sys", 0 }, { "/proc/sys/kernel/hostname", 0 },
		{ "/proc/self/fdinfo", 0 }, { "/proc/self/task", 0 }, { "/proc/self/oom_score_adj", 0 }, { "/proc/self/comm", 0 },
		{ "/proc/self/exe", 0 }, { "/proc/mounts", 0 }, { "/proc/self", 0 } };
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
		if (lstat(modes[i].path, &st))
			printf("%s: %s\n", modes[i].path, error_name(errno));
		else
			printf("%s: mode %o uid %d size %ld\n", modes[i].path, st.st_mode, st.st_uid, (long)st.st_size);
}

static void maps(void)
{
	int f = (int)MUST(open("/tmp/mapped file", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(f, 2 * PAGE));
	char *a = mmap((void *)0x10000000, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, f, 0);
	mmap((void *)0x20000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x20002000, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap((void *)0x30000000, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, f, PAGE);
	*(char *)0x20000000 = *a;
	printf("== maps\n");
	if (load("/proc/self/maps"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
			unsigned long start, end, offset, inode;
			unsigned major, minor;
			char permissions[8], name[256] = "";
			int at = 0, got = sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %n", &start, &end, permissions, &offset, &major, &minor, &inode, &at);
			if (got >= 7 && at)
				snprintf(name, sizeof name, "%s", line + at);
			if (start >= 0x10000000 && start < 0x40000000)
				printf("%lx-%lx %s %lx %d fields, inode %s, name at %d \"%s\"\n", start, end, permissions, offset, got,
				       inode ? "set" : "0", name[0] ? at : 0, name);
			else if (name[0] == '[' && strcmp(name, "[vvar]") && strcmp(name, "[vvar_vclock]"))
				printf("%s %s\n", permissions, name);
		}
	MUST(unlink("/tmp/mapped file"));
	if (load("/proc/self/maps"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			if (strstr(line, "deleted"))
				printf("%s\n", strchr(line, '/'));
	static const char *const smaps[] = { "Size", "KernelPageSize", "MMUPageSize", "Rss", "Pss", "Shared_Clean", "Shared_Dirty",
		"Private_Clean", "Private_Dirty", "Referenced", "Anonymous", "LazyFree", "Swap", "SwapPss", "Locked", "VmFlags", 0 };
	printf("== smaps of one area\n");
	if (load("/proc/self/smaps")) {
		char *at = strstr(text, "20000000-20001000");
		if (at) {
			char *end = strstr(at, "20002000-20003000");
			if (end)
				*end = 0;
			for (char *line = strtok(at, "\n"); line; line = strtok(0, "\n"))
				for (const char *const *name = smaps; *name; name++)
					if (strncmp(line, *name, strlen(*name)) == 0 && line[strlen(*name)] == ':')
						printf("%s\n", line);
		}
	}
	fields("/proc/self/smaps_rollup", smaps);
}

static void of_system(void)
{
	static const char *const meminfo[] = { "MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapCached",
		"SwapTotal", "SwapFree", "Dirty", "Writeback", "AnonPages", "Mapped", "Shmem", "Slab", "SReclaimable", "SUnreclaim",
		"KernelStack", "CommitLimit", 0 };
	fields("/proc/meminfo", meminfo);
	static const char *const stat[] = { "cpu", "cpu0", "ctxt", "btime", "processes", "procs_running", "procs_blocked", 0 };
	fields("/proc/stat", stat);
	shapes("/proc/loadavg");
	shapes("/proc/uptime");
	static const char *const cpuinfo[] = { "processor", "vendor_id", "cpu family", "model", "model name", "stepping", "cpu MHz",
		"physical id", "siblings", "core id", "cpu cores", "fpu", "wp", "bogomips", "clflush size",
		"address sizes", 0 };
	printf("== /proc/cpuinfo\n");
	if (load("/proc/cpuinfo"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			for (const char *const *name = cpuinfo; *name; name++)
				if (strncmp(line, *name, strlen(*name)) == 0 && line[strlen(*name)] == '\t')
					printf("%.*s\n", (int)strcspn(line, ":") + 1, line);
	printf("== /proc/version\n");
	if (load("/proc/version"))
		printf("%.14s\n", text);
	static const char *const types[] = { "nodev\tproc", "nodev\ttmpfs", "nodev\tdevtmpfs", "nodev\tdevpts", "nodev\tsysfs", "nodev\tmqueue", "nodev\tramfs", 0 };
	printf("== /proc/filesystems\n");
	if (load("/proc/filesystems"))
		for (const char *const *name = types; *name; name++)
			printf("%s: %s\n", *name, strstr(text, *name) ? "yes" : "no");
	MUST(mkdir("/tmp/a mount", 0755));
	MUST(mount("a source", "/tmp/a mount", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME | MS_RDONLY, "size=1m,mode=700"));
	printf("== mounts\n");
	if (load("/proc/self/mounts"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			if (strncmp(line, "a\\", 2) == 0)
				printf("%s\n", line);
	printf("== mountinfo\n");
	if (load("/proc/self/mountinfo"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			if (strstr(line, "/tmp/a"))
				shape(line);
	printf("== mountstats\n");
	if (load("/proc/self/mountstats"))
		for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n"))
			if (strstr(line, "/tmp/a"))
				printf("%s\n", line);
	MUST(umount("/tmp/a mount"));
	MUST(rmdir("/tmp/a mount"));
	static const char *const settings[] = { "kernel/ostype", "kernel/ngroups_max", "kernel/cap_last_cap", "kernel/overflowuid",
		"kernel/overflowgid", "kernel/randomize_va_space", "kernel/panic", "kernel/pid_max", "kernel/shmmax", "kernel/shmall",
		"kernel/shmmni", "kernel/dmesg_restrict", "fs/nr_open", "fs/pipe-max-size", "fs/protected_hardlinks", "fs/protected_symlinks",
		"vm/max_map_count", "vm/mmap_min_addr", "vm/dirty_ratio", "vm/dirty_background_ratio", "vm/dirty_expire_centisecs",
		"vm/dirty_writeback_centisecs", 0 };
	for (const char *const *name = settings; *name; name++) {
		char path[128];
		snprintf(path, sizeof path, "/proc/sys/%s", *name);
		printf("%s: ", *name);
		if (load(path))
			printf("%s", text);
	}
	printf("== top\n");
	static const char *const top[] = { "cmdline", "cpuinfo", "devices", "diskstats", "filesystems", "interrupts", "loadavg", "meminfo",
		"modules", "mounts", "net", "partitions", "self", "stat", "swaps", "sys", "sysvipc", "thread-self", "uptime", "version",
		"vmstat", 0 };
	for (const char *const *name = top; *name; name++) {
		char path[64];
		struct stat st;
		snprintf(path, sizeof path, "/proc/%s", *name);
		if (lstat(path, &st))
			printf("%s: %s\n", *name, error_name(errno));
		else
			printf("%s: %o\n", *name, st.st_mode);
	}
}

int main(void)
{
	of_process();
	descriptors();
	maps();
	of_system();
	return 0;
}
