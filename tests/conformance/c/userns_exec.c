/* Set-id programs and capabilities of files, run in and out of a user namespace. */
#include "userns_case.h"
#include <sys/auxv.h>
#include <sys/xattr.h>

static void report(void)
{
	char line[128];
	ids("runs as");
	FILE *file = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, "CapPrm", 6) || !strncmp(line, "CapEff", 6))
			printf("%s", line);
	fclose(file);
	printf("secure %lu dumpable %d uid %lu euid %lu\n", getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE), getauxval(AT_UID),
	       getauxval(AT_EUID));
}

static void run(const char *path)
{
	printf("%s\n", path);
	fflush(stdout);
	pid_t pid = (pid_t)MUST(fork());
	if (pid == 0) {
		execl(path, "report", NULL);
		printf("exec: %s\n", error_name(errno));
		fflush(stdout);
		_exit(1);
	}
	show_end(pid);
}

static void copy(const char *to, uid_t uid, gid_t gid, mode_t mode)
{
	static char buffer[1 << 16];
	int in = (int)MUST(open("/proc/self/exe", O_RDONLY)), out = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	for (long n; (n = read(in, buffer, sizeof buffer)) > 0;)
		MUST(write(out, buffer, n));
	close(in);
	MUST(fchown(out, uid, gid));
	MUST(fchmod(out, mode));
	close(out);
}

static const char *const programs[] = {
	"/tmp/ue/plain", "/tmp/ue/root", "/tmp/ue/mapped", "/tmp/ue/user", "/tmp/ue/group", "/tmp/ue/beyond", "/tmp/ue/half", "/tmp/ue/capable", "/tmp/ue/ours",
	"/tmp/ue/theirs", "/tmp/ue/hidden",
};

static void all(void)
{
	for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++)
		run(programs[i]);
}

static void as_root_inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	all();
}

static void as_user_inside(void)
{
	hear();
	MUST(setresgid(5, 5, 5));
	MUST(setresuid(5, 5, 5));
	all();
}

static void own_mount(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(mount("none", "/mnt", "tmpfs", 0, NULL));
	copy("/mnt/set", 0, 0, 06755);
	copy("/mnt/five", 5, 5, 06755);
	run("/mnt/set");
	run("/mnt/five");
	say();
	hear();
}

struct attribute { uint32_t magic, sets[4], root; };

static void put_capabilities(const char *path, struct attribute value, int size)
{
	printf("set %x root %d size %d: ", value.magic, (int)value.root, size);
	long done = setxattr(path, "security.capability", &value, (size_t)size, 0);
	printf("%ld %s\n", done, done < 0 ? error_name(errno) : "");
}

static void get_capabilities(const char *path)
{
	struct attribute value = { 0 };
	long size = getxattr(path, "security.capability", &value, sizeof value);
	if (size < 0)
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %ld bytes, %x, %x, root %d\n", path, size, value.magic, value.sets[0], (int)value.root);
}

static void attributes_inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	for (unsigned i = 7; i < sizeof programs / sizeof *programs; i++)
		get_capabilities(programs[i]);
	struct attribute second = { 0x02000001, { 1 << 5, 0, 0, 0 }, 0 }, third = { 0x03000001, { 1 << 6, 0, 0, 0 }, 0 };
	put_capabilities("/tmp/ue/own", second, 20);
	get_capabilities("/tmp/ue/own");
	put_capabilities("/tmp/ue/own", third, 24);
	get_capabilities("/tmp/ue/own");
	third.root = 7;
	put_capabilities("/tmp/ue/own", third, 24);
	get_capabilities("/tmp/ue/own");
	third.root = 5000;
	put_capabilities("/tmp/ue/own", third, 24);
	put_capabilities("/tmp/ue/plain", second, 20);
	SHOW(removexattr("/tmp/ue/plain", "security.capability"));
	SHOW(removexattr("/tmp/ue/own", "security.capability"));
	put_capabilities("/tmp/ue/own", second, 20);
	run("/tmp/ue/own");
	MUST(setresuid(5, 5, 5));
	run("/tmp/ue/own");
	put_capabilities("/tmp/ue/own", second, 20);
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!strcmp(argv[0], "report")) {
		report();
		return 0;
	}
	mkdir("/mnt", 0755);
	MUST(mkdir("/tmp/ue", 0755));
	copy("/tmp/ue/plain", 0, 0, 0755);
	copy("/tmp/ue/root", 0, 0, 06755);
	copy("/tmp/ue/mapped", 100000, 100000, 06755);
	copy("/tmp/ue/user", 100007, 100000, 04755);
	copy("/tmp/ue/group", 100000, 100007, 02755);
	copy("/tmp/ue/beyond", 101000, 101000, 06755);
	copy("/tmp/ue/half", 100007, 5, 06755);
	copy("/tmp/ue/capable", 0, 0, 0755);
	copy("/tmp/ue/ours", 100000, 100000, 0755);
	copy("/tmp/ue/theirs", 100000, 100000, 0755);
	copy("/tmp/ue/hidden", 0, 0, 0711);
	copy("/tmp/ue/own", 100000, 100000, 0755);
	put_capabilities("/tmp/ue/capable", (struct attribute){ 0x02000001, { 1 << 10, 0, 0, 0 }, 0 }, 20);
	put_capabilities("/tmp/ue/ours", (struct attribute){ 0x03000001, { 1 << 11, 0, 0, 0 }, 100000 }, 24);
	put_capabilities("/tmp/ue/theirs", (struct attribute){ 0x03000001, { 1 << 12, 0, 0, 0 }, 100007 }, 24);
	get_capabilities("/tmp/ue/capable");
	get_capabilities("/tmp/ue/ours");
	all();
	finish(begin_mapped(as_root_inside, 0));
	finish(begin_mapped(as_user_inside, 0));
	finish(begin_mapped(attributes_inside, 0));
	get_capabilities("/tmp/ue/own");
	IN_CHILD(MUST(setresgid(100003, 100003, 100003)); MUST(setresuid(100003, 100003, 100003)); run("/tmp/ue/own"));
	struct child c = begin_mapped(own_mount, CLONE_NEWNS);
	await(c);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/root/mnt/set", c.pid);
	IN_CHILD({
		printf("from outside\n");
		fflush(stdout);
		pid_t pid = (pid_t)MUST(fork());
		if (pid == 0) {
			execl(path, "report", NULL);
			_exit(1);
		}
		show_end(pid);
	});
	tell(c);
	finish(c);
	IN_CHILD({
		/* Without a mapping of user 0, nobody is root, and no program makes one. */
		become(1000);
		MUST(unshare(CLONE_NEWUSER));
		MUST(put("/proc/self/uid_map", "7 1000 1"));
		run("/tmp/ue/plain");
		run("/tmp/ue/root");
		run("/tmp/ue/capable");
	});
}
