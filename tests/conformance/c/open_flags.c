/* Covers: open, openat, creat: O_CREAT O_EXCL O_TRUNC O_APPEND O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_PATH O_TMPFILE O_NONBLOCK; errors of path walk. */
#include "case.h"

int main(void)
{
	char long_name[300], long_path[PAGE + 10];
	memset(long_name, 'n', 299), long_name[299] = 0;
	memset(long_path, '/', PAGE + 9), long_path[PAGE + 9] = 0;

	SHOW(open("none", O_RDONLY));
	int fd = (int)TRY(open("file", O_WRONLY | O_CREAT, 0640));
	SHOW(write(fd, "hello", 5));
	SHOW(read(fd, long_name, 1));
	SHOW(close(fd));
	SHOW(close(fd));
	SHOW(open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
	fd = (int)TRY(open("file", O_RDWR | O_APPEND));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(write(fd, " world", 6));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(close(fd));
	show_file("file");
	TRY(open("file", O_WRONLY | O_TRUNC));
	show_file("file");
	SHOW(open("file", O_RDONLY | O_DIRECTORY));
	SHOW(mkdir("dir", 0755));
	TRY(open("dir", O_RDONLY | O_DIRECTORY));
	SHOW(open("dir", O_WRONLY));
	SHOW(open("dir", O_RDWR));
	SHOW(open("dir", O_RDONLY | O_CREAT, 0600));
	SHOW(open("file/x", O_RDONLY));
	SHOW(open("file/", O_RDONLY));
	SHOW(open("none/", O_WRONLY | O_CREAT, 0600));
	SHOW(open("none/x", O_WRONLY | O_CREAT, 0600));
	SHOW(open("", O_RDONLY));
	SHOW(open(long_path, O_RDONLY));
	memset(long_name, 'n', 299), long_name[299] = 0;
	SHOW(open(long_name, O_RDONLY));
	SHOW(symlink("file", "link"));
	SHOW(symlink("loop", "loop"));
	SHOW(symlink("missing", "dangling"));
	TRY(open("link", O_RDONLY));
	SHOW(open("link", O_RDONLY | O_NOFOLLOW));
	SHOW(open("loop", O_RDONLY));
	SHOW(open("dangling", O_RDONLY));
	SHOW(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600));
	TRY(open("dangling", O_WRONLY | O_CREAT, 0600));
	SHOW(access("missing", F_OK));
	fd = (int)TRY(open("file", O_RDONLY | O_CLOEXEC));
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL) & ~0100000);
	fd = (int)TRY(open("file", O_PATH));
	SHOW(read(fd, long_name, 1));
	SHOW(write(fd, "x", 1));
	fd = (int)TRY(open(".", O_TMPFILE | O_RDWR, 0600));
	SHOW(write(fd, "temporary", 9));
	int dir = (int)MUST(open("dir", O_RDONLY));
	TRY(openat(dir, "inner", O_WRONLY | O_CREAT, 0600));
	SHOW(access("dir/inner", F_OK));
	SHOW(openat(fd, "inner", O_RDONLY));
	SHOW(openat(-1, "inner", O_RDONLY));
	TRY(openat(-1, "/dev/null", O_RDONLY));
	SHOW(openat(AT_FDCWD, (char *)1, O_RDONLY));
	SHOW(open("file", O_RDONLY | O_WRONLY | O_RDWR) >= 0);
	TRY(creat("created", 0444));
	struct stat st;
	SHOW(stat("created", &st));
	printf("mode %o\n", st.st_mode);
	umask(077);
	TRY(open("masked", O_CREAT | O_WRONLY, 0666));
	SHOW(stat("masked", &st));
	printf("mode %o\n", st.st_mode);
	TRY(open("sticky", O_CREAT | O_WRONLY, 07777));
	SHOW(stat("sticky", &st));
	printf("mode %o\n", st.st_mode);
	return 0;
}
