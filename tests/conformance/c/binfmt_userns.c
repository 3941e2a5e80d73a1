/* binfmt_misc in user namespaces: each has formats of its own once it was mounted there. */
#include "userns_case.h"

#define OUTER "/proc/sys/fs/binfmt_misc/"
#define INNER "/tmp/bu/inner/"

static char *environment[] = { "SHOWS=1", NULL };

static void run(const char *path)
{
	char *argv[] = { "zero", "one", NULL };
	IN_CHILD(execve(path, argv, environment); printf("  %s: %s\n", path, error_name(errno)));
}

static void copy(const char *to)
{
	static char data[1 << 16];
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY));
	int into = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	for (ssize_t n; (n = read(from, data, sizeof data)) > 0;)
		MUST(write(into, data, n));
	close(from);
	close(into);
}

static void owner(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: %d %d mode %o\n", path, s.st_uid, s.st_gid, s.st_mode);
}

static void inside(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(unshare(CLONE_NEWNS));
	run("/tmp/bu/a.xyz");
	SHOW(put(OUTER "status", "0"));
	SHOW(mount("none", "/tmp/bu/inner", "binfmt_misc", 0, NULL));
	owner(INNER);
	owner(INNER "register");
	owner(INNER "status");
	run("/tmp/bu/a.xyz");
	SHOW(put(INNER "register", ":xyz:E::xyz::/tmp/bu/show:P"));
	owner(INNER "xyz");
	run("/tmp/bu/a.xyz");
	owner(OUTER "inner");
	show_file(INNER "xyz");
	SHOW(put(INNER "status", "0"));
	run("/tmp/bu/a.xyz");
	SHOW(put(INNER "status", "1"));
	say();
	hear();
	run("/tmp/bu/a.xyz");
	SHOW(mkdir(INNER "new", 0755));
	SHOW(umount("/tmp/bu/inner"));
	run("/tmp/bu/a.xyz");
	say();
	hear();
}

int main(int argc, char **argv)
{
	if (getenv("SHOWS")) {
		printf("  %d arguments:", argc);
		for (int i = 0; i < argc; i++)
			printf(" [%s]", argv[i]);
		printf("\n");
		return 7;
	}
	MUST(mkdir("/tmp/bu", 0755));
	MUST(mkdir("/tmp/bu/inner", 0755));
	put_file("/tmp/bu/a.xyz", "XYZ\n", 0755);
	copy("/tmp/bu/show");
	MUST(mount("none", OUTER, "binfmt_misc", 0, NULL));
	SHOW(put(OUTER "register", ":outer:E::xyz::/tmp/bu/show:"));
	run("/tmp/bu/a.xyz");
	struct child child = begin_mapped(inside, 0);
	await(child);
	run("/tmp/bu/a.xyz");
	SHOW(put(OUTER "outer", "-1"));
	run("/tmp/bu/a.xyz");
	tell(child);
	await(child);
	SHOW(put(OUTER "register", ":outer:E::xyz::/tmp/bu/show:"));
	tell(child);
	finish(child);
	SHOW(umount(OUTER));
	return 0;
}
