/*
 * Covers: who may see what of /proc/PID: mode, owner, opening, reading and writing of each file, as root, as a user, and as root
 * without CAP_SYS_PTRACE, of processes of root, of the same and of another user, that are not dumpable, that have capabilities or
 * changed ids without execve, of zombies; a process's own files after setuid; files that stay open while the process executes.
 */
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include "case.h"

static const char *const files[] = {
	"auxv", "cmdline", "comm", "environ", "gid_map", "limits", "maps", "mem", "mountinfo", "mounts", "mountstats", "oom_adj", "oom_score",
	"oom_score_adj", "personality", "projid_map", "setgroups", "smaps", "smaps_rollup", "stat", "statm", "status", "timerslack_ns",
	"uid_map", "wchan",
};
static const char *const links[] = { "cwd", "exe", "root", "fd/3" };
static const char *const directories[] = { ".", "fd", "fdinfo", "task", "net" };

static void caps(unsigned long long effective)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { (unsigned)effective, (unsigned)effective, 0 }, { (unsigned)(effective >> 32), (unsigned)(effective >> 32), 0 } };
	MUST(syscall(SYS_capset, &h, d));
}

static void become(uid_t uid)
{
	gid_t none = 0;
	MUST(setgroups(0, &none));
	MUST(setresgid(uid, uid, uid));
	MUST(setresuid(uid, uid, uid));
}

static const char *attempt(long result)
{
	return result < 0 ? error_name(errno) : "ok";
}

static void look_at(const char *base, const char *name)
{
	char path[300], text[64];
	struct stat status;
	snprintf(path, sizeof path, "%s/%s", base, name);
	errno = 0;
	if (lstat(path, &status) < 0) {
		printf("  %s: %s\n", name, error_name(errno));
		return;
	}
	printf("  %s: %o %d:%d", name, status.st_mode, status.st_uid, status.st_gid);
	if (S_ISLNK(status.st_mode)) {
		printf(" link %s", attempt(readlink(path, text, sizeof text)));
		printf(" follow %s\n", attempt(open(path, O_PATH | O_CLOEXEC)));
		return;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	printf(" open %s", attempt(fd));
	if (S_ISDIR(status.st_mode)) {
		if (fd >= 0)
			printf(" list %s", attempt(syscall(SYS_getdents64, fd, text, sizeof text)));
	} else if (strcmp(name, "mem")) {
		if (fd >= 0)
			printf(" read %s", attempt(read(fd, text, sizeof text)));
		int out = open(path, O_WRONLY | O_CLOEXEC);
		printf(" to write %s", attempt(out));
		if (out >= 0)
			close(out);
	}
	puts("");
	if (fd >= 0)
		close(fd);
}

static void put(const char *base, const char *name, const char *text)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", base, name);
	int fd = open(path, O_WRONLY);
	if (fd < 0) {
		printf("  %s: to write %s\n", name, error_name(errno));
		return;
	}
	printf("  %s: write %s: %s\n", name, text, attempt(write(fd, text, strlen(text))));
	close(fd);
}

static void look(const char *base)
{
	char thread[300];
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
		look_at(base, files[i]);
	for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
		look_at(base, links[i]);
	for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++)
		look_at(base, directories[i]);
	look_at(base, "fdinfo/3");
	look_at(base, "fdinfo/99");
	if (strcmp(base, "/proc/self")) {
		snprintf(thread, sizeof thread, "%s/task/%s", base, base + 6);
		puts("  its thread");
		look_at(thread, ".");
		look_at(thread, "environ");
		look_at(thread, "fdinfo");
	}
	put(base, "timerslack_ns", "50000");
	put(base, "oom_score_adj", "10");
	put(base, "oom_score_adj", "0");
	put(base, "oom_score_adj", "-1");
	put(base, "oom_adj", "0");
	put(base, "comm", "program");
}

/* ---- Whom to look at ---- */

enum kind { ROOT, USER, OTHER, NOT_DUMPABLE, CAPABLE, CHANGED, EFFECTIVE, SET_ID, UNREADABLE, ZOMBIE, KINDS };
static const char *const kinds[] = { "root's", "the user's", "another user's", "not dumpable", "with capabilities", "changed its user", "only effectively the user's",
	"set-user-ID", "unreadable", "a zombie" };

