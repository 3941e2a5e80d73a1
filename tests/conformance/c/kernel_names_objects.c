/*
 * Covers: calls about names and inodes of sysfs and cgroup2, and of pipes, sockets, namespaces, processes and queues through descriptors:
 * creating, removing, renaming, mode, owner, times, size, extended attributes, opening in all ways, executing, swapping, accounting.
 */
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "kernel_names_case.h"

static const char *const sysfs_files[] = {
	"", "absent", "block", "block/absent", "kernel", "class/net", "class/net/lo", "class/net/lo/mtu", "class/net/lo/address", "kernel/uevent_seqnum", "kernel/mm", "devices",
	"fs/cgroup", "fs/cgroup/cgroup.procs", "fs/cgroup/cgroup.controllers", "fs/cgroup/absent", "kernel/tracing/absent",
};


static void look_at_all(void)
{
	char path[200], shown[100];
	int pipes[2], sockets[2];
	for (size_t i = 0; i < sizeof sysfs_files / sizeof *sysfs_files; i++) {
		snprintf(path, sizeof path, "/sys/%s", sysfs_files[i]);
		look_at(path, path);
	}
	MUST(pipe(pipes));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	struct { const char *label; int fd; } kinds[] = {
		{ "pipe", pipes[0] }, { "end", pipes[1] }, { "socket", sockets[0] }, { "epoll", epoll_create1(0) }, { "eventfd", eventfd(0, 0) },
		{ "pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0) }, { "namespace", open("/proc/self/ns/uts", O_RDONLY) },
		{ "queue", mq_open("/kernel_names", O_RDWR | O_CREAT, 0600, 0) },
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(path, sizeof path, "%s/%d/fd/%d", proc, getpid(), kinds[i].fd);
		snprintf(shown, sizeof shown, "descriptor of %s", kinds[i].label);
		look_at(shown, path);
	}
	mq_unlink("/kernel_names");
}

int main(int count, char **arguments)
{
	int shared = (int)MUST(eventfd(0, 0)); /* all such descriptors of the machine have one inode, which others may have changed */
	if (geteuid() == 0) {
		MUST(fchmod(shared, 0600));
		MUST(fchown(shared, 0, 0));
	}
	close(shared);
	return names_case(count, arguments, look_at_all);
}
