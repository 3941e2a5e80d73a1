/* Covers: mkdir, mkdirat, rmdir, unlinkat (AT_REMOVEDIR), getdents64, chdir, fchdir, getcwd, telldir/seekdir, removal while open. */
#include <dirent.h>
#include "case.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char **)a, *(char **)b);
}

static void list(const char *path)
{
	char *names[200];
	int count = 0;
	DIR *dir = opendir(path);
	if (!dir) {
		printf("opendir %s: %s\n", path, error_name(errno));
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir)) && count < 200;) {
		char text[300];
		snprintf(text, sizeof text, "%s:%d", entry->d_name, entry->d_type);
		names[count++] = strdup(text);
	}
	closedir(dir);
	qsort(names, count, sizeof *names, by_name);
	printf("%s:", path);
	for (int i = 0; i < count; i++)
		printf(" %s", names[i]);
	printf("\n");
}

int main(void)
{
	char buffer[4096], small[4];
	SHOW(mkdir("a", 0755));
	SHOW(mkdir("a", 0755));
	SHOW(mkdir("a/b", 0700));
	SHOW(mkdir("a/b/c/", 0700));
	SHOW(mkdir("x/y", 0700));
	SHOW(mkdir("", 0700));
	SHOW(mkdir("/", 0700));
	SHOW(mkdir(".", 0700));
	put_file("a/file", "x", 0644);
	SHOW(mkdir("a/file/z", 0700));
	SHOW(symlink("b", "a/link"));
	SHOW(mkfifo("a/fifo", 0600));
	list("a");
	list("a/link");
	list("a/file");
	SHOW(rmdir("a"));
	SHOW(rmdir("a/file"));
	SHOW(rmdir("a/link"));
	SHOW(rmdir("a/none"));
	SHOW(rmdir("a/."));
	SHOW(rmdir("a/b/.."));
	SHOW(rmdir("/"));
	SHOW(rmdir("/proc"));
	SHOW(unlink("a/b"));
	SHOW(unlinkat(AT_FDCWD, "a/b/c", 0));
	SHOW(unlinkat(AT_FDCWD, "a/b/c", AT_REMOVEDIR));
	SHOW(unlinkat(AT_FDCWD, "a/file", AT_REMOVEDIR));
	SHOW(unlinkat(AT_FDCWD, "a/file", 0x4000));
	SHOW(unlink("a/file"));
	SHOW(unlink("a/file"));
	SHOW(unlink("a/"));

	int home = (int)MUST(open(".", O_RDONLY));
	SHOW(chdir("a/b"));
	CHECK(strstr(getcwd(buffer, sizeof buffer), "/a/b") != 0);
	SHOW(chdir("../.."));
	SHOW(chdir("none"));
	SHOW(chdir("a/fifo"));
	SHOW(fchdir(home));
	SHOW(fchdir(99));
	int fd = (int)MUST(open("/dev/null", O_RDONLY));
	SHOW(fchdir(fd));
	SHOW(chdir("/"));
	SHOW(syscall(SYS_getcwd, buffer, sizeof buffer));
	puts(buffer);
	SHOW(syscall(SYS_getcwd, small, 1));
	SHOW(syscall(SYS_getcwd, (void *)8, 100));
	SHOW(chdir("/.././dev/../tmp//"));
	puts(getcwd(buffer, sizeof buffer));
	SHOW(fchdir(home));

	/* Removing the current directory. */
	SHOW(mkdir("gone", 0755));
	SHOW(chdir("gone"));
	SHOW(rmdir("../gone"));
	SHOW(syscall(SYS_getcwd, buffer, sizeof buffer));
	SHOW(mkdir("inside", 0755));
	SHOW(open("file", O_CREAT | O_WRONLY, 0600));
	list(".");
	SHOW(chdir(".."));
	SHOW(fchdir(home));

	/* Many entries: every one is seen once, across several calls. */
	MUST(mkdir("many", 0755));
	for (int i = 0; i < 500; i++) {
		snprintf(buffer, sizeof buffer, "many/entry-%d", i);
		put_file(buffer, "", 0600);
	}
	DIR *dir = opendir("many");
	static int seen[500];
	int number, others = 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		if (sscanf(entry->d_name, "entry-%d", &number) == 1)
			seen[number]++;
		else
			others++;
	int once = 0;
	for (int i = 0; i < 500; i++)
		once += seen[i] == 1;
	printf("%d entries seen once, %d others\n", once, others);
	rewinddir(dir);
	int count = 0;
	for (struct dirent *entry; (entry = readdir(dir)); count++)
		if (entry->d_name[0] == 'e') {
			snprintf(buffer, sizeof buffer, "many/%s", entry->d_name);
			MUST(unlink(buffer));
		}
	printf("%d entries while removing\n", count);
	closedir(dir);
	SHOW(rmdir("many"));
	int raw = (int)MUST(open("a", O_RDONLY));
	SHOW(syscall(SYS_getdents64, raw, buffer, 4));
	SHOW(syscall(SYS_getdents64, raw, (void *)8, 4096));
	SHOW(syscall(SYS_getdents64, fd, buffer, 4096));
	SHOW(syscall(SYS_getdents64, 99, buffer, 4096));
	return 0;
}