static pid_t start(enum kind kind)
{
	int ready[2];
	char c;
	MUST(pipe(ready));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child != 0) {
		close(ready[1]);
		read(ready[0], &c, 1);
		close(ready[0]);
		if (kind == ZOMBIE) {
			siginfo_t info;
			MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
		} else if (kind == SET_ID || kind == UNREADABLE) {
			MUST(read(ready[0] = open("ready", O_RDONLY), &c, 1));
			close(ready[0]);
		}
		return child;
	}
	MUST(dup2(open("/dev/null", O_RDONLY), 3));
	fcntl(ready[1], F_SETFD, FD_CLOEXEC);
	switch (kind) {
	case ROOT:
		break;
	case OTHER:
		become(1001);
		MUST(prctl(PR_SET_DUMPABLE, 1));
		break;
	case CAPABLE:
		MUST(prctl(PR_SET_KEEPCAPS, 1));
		become(1000);
		caps(1 << 10);
		MUST(prctl(PR_SET_DUMPABLE, 1));
		break;
	case EFFECTIVE:
		MUST(setresgid(7, 1000, 7));
		MUST(setresuid(1001, 1000, 1001));
		MUST(prctl(PR_SET_DUMPABLE, 1));
		break;
	default:
		become(1000);
		MUST(prctl(PR_SET_DUMPABLE, kind != NOT_DUMPABLE && kind != CHANGED));
	}
	if (kind == ZOMBIE)
		_exit(0);
	if (kind == SET_ID || kind == UNREADABLE) {
		execl(kind == SET_ID ? "set-id" : "unreadable", "program", "wait", NULL);
		printf("execl: %s\n", error_name(errno));
		_exit(1);
	}
	MUST(write(ready[1], "x", 1));
	for (;;)
		pause();
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void all_kinds(const char *reader, uid_t uid, int traces)
{
	char base[40];
	for (enum kind kind = ROOT; kind < KINDS; kind++) {
		pid_t child = start(kind);
		printf("%s looks at a process: %s\n", reader, kinds[kind]);
		snprintf(base, sizeof base, "/proc/%d", child);
		IN_CHILD(
			if (uid != 0)
				become(uid);
			else if (!traces)
				caps(((1ULL << 41) - 1) & ~(1ULL << 19));
			look(base));
		end(child);
	}
}

/* ---- Itself ---- */

static void own_files(void)
{
	char path[64], text[64];
	struct stat status;
	puts("itself, after setuid");
	IN_CHILD(
		put_file("/tmp/proc_privilege", "x", 0666);
		int fd = (int)MUST(open("/tmp/proc_privilege", O_RDWR));
		MUST(dup2(fd, 3));
		become(1000);
		printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
		look("/proc/self");
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		TRY(stat(path, &status));
		TRY(readlink(path, text, sizeof text));
		TRY(open(path, O_RDONLY));
		TRY(access("/proc/self/fd", R_OK | X_OK));
		TRY(access("/proc/self/fd", W_OK));
		TRY(chdir("/proc/self/fd"));
		TRY(open("/proc/thread-self/fdinfo/0", O_RDONLY)));
	unlink("/tmp/proc_privilege");
}

/* ---- Open before it executes ---- */

static ssize_t read_from(int fd)
{
	char text[64];
	return pread(fd, text, sizeof text, 0);
}

