/*
 * Covers: execve of files with capabilities (security.capability, capabilities(7) "Transformation of capabilities during execve()"):
 * revisions 1 to 3, the effective flag, set-ID bits beside them, inheritable, ambient and bounding sets, securebits, no_new_privs,
 * CLONE_FS, nosuid mounts, scripts and interpreters; AT_SECURE, personality, death signal; the attribute set and read back.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include "case.h"

#define ATTRIBUTE "security.capability"
#define BIT(c) (1ULL << (c))
#define ALL (BIT(41) - 1)
typedef unsigned long long set;

/* ---- What a program got ---- */

static int set_caps(set e, set p, set i)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { (unsigned)e, (unsigned)p, (unsigned)i }, { (unsigned)(e >> 32), (unsigned)(p >> 32), (unsigned)(i >> 32) } };
	return (int)syscall(SYS_capset, &h, d);
}

/* Stands for a set: "all", or its bits. */
static const char *text_of(set s)
{
	static char texts[8][32];
	static int next;
	char *text = texts[next++ & 7];
	snprintf(text, 32, s == ALL ? "all" : "%llx", s);
	return text;
}

static int look(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	set ambient = 0;
	int death = -1;
	uid_t u, eu, su;
	gid_t g, eg, sg;
	syscall(SYS_capget, &h, d);
	for (int i = 0; i < 41; i++)
		ambient |= prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1 ? BIT(i) : 0;
	getresuid(&u, &eu, &su);
	getresgid(&g, &eg, &sg);
	prctl(PR_GET_PDEATHSIG, &death);
	printf("P %s E %s I %s A %s, bits %x, secure %lu, ids %d %d %d, %d %d %d, dumpable %d, death %d, personality %x\n",
	       text_of(d[0].permitted | (set)d[1].permitted << 32), text_of(d[0].effective | (set)d[1].effective << 32),
	       text_of(d[0].inheritable | (set)d[1].inheritable << 32), text_of(ambient), (unsigned)prctl(PR_GET_SECUREBITS), getauxval(AT_SECURE),
	       u, eu, su, g, eg, sg, prctl(PR_GET_DUMPABLE), death, personality(0xffffffff));
	return 0;
}

static void run(const char *path)
{
	fflush(stdout);
	execve(path, (char *[]){ "program", "look", NULL }, (char *[]){ NULL });
	printf("execve: %s\n", error_name(errno));
}

/* ---- Who executes ---- */

static const struct who {
	const char *name;
	set permitted, inheritable, ambient, not_bounding;
	int uid, euid, bits, no_new, shared;
} people[] = {
	{ "root", ALL, 0, 0, 0, 0, 0, 0, 0, 0 },
	{ "root without 13", ALL, 0, 0, BIT(13), 0, 0, 0, 0, 0 },
	{ "root without root's powers", ALL, BIT(5), 0, 0, 0, 0, 1, 0, 0 },
	{ "root with nothing", 0, 0, 0, 0, 0, 0, 0, 0, 0 },
	{ "user", 0, 0, 0, 0, 1000, 1000, 0, 0, 0 },
	{ "user who hands on 5, 13", 0, BIT(5) | BIT(13), 0, 0, 1000, 1000, 0, 0, 0 },
	{ "user with ambient 5", BIT(5), BIT(5), BIT(5), 0, 1000, 1000, 0, 0, 0 },
	{ "user without 13", 0, BIT(13), 0, BIT(13), 1000, 1000, 0, 0, 0 },
	{ "user who gets nothing new", 0, BIT(5), 0, 0, 1000, 1000, 0, 1, 0 },
	{ "user who gets nothing new, ambient 5", BIT(5) | BIT(13), BIT(5), BIT(5), 0, 1000, 1000, 0, 1, 0 },
	{ "user with 13 who gets nothing new", BIT(13), 0, 0, 0, 1000, 1000, 0, 1, 0 },
	{ "user who shares", 0, BIT(5), 0, 0, 1000, 1000, 0, 0, 1 },
	{ "user with CAP_SETUID who shares", BIT(7), 0, 0, 0, 1000, 1000, 0, 0, 1 },
	{ "user with keepcaps", BIT(5), 0, 0, 0, 1000, 1000, 0x10, 0, 0 },
	{ "user where root has no powers", BIT(5), BIT(5), BIT(5), 0, 1000, 1000, 0x2f, 0, 0 },
	{ "effectively root", ALL, 0, 0, 0, 1000, 0, 0, 0, 0 },
	{ "effectively root, shares", ALL, 0, 0, 0, 1000, 0, 0, 0, 1 },
	{ "really root", ALL, BIT(5), BIT(5), 0, 0, 1000, 0, 0, 0 },
	{ "really root, gets nothing new", BIT(5), 0, 0, 0, 0, 1000, 0, 1, 0 },
};

