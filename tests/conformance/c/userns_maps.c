/* /proc/PID/{uid_map,gid_map,projid_map,setgroups}: what may be written, by whom, and how it reads. */
#include "userns_case.h"

static const char *const texts[] = {
	"", "\n", "0", "0 0", "0 0 ", "0 0 0", "0 0 1", "0 0 1\n", "0 0 1\n\n", " \t0\v0\f1  \n", "0 0 1 x", "x 0 1", "0 x 1", "0 0 x",
	"0 0 -1", "-1 0 1", "0 0 0x10", "00 000 01", "4294967295 0 1", "0 4294967295 1", "4294967294 0 1", "4294967294 0 2",
	"0 4294967294 2", "0 0 4294967295", "0 0 4294967296", "4294967296 0 1", "0 0 4294967297", "18446744073709551616 0 1",
	"0 0 10\n5 20 1", "0 0 10\n20 5 1", "0 0 10\n10 10 10\n", "0 0 10\n\n10 10 10", "0 0 1\n1 1 1\n2 2 1\n3 3 1\n4 4 1",
	"9 0 1\n1 1 1\n2 2 1\n3 3 1\n4 4 1", "9 0 1\n1 1 1\n2 2 1\n3 3 1\n4 4 1\n5 5 1", "0 100000 65536", "7 1000 1", "0\n0\n1",
	"1 1 1\n0 0 1", "0 0 1\r\n1 1 1", "0,0,1",
};

static void table(const char *name, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct child c = begin(hear, CLONE_NEWUSER);
		long done = put_of(c.pid, name, texts[i]);
		printf("%s \"%s\": ", name, texts[i]);
		if (done < 0)
			printf("%s", error_name(errno));
		else
			printf("%ld", done);
		printf("\n");
		char path[64], text[400];
		snprintf(path, sizeof path, "/proc/%d/%s", c.pid, name);
		int fd = (int)MUST(open(path, O_RDONLY));
		long n = read(fd, text, sizeof text - 1);
		text[n > 0 ? n : 0] = 0;
		printf("%s", text);
		close(fd);
		if (done >= 0)
			SHOW(put_of(c.pid, name, "50 50 1"));
		tell(c);
		show_end(c.pid);
	}
}

static char large[8192];

static void many(int count, int last, const char *end)
{
	struct child c = begin(hear, CLONE_NEWUSER);
	int length = 0;
	for (int i = 0; i < count; i++)
		length += sprintf(large + length, "%d %d 1%s", (count - i) * 3, i == last ? 0 : i, i + 1 < count ? "\n" : end);
	long done = put_of(c.pid, "uid_map", large);
	printf("%d extents, %d bytes, end \"%s\": %ld %s\n", count, length, end, done, done < 0 ? error_name(errno) : "");
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", c.pid);
	FILE *file = fopen(path, "r");
	int lines = 0, sorted = 1;
	long before = -1, first;
	while (fscanf(file, "%ld %*d %*d", &first) == 1) {
		sorted &= first > before;
		before = first;
		lines++;
	}
	fclose(file);
	printf("%d lines, sorted %d, last %ld\n", lines, sorted, before);
	tell(c);
	show_end(c.pid);
}

static void writes(void)
{
	struct child c = begin(hear, CLONE_NEWUSER);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", c.pid);
	int fd = (int)MUST(open(path, O_RDWR));
	memset(large, ' ', sizeof large);
	memcpy(large, "0 0 1", 5);
	SHOW(write(fd, large, 4096));
	SHOW(pwrite(fd, "0 0 1", 5, 1));
	SHOW(write(fd, large, 4095));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(write(fd, "1 1 1", 5));
	SHOW(pwrite(fd, "1 1 1", 5, 0));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, large, 10));
	SHOW(read(fd, large, 100));
	SHOW(read(fd, large, 100));
	close(fd);
	struct stat s;
	MUST(stat(path, &s));
	printf("mode %o owner %d\n", s.st_mode, s.st_uid);
	SHOW(truncate(path, 0));
	SHOW(open(path, O_RDONLY | O_TRUNC) >= 0);
	SHOW(put("/proc/self/uid_map", "0 0 1"));
	SHOW(put("/proc/self/setgroups", "deny"));
	SHOW(put("/proc/self/setgroups", "allow"));
	tell(c);
	finish(c);
}

