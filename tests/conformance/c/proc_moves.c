/* Texts of /proc by sendfile(2), splice(2), io_submit(2) and readv(2): some files know read(2) alone. */
#include <linux/aio_abi.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include "case.h"

static const char *const paths[] = {
	"/proc/self/stat", "/proc/self/maps", "/proc/self/cmdline", "/proc/self/mounts", "/proc/self/mountinfo", "/proc/self/mountstats",
	"/proc/self/fdinfo/0", "/proc/self/uid_map", "/proc/self/oom_score_adj", "/proc/self/comm",
	"/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/locks", "/proc/version", "/proc/cpuinfo", "/proc/interrupts",
	"/proc/partitions", "/proc/filesystems", "/proc/net/dev", "/proc/net/tcp", "/proc/net/unix", "/proc/net/snmp",
	"/proc/net/sockstat", "/proc/sys/kernel/ostype", "/proc/sys/vm/overcommit_memory", "/proc/sysvipc/msg",
};

int main(void)
{
	char buffer[64];
	aio_context_t context = 0;
	int ends[2];
	MUST(syscall(SYS_io_setup, 4, &context));
	MUST(pipe2(ends, O_NONBLOCK));
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		int fd = open(paths[i], O_RDONLY);
		if (fd < 0) {
			printf("%s: %s\n", paths[i], error_name(errno));
			continue;
		}
		printf("%s:", paths[i]);
		long moved = sendfile(ends[1], fd, 0, 1);
		printf(" sendfile %s", moved < 0 ? error_name(errno) : moved == 1 ? "ok" : "end");
		moved = splice(fd, 0, ends[1], 0, 1, 0);
		printf(" splice %s", moved < 0 ? error_name(errno) : moved == 1 ? "ok" : "end");
		while (read(ends[0], buffer, sizeof buffer) > 0)
			;
		struct iocb block = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uintptr_t)buffer, .aio_nbytes = 1 };
		struct iocb *list = &block;
		struct io_event event;
		moved = syscall(SYS_io_submit, context, 1, &list);
		printf(" aio %s", moved < 0 ? error_name(errno) : "ok");
		if (moved == 1)
			MUST(syscall(SYS_io_getevents, context, 1, 1, &event, 0));
		struct iovec part = { buffer, 1 };
		moved = preadv(fd, &part, 1, 0);
		printf(" preadv %s\n", moved < 0 ? error_name(errno) : moved == 1 ? "ok" : "end");
		close(fd);
	}
	return 0;
}