static void become(const struct who *who)
{
	MUST(setgroups(0, NULL));
	if (who->uid)
		MUST(setresgid(1000, 1000, 1000));
	MUST(set_caps(ALL, ALL, who->inheritable));
	for (int i = 0; i < 41; i++)
		if (who->not_bounding & BIT(i))
			MUST(prctl(PR_CAPBSET_DROP, i));
	MUST(prctl(PR_SET_SECUREBITS, 4));
	MUST(setresuid(who->uid, who->euid, who->euid));
	MUST(set_caps(ALL, ALL, who->inheritable));
	for (int i = 0; i < 41; i++)
		if (who->ambient & BIT(i))
			MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0));
	MUST(prctl(PR_SET_SECUREBITS, who->bits));
	MUST(set_caps(who->permitted, who->permitted, who->inheritable));
	if (who->no_new)
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	MUST(personality(ADDR_NO_RANDOMIZE));
}

/* ---- What is executed ---- */

struct value { unsigned magic, permitted, inheritable, permitted_high, inheritable_high, root; };

static const struct kind {
	const char *name;
	int size;
	struct value value;
} kinds[] = {
	{ "nothing", -1, { 0 } },
	{ "p 13", 20, { 0x2000000, 1 << 13 } },
	{ "p 13, effective", 20, { 0x2000001, 1 << 13 } },
	{ "p 13, i 5", 20, { 0x2000000, 1 << 13, 1 << 5 } },
	{ "p 13, i 5, effective", 20, { 0x2000001, 1 << 13, 1 << 5 } },
	{ "i 5 and 13", 20, { 0x2000000, 0, 1 << 5 | 1 << 13 } },
	{ "i 5, effective", 20, { 0x2000001, 0, 1 << 5 } },
	{ "all and more", 20, { 0x2000000, ~0u, ~0u, ~0u, ~0u } },
	{ "all and more, effective", 20, { 0x2000001, ~0u, 0, ~0u, 0 } },
	{ "effective nothing", 20, { 0x2000001 } },
	{ "plain nothing", 20, { 0x2000000 } },
	{ "root 0's p 13, effective", 24, { 0x3000001, 1 << 13 } },
	{ "root 1000's p 13, effective", 24, { 0x3000001, 1 << 13, 0, 0, 0, 1000 } },
	{ "empty", 0, { 0 } },
};
#define COUNT(list) (int)(sizeof list / sizeof *list)

static void give(const char *path, const struct kind *kind)
{
	removexattr(path, ATTRIBUTE);
	if (kind->size >= 0)
		MUST(setxattr(path, ATTRIBUTE, &kind->value, (size_t)kind->size, 0));
}

static void run_as(const struct who *who, const char *path)
{
	int status;
	fflush(stdout);
	pid_t child = (pid_t)MUST(syscall(SYS_clone, SIGCHLD | (who->shared ? CLONE_FS : 0), 0, 0, 0, 0));
	if (child == 0) {
		become(who);
		run(path);
		fflush(stdout);
		_exit(1);
	}
	MUST(waitpid(child, &status, 0));
	if (status && WEXITSTATUS(status) != 1)
		show_status(status);
}

static void copy(const char *to, mode_t mode)
{
	static char data[1 << 16];
	ssize_t n;
	int in = (int)MUST(open("/proc/self/exe", O_RDONLY)), out = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	while ((n = read(in, data, sizeof data)) > 0)
		MUST(write(out, data, (size_t)n));
	close(in);
	close(out);
	MUST(chmod(to, mode));
}