static void own(void)
{
	ids("own");
	SHOW(put("/proc/self/gid_map", "0 1000 1"));
	SHOW(put("/proc/self/uid_map", "0 0 1"));
	SHOW(put("/proc/self/uid_map", "0 1001 1"));
	SHOW(put("/proc/self/uid_map", "0 1000 2"));
	SHOW(put("/proc/self/uid_map", "0 1000 1\n1 1001 1"));
	SHOW(put("/proc/self/uid_map", "7 1000 1"));
	show_file("/proc/self/uid_map");
	ids("mapped");
	SHOW(setgroups(0, NULL));
	SHOW(put("/proc/self/setgroups", "deny"));
	SHOW(put("/proc/self/setgroups", "allow"));
	SHOW(put("/proc/self/gid_map", "0 1001 1"));
	SHOW(put("/proc/self/gid_map", "8 1000 1"));
	show_file("/proc/self/gid_map");
	SHOW(setgroups(0, NULL));
	SHOW(put("/proc/self/setgroups", "deny"));
	SHOW(put("/proc/self/projid_map", "0 0 4294967295"));
	show_file("/proc/self/projid_map");
	SHOW(put("/proc/self/projid_map", "0 0 1"));
	ids("mapped");
	SHOW(setuid(7));
	SHOW(setuid(1000));
	SHOW(setuid(0));
	SHOW(setgid(8));
	SHOW(setgid(0));
}

static const char *const words[] = {
	"allow", "deny", "allow\n", "deny\n", "deny \n", " deny", "den", "denyx", "deny\n\n", "allowed", "", "ALLOW", "deny\n\n\n\n",
};

static void setgroups_table(void)
{
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		struct child c = begin(hear, CLONE_NEWUSER);
		printf("setgroups \"%s\": ", words[i]);
		long done = put_of(c.pid, "setgroups", words[i]);
		printf("%ld %s\n", done, done < 0 ? error_name(errno) : "");
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/setgroups", c.pid);
		FILE *file = fopen(path, "r");
		char text[32] = "";
		fgets(text, sizeof text, file);
		fclose(file);
		printf("is %s", text);
		SHOW(put_of(c.pid, "setgroups", "allow"));
		tell(c);
		show_end(c.pid);
	}
	struct child c = begin(hear, CLONE_NEWUSER);
	SHOW(put_of(c.pid, "gid_map", "0 0 10"));
	SHOW(put_of(c.pid, "setgroups", "deny"));
	SHOW(put_of(c.pid, "setgroups", "allow"));
	tell(c);
	finish(c);
}

static void inside(void)
{
	hear();
	show_file("/proc/self/uid_map");
	ids("inside");
	SHOW(setgroups(2, (gid_t[]){ 5, 6 }));
	SHOW(setgroups(1, (gid_t[]){ 2000 }));
	gid_t groups[4] = { 0 };
	SHOW(getgroups(4, groups));
	printf("%d %d\n", groups[0], groups[1]);
	SHOW(setresuid(1, 2, 3));
	ids("set");
	SHOW(setuid(999));
	SHOW(setuid(1000));
	SHOW(setreuid(-1, 3));
	SHOW(setreuid(5, -1));
	SHOW(setreuid(5000, -1));
	SHOW(setresuid(-1, -1, 5000));
	SHOW(setfsuid(5000));
	SHOW(setfsuid(3));
	SHOW(setfsuid(-1));
	say();
	hear();
}

static void nested(void)
{
	hear();
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	SHOW(put("/proc/self/uid_map", "0 0 1"));
	struct child c = begin(hear, CLONE_NEWUSER);
	SHOW(put_of(c.pid, "uid_map", "0 500 1000"));
	SHOW(put_of(c.pid, "uid_map", "0 500 500"));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", c.pid);
	FILE *file = fopen(path, "r");
	char text[64] = "none";
	fgets(text, sizeof text, file);
	printf("%s\n", text);
	fclose(file);
	tell(c);
	show_end(c.pid);
	say();
	hear();
}

int main(void)
{
	table("uid_map", sizeof texts / sizeof *texts);
	table("gid_map", 12);
	table("projid_map", 12);
	many(5, -1, "");
	many(6, -1, "");
	many(340, -1, "");
	many(340, -1, "\n");
	many(341, -1, "");
	many(340, 339, "");
	writes();
	IN_CHILD(become(1000); MUST(unshare(CLONE_NEWUSER)); own());
	setgroups_table();
	struct child c = begin_mapped(inside, 0);
	await(c);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", c.pid);
	FILE *file = fopen(path, "r");
	char text[64];
	fgets(text, sizeof text, file);
	printf("outside: %s", text);
	fclose(file);
	tell(c);
	finish(c);
	c = begin_mapped(nested, 0);
	await(c);
	tell(c);
	finish(c);
	IN_CHILD({
		MUST(unshare(CLONE_NEWUSER));
		show_file("/proc/1/uid_map");
		show_file("/proc/1/setgroups");
		SHOW(put("/proc/1/uid_map", "0 0 1"));
	});
}
