/* Covers: sendfile, copy_file_range, splice: SPLICE_F_NONBLOCK SPLICE_F_MOVE SPLICE_F_MORE, tee, vmsplice; offsets, kinds of files, errors. */
#define _GNU_SOURCE
#include <sys/sendfile.h>
#include <sys/uio.h>
#include "case.h"

static void drain(int fd)
{
	char buffer[256];
	ssize_t n = read(fd, buffer, sizeof buffer - 1);
	buffer[n > 0 ? n : 0] = 0;
	printf("  pipe gave %zd: \"%s\"\n", n, buffer);
}

int main(void)
{
	put_file("in", "0123456789", 0644);
	int in = (int)MUST(open("in", O_RDWR)), out = (int)MUST(open("out", O_RDWR | O_CREAT, 0644));
	int append = (int)MUST(open("out", O_WRONLY | O_APPEND)), readonly = (int)MUST(open("in", O_RDONLY)), dir = (int)MUST(open(".", O_RDONLY));
	int writeonly = (int)MUST(open("in", O_WRONLY));
	int ends[2];
	MUST(pipe(ends));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	off_t at = 3;

	SHOW(sendfile(out, in, NULL, 4));
	SHOW(lseek(in, 0, SEEK_CUR));
	SHOW(sendfile(out, in, &at, 4));
	SHOW(at);
	SHOW(lseek(in, 0, SEEK_CUR));
	SHOW(lseek(out, 0, SEEK_CUR));
	SHOW(sendfile(out, in, &at, 100));
	SHOW(sendfile(out, in, &at, 100));
	show_file("out");
	SHOW(sendfile(ends[1], in, NULL, 100));
	drain(ends[0]);
	at = -1;
	SHOW(sendfile(out, in, &at, 1));
	SHOW(sendfile(out, in, (void *)1, 1));
	SHOW(sendfile(readonly, in, NULL, 1));
	SHOW(sendfile(out, writeonly, NULL, 1));
	SHOW(sendfile(out, dir, NULL, 1));
	SHOW(sendfile(append, in, NULL, 1));
	SHOW(sendfile(out, ends[0], NULL, 1));
	SHOW(sendfile(out, -1, NULL, 1));
	SHOW(sendfile(-1, in, NULL, 1));
	SHOW(sendfile(out, in, NULL, 0));
	int zero = (int)MUST(open("/dev/zero", O_RDONLY)), null = (int)MUST(open("/dev/null", O_RDWR));
	SHOW(sendfile(null, zero, NULL, 5000));
	lseek(in, 0, SEEK_SET);
	SHOW(sendfile(null, in, NULL, 5000));
	int proc = (int)MUST(open("/proc/version", O_RDONLY));
	CHECK(sendfile(out, proc, NULL, 5) == 5);

	MUST(ftruncate(out, 0));
	lseek(in, 2, SEEK_SET);
	lseek(out, 0, SEEK_SET);
	loff_t from = 5, to = 2;
	SHOW(copy_file_range(in, NULL, out, NULL, 4, 0));
	SHOW(copy_file_range(in, &from, out, &to, 3, 0));
	SHOW(from);
	SHOW(to);
	show_file("out");
	SHOW(lseek(in, 0, SEEK_CUR));
	SHOW(lseek(out, 0, SEEK_CUR));
	SHOW(copy_file_range(in, NULL, out, NULL, 100, 0));
	SHOW(copy_file_range(in, NULL, out, NULL, 100, 0));
	SHOW(copy_file_range(in, NULL, out, NULL, 1, 1));
	from = 0;
	to = 4;
	SHOW(copy_file_range(in, &from, in, &to, 4, 0));
	from = 0;
	to = 2;
	SHOW(copy_file_range(in, &from, in, &to, 4, 0));
	show_file("in");
	SHOW(copy_file_range(in, NULL, append, NULL, 1, 0));
	SHOW(copy_file_range(in, NULL, readonly, NULL, 1, 0));
	SHOW(copy_file_range(writeonly, NULL, out, NULL, 1, 0));
	SHOW(copy_file_range(dir, NULL, out, NULL, 1, 0));
	SHOW(copy_file_range(in, NULL, ends[1], NULL, 1, 0));
	SHOW(copy_file_range(zero, NULL, out, NULL, 1, 0));
	from = -1;
	SHOW(copy_file_range(in, &from, out, NULL, 1, 0));
	SHOW(copy_file_range(in, (void *)1, out, NULL, 1, 0));

	put_file("in", "0123456789", 0644);
	MUST(ftruncate(out, 0));
	lseek(in, 0, SEEK_SET);
	lseek(out, 0, SEEK_SET);
	SHOW(splice(in, NULL, ends[1], NULL, 6, 0));
	SHOW(splice(ends[0], NULL, out, NULL, 4, SPLICE_F_MOVE | SPLICE_F_MORE));
	from = 1;
	SHOW(splice(in, &from, ends[1], NULL, 3, 0));
	SHOW(from);
	to = 8;
	SHOW(splice(ends[0], NULL, out, &to, 100, 0));
	SHOW(to);
	show_file("out");
	SHOW(splice(ends[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK));
	SHOW(splice(ends[0], NULL, out, NULL, 1, 0));
	SHOW(splice(in, NULL, out, NULL, 1, 0));
	SHOW(splice(ends[0], &from, out, NULL, 1, 0));
	SHOW(splice(in, NULL, ends[1], &from, 1, 0));
	SHOW(splice(in, NULL, ends[1], NULL, 1, 0x100));
	SHOW(splice(in, NULL, ends[0], NULL, 1, 0));
	SHOW(splice(ends[1], NULL, out, NULL, 1, 0));
	SHOW(splice(dir, NULL, ends[1], NULL, 1, 0));
	SHOW(splice(ends[0], NULL, append, NULL, 1, 0));
	SHOW(splice(in, NULL, ends[1], NULL, 0, 0));
	SHOW(splice(-1, NULL, ends[1], NULL, 1, 0));
	drain(ends[0]);

	int more[2];
	MUST(pipe(more));
	fcntl(more[0], F_SETFL, O_NONBLOCK);
	MUST(write(ends[1], "abcdef", 6));
	SHOW(tee(ends[0], more[1], 4, 0));
	drain(more[0]);
	SHOW(splice(ends[0], NULL, more[1], NULL, 2, 0));
	drain(more[0]);
	drain(ends[0]);
	SHOW(tee(ends[0], more[1], 4, SPLICE_F_NONBLOCK));
	SHOW(tee(ends[0], ends[1], 4, 0));
	SHOW(tee(in, more[1], 4, 0));
	SHOW(tee(ends[0], more[1], 4, 0x100));
	SHOW(splice(ends[0], NULL, ends[1], NULL, 1, 0));

	struct iovec parts[2] = { { "one ", 4 }, { "two", 3 } };
	SHOW(vmsplice(ends[1], parts, 2, 0));
	drain(ends[0]);
	char into[8] = "";
	MUST(write(ends[1], "xyz", 3));
	struct iovec to_memory = { into, 7 };
	SHOW(vmsplice(ends[0], &to_memory, 1, 0));
	printf("vmsplice read \"%s\"\n", into);
	SHOW(vmsplice(in, parts, 2, 0));
	SHOW(vmsplice(ends[1], parts, 2, 0x100));
	SHOW(vmsplice(ends[1], parts, 0, 0));
	struct iovec wild = { (void *)1, 4 };
	SHOW(vmsplice(ends[1], &wild, 1, 0));
	close(more[0]);
	signal(SIGPIPE, SIG_IGN);
	SHOW(splice(in, NULL, more[1], NULL, 1, 0));
	close(ends[1]);
	SHOW(splice(ends[0], NULL, out, NULL, 1, 0));
	return 0;
}