static void kept_open(const char *program)
{
	static const char *const kept[] = { "maps", "smaps", "environ", "auxv", "mem", "stat", "personality" };
	int fds[7], go[2], ready[2];
	char path[64], c;
	printf("kept open while the process executes %s\n", program);
	MUST(pipe(go));
	MUST(pipe(ready));
	IN_CHILD(
		become(1000);
		MUST(prctl(PR_SET_DUMPABLE, 1));
		fflush(stdout);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			MUST(read(go[0], &c, 1));
			execl(program, "program", "wait", NULL);
			_exit(1);
		}
		for (int i = 0; i < 7; i++) {
			snprintf(path, sizeof path, "/proc/%d/%s", child, kept[i]);
			fds[i] = open(path, O_RDONLY);
			printf("  %s: opened %d\n", kept[i], fds[i] >= 0);
		}
		snprintf(path, sizeof path, "/proc/%d", child);
		int directory = open(path, O_PATH);
		snprintf(path, sizeof path, "/proc/%d/oom_score_adj", child);
		int place = open(path, O_PATH);
		MUST(write(go[1], &c, 1));
		int fifo = (int)MUST(open("ready", O_RDONLY));
		MUST(read(fifo, &c, 1));
		for (int i = 0; i < 7; i++) {
			errno = 0;
			ssize_t n = read_from(fds[i]);
			printf("  %s: read %s\n", kept[i], n < 0 ? error_name(errno) : n > 0 ? "some" : "nothing");
		}
		struct stat status;
		MUST(fstat(directory, &status));
		printf("  directory of %d:%d\n", status.st_uid, status.st_gid);
		printf("  environ: %s\n", attempt(openat(directory, "environ", O_RDONLY)));
		snprintf(path, sizeof path, "/proc/self/fd/%d", place);
		printf("  oom_score_adj: %s\n", attempt(open(path, O_WRONLY)));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0));
	for (int i = 0; i < 2; i++)
		close(go[i]), close(ready[i]);
}

/* ---- Hidden processes ---- */

static int lists(const char *directory, const char *name)
{
	DIR *open_directory = opendir(directory);
	struct dirent *entry;
	int found = 0;
	while (open_directory && (entry = readdir(open_directory)))
		found |= !strcmp(entry->d_name, name);
	if (open_directory)
		closedir(open_directory);
	return found;
}

static void look_through(const char *who)
{
	struct stat status;
	printf("  %s: lists 1 %d, self %d, uptime %d\n", who, lists("hidden", "1"), lists("hidden", "self"), lists("hidden", "uptime"));
	TRY(stat("hidden/1", &status));
	TRY(open("hidden/1", O_RDONLY));
	TRY(open("hidden/1/status", O_RDONLY));
	TRY(access("hidden/1", X_OK));
	TRY(open("hidden/self/status", O_RDONLY));
	TRY(open("hidden/uptime", O_RDONLY));
}

static void hide(const char *options)
{
	char line[300];
	printf("mounted with %s\n", options);
	if (TRY(mount("none", "hidden", "proc", 0, options)) < 0)
		return;
	FILE *mounts = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, mounts))
		if (strstr(line, "/hidden "))
			printf("  %s", strstr(line, " proc "));
	fclose(mounts);
	/* Root comes last: once it has looked a process up, others find the name, too. */
	IN_CHILD(become(1000); look_through("user"));
	IN_CHILD(
		gid_t group = 7;
		MUST(setgroups(1, &group));
		MUST(setresuid(1000, 1000, 1000));
		look_through("user in group 7"));
	IN_CHILD(caps(((1ULL << 41) - 1) & ~(1ULL << 19)); setgid(8); look_through("root that does not trace"));
	IN_CHILD(look_through("root"));
	MUST(umount("hidden"));
}

static void hidden(void)
{
	static const char *const options[] = { "", "hidepid=0", "hidepid=1,gid=7", "hidepid=2,gid=7", "hidepid=invisible", "hidepid=4,gid=7", "hidepid=3",
		"hidepid=x", "gid=7", "subset=pid", "subset=x", "other=1", "hidepid=noaccess,subset=pid" };
	MUST(mkdir("hidden", 0755));
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		hide(options[i]);
}

static void copy(const char *from, const char *to, mode_t mode)
{
	static char data[1 << 16];
	ssize_t n;
	int in = (int)MUST(open(from, O_RDONLY)), out = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	while ((n = read(in, data, sizeof data)) > 0)
		MUST(write(out, data, n));
	close(in);
	close(out);
	MUST(chmod(to, mode));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		MUST(write(open("ready", O_WRONLY), "x", 1));
		for (;;)
			pause();
	}
	MUST(chmod(".", 0777));
	MUST(mkfifo("ready", 0666));
	MUST(chmod("ready", 0666));
	copy("/proc/self/exe", "plain", 0755);
	copy("/proc/self/exe", "set-id", 04755);
	copy("/proc/self/exe", "unreadable", 0711);
	all_kinds("a user", 1000, 0);
	all_kinds("root", 0, 1);
	all_kinds("root that does not trace", 0, 0);
	own_files();
	kept_open("plain");
	kept_open("set-id");
	hidden();
	return 0;
}