/* On a second file system, fewer: what follows from an attribute does not depend on where it lies. */
static void combinations(int few)
{
	static const struct { const char *name; uid_t uid; mode_t mode; } files[] = { { "plain", 0, 0755 }, { "set-user-ID root", 0, 04755 }, { "set-user-ID other", 1001, 04755 }, { "set-group-ID", 0, 02755 } };
	copy("f", 0755);
	for (int f = 0; f < COUNT(files); f++) {
		MUST(chown("f", files[f].uid, 7));
		MUST(chmod("f", files[f].mode));
		for (int k = 0; k < COUNT(kinds); k++) {
			if ((f > 1 && k % 4 != 2) || (few && (f || k % 3 != 1)))
				continue;
			give("f", &kinds[k]);
			printf("%s, %s\n", files[f].name, kinds[k].name);
			for (int w = 0; w < COUNT(people); w++) {
				printf("  %s: ", people[w].name);
				run_as(&people[w], "f");
			}
		}
	}
}

/* ---- The attribute ---- */

static void show_value(const char *path)
{
	unsigned char value[64];
	ssize_t size = getxattr(path, ATTRIBUTE, NULL, 0);
	printf("  size %zd", size);
	size = getxattr(path, ATTRIBUTE, value, sizeof value);
	if (size < 0)
		printf(", %s", error_name(errno));
	for (int i = 0; i < size; i++)
		printf(" %02x", value[i]);
	printf("; in 20 bytes %zd, in 12 %zd\n", getxattr(path, ATTRIBUTE, value, 20), getxattr(path, ATTRIBUTE, value, 12));
}

static void attribute(void)
{
	static const struct kind odd[] = {
		{ "flags", 20, { 0x2fffffe, 1 } },
		{ "root 1000", 24, { 0x3000001, 1, 2, 3, 4, 1000 } },
		{ "flags of root 1000", 24, { 0x3000003, 1, 2, 3, 4, 1000 } },
		{ "root 0", 24, { 0x3000000, ~0u, ~0u, ~0u, ~0u, 0 } },
		{ "root 0, effective", 24, { 0x3000001, 1, 2, 3, 4, 0 } },
		{ "no root", 24, { 0x3000000, 1, 2, 3, 4, ~0u } },
		{ "revision 1", 12, { 0x1000000, 1, 1 } },
		{ "revision 2 of 24 bytes", 24, { 0x2000000, 1, 1 } },
		{ "revision 3 of 20 bytes", 20, { 0x3000000, 1, 1 } },
		{ "revision 4", 20, { 0x4000000, 1, 1 } },
		{ "too short", 3, { 0x2000000 } },
		{ "empty", 0, { 0 } },
	};
	puts("--- set and read back");
	put_file("g", "", 0755);
	for (int i = 0; i < COUNT(odd); i++) {
		removexattr("g", ATTRIBUTE);
		long result = setxattr("g", ATTRIBUTE, &odd[i].value, (size_t)odd[i].size, 0);
		printf("%s: %s\n", odd[i].name, result < 0 ? error_name(errno) : "ok");
		show_value("g");
	}
	give("g", &kinds[1]);
	for (int w = 0; w < 2; w++)
		IN_CHILD(
			MUST(prctl(PR_SET_KEEPCAPS, 1));
			MUST(setuid(1000));
			MUST(set_caps(w ? BIT(CAP_SETFCAP) : 0, BIT(CAP_SETFCAP), 0));
			SHOW(setxattr("g", ATTRIBUTE, &kinds[2].value, 20, 0));
			SHOW(setxattr("g", ATTRIBUTE, &kinds[11].value, 24, 0));
			show_value("g");
			SHOW(removexattr("g", ATTRIBUTE)));
	MUST(mkdir("d", 0755));
	SHOW(setxattr("d", ATTRIBUTE, &kinds[1].value, 20, 0));
	SHOW(lsetxattr("link", ATTRIBUTE, &kinds[1].value, 20, 0));
	MUST(rmdir("d"));
	MUST(unlink("g"));
}

/* ---- Where it counts, and where not ---- */

