/* Covers: calls on open files with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(read, "fpz"), CALL(write, "fqz"), CALL(pread64, "fpzo"), CALL(pwrite64, "fqzo"), CALL(readv, "fqn"), CALL(writev, "fqn"),
	CALL(preadv, "fqnoo"), CALL(pwritev, "fqnoo"), CALL(preadv2, "fq1o0g"), CALL(pwritev2, "fq1o0g"), CALL(lseek, "foi"), CALL(ftruncate, "fo"),
	CALL(truncate, "so"), CALL(fallocate, "fgoo"), CALL(fadvise64, "fooi"), CALL(readahead, "foz"), CALL(sync_file_range, "foog"),
	CALL(fsync, "f"), CALL(fdatasync, "f"), CALL(syncfs, "f"), CALL(copy_file_range, "fqfqzg"), CALL(splice, "fqfqzg"), CALL(tee, "ffzg"),
	CALL(vmsplice, "fqng"), CALL(sendfile, "ffqz"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