static void places(void)
{
	static const char *ways[] = { "f", "script", "deep", "/proc/self/fd/30", "link" };
	puts("--- places");
	copy("f", 0755);
	put_file("script", "#!./f look\n", 0755);
	put_file("deep", "#!script look\n", 0755);
	MUST(symlink("f", "link"));
	give("f", &kinds[2]);
	give("script", &kinds[8]);
	int fd = (int)MUST(open("f", O_RDONLY));
	MUST(dup2(fd, 30));
	close(fd);
	for (int i = 0; i < COUNT(ways); i++) {
		printf("%s\n  ", ways[i]);
		run_as(&people[4], ways[i]);
	}
	MUST(mkdir("m", 0755));
	MUST(mount(".", "m", NULL, MS_BIND, NULL));
	MUST(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
	puts("on a nosuid mount");
	run_as(&people[4], "m/f");
	run_as(&people[6], "m/f");
	give("m/f", &kinds[13]);
	run_as(&people[4], "m/f");
	run_as(&people[4], "f");
	MUST(umount("m"));
	puts("unreadable");
	give("f", &kinds[2]);
	MUST(chmod("f", 0711));
	run_as(&people[4], "f");
	MUST(chmod("f", 0755));
	puts("written since");
	fd = (int)MUST(open("f", O_WRONLY | O_APPEND));
	MUST(write(fd, "x", 1));
	close(fd);
	run_as(&people[4], "f");
	give("f", &kinds[2]);
	MUST(chown("f", 5, 5));
	puts("of another owner since");
	run_as(&people[4], "f");
	give("f", &kinds[2]);
	puts("given again");
	run_as(&people[4], "f");
	close(30);
	MUST(unlink("link"));
}

/* A disk may bear what no program can set: revision 1, and values that make no sense. */
static void from_the_disk(void)
{
	static const struct { const char *name; struct value value; int size; } found[] = {
		{ "revision 1", { 0x1000001, 1 << 13, 1 << 5 }, 12 },
		{ "revision 1, not effective", { 0x1000000, 1 << 13, 1 << 5 }, 12 },
		{ "revision 1 of 20 bytes", { 0x1000001, 1 << 13 }, 20 },
		{ "revision 2 of 12 bytes", { 0x2000001, 1 << 13 }, 12 },
		{ "revision 2 with unknown flags", { 0x2fffffe, 1 << 13 }, 20 },
		{ "revision 2 with all flags", { 0x2ffffff, 1 << 13 }, 20 },
		{ "revision 0", { 1, 1 << 13 }, 20 },
		{ "2 bytes", { 0x2000001, 1 << 13 }, 2 },
	};
	static char disk[8 << 20];
	puts("--- from the disk");
	for (int i = 0; i < COUNT(found); i++) {
		struct value mark = { 0x2000001, 0x12345678 + (unsigned)i, 0x12345678 };
		MUST(mount("/dev/vda", "disk", "ext2", 0, NULL));
		unlink("disk/f");
		copy("disk/f", 0755);
		MUST(setxattr("disk/f", ATTRIBUTE, &mark, 20, 0));
		MUST(umount("disk"));
		int fd = (int)MUST(open("/dev/vda", O_RDWR));
		MUST(read(fd, disk, sizeof disk));
		char *place = memmem(disk, sizeof disk, &mark, 12), *block = disk + ((place - disk) & ~1023L);
		char *name = place ? memmem(block, 1024, "capability", 10) : NULL;
		if (!name) {
			puts("not found");
			return;
		}
		memcpy(place, &found[i].value, 20);
		*(unsigned *)(name - 8) = (unsigned)found[i].size;
		*(unsigned *)(name - 4) = 0;
		*(unsigned *)(block + 12) = 0; /* nobody shares it */
		MUST(pwrite(fd, block, 1024, block - disk));
		fsync(fd);
		close(fd);
		MUST(mount("/dev/vda", "disk", "ext2", 0, NULL));
		printf("%s\n", found[i].name);
		show_value("disk/f");
		run_as(&people[4], "disk/f");
		run_as(&people[5], "disk/f");
		SHOW(removexattr("disk/f", ATTRIBUTE));
		run_as(&people[4], "disk/f");
		MUST(umount("disk"));
	}
}

static void all(const char *where)
{
	printf("--- %s\n", where);
	if (strcmp(where, "tmpfs"))
		MUST(mount("/dev/vda", "disk", "ext2", 0, NULL));
	else
		MUST(mount("none", "disk", "tmpfs", 0, NULL));
	MUST(chdir("disk"));
	MUST(chmod(".", 0755));
	MUST(symlink("f", "link"));
	attribute();
	MUST(unlink("link"));
	places();
	MUST(unlink("f"));
	combinations(!strcmp(where, "ext2"));
	MUST(unlink("f"));
	MUST(chdir(".."));
	MUST(umount("disk"));
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return look();
	MUST(mkdir("disk", 0755));
	all("tmpfs");
	MUST(system("mke2fs -F -b 1024 /dev/vda 8192 >/dev/null 2>&1"));
	all("ext2");
	from_the_disk();
	return 0;
}
