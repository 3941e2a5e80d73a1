/* Covers: events of devices by netlink: those that are asked for by writes to uevent files, and those of loop devices,
 * partitions and interfaces; who may hear and send them. */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "case.h"

static int hearer(int groups)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int on = 1, s = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	if (bind(s, (void *)&a, sizeof a) < 0)
		perror("bind");
	return s;
}

/* Events of devices that the case does not touch may come between: only those with a word in their path are shown. */
static void hear(int s, const char *word)
{
	char buffer[4096], control[256];
	struct sockaddr_nl from;
	printf("== %s\n", word);
	for (int tries = 0; tries < 5; tries++) {
		struct iovec v = { buffer, sizeof buffer - 1 };
		struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1,
				    .msg_control = control, .msg_controllen = sizeof control };
		ssize_t n = recvmsg(s, &m, 0);
		if (n < 0) {
			usleep(20000);
			continue;
		}
		tries = 0;
		buffer[n] = 0;
		if (!strstr(buffer, word) || strstr(buffer, "/bdi/") || strstr(buffer, "/queues/"))
			continue;
		printf("-- from %u, groups %x", from.nl_pid ? 1 : 0, from.nl_groups);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred *u = (void *)CMSG_DATA(c);
			printf(", pid %s, uid %d, gid %d", u->pid == 0 ? "0" : u->pid == getpid() ? "own" : "other", u->uid, u->gid);
		}
		printf("\n");
		for (char *p = buffer; p < buffer + n; p += strlen(p) + 1) {
			int is_number = !strncmp(p, "SEQNUM=", 7) || !strncmp(p, "DISKSEQ=", 8) || !strncmp(p, "IFINDEX=", 8) ||
				(strstr(buffer, "loop77p") && !strncmp(p, "MINOR=", 6));
			printf("   %.*s\n", is_number ? (int)(strchr(p, '=') - p) : (int)strlen(p), p);
		}
	}
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0) {
		printf("open %s: %s\n", path, strerror(errno));
		return;
	}
	ssize_t n = write(fd, text, strlen(text));
	printf("write '%.30s': %s\n", text, n < 0 ? strerror(errno) : n == (ssize_t)strlen(text) ? "all" : "part");
	close(fd);
}

static void partition(int fd, int op)
{
	struct blkpg_partition p = { .start = 1 << 20, .length = 1 << 20, .pno = 3 };
	struct blkpg_ioctl_arg a = { .op = op, .datalen = sizeof p, .data = &p };
	printf("partition %d: %d\n", op, ioctl(fd, BLKPG, &a));
}

int main(void)
{
	int s = hearer(1);
	const char *null = "/sys/devices/virtual/mem/null/uevent";
	put(null, "add");
	hear(s, "mem/null");
	put(null, "change\n");
	put(null, "remove 12345678-abcd-EF01-2345-67890abcdef0");
	put(null, "bind 12345678-abcd-EF01-2345-67890abcdef0 A=1 B=two\n");
	hear(s, "mem/null");
	put(null, "");
	put(null, "\n");
	put(null, "nothing");
	put(null, "ADD");
	put(null, "add ");
	put(null, "add x");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdefg");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdef0 A");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdef0 A=");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdef0 =B");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdef0 A=b_c");
	put(null, "add 12345678-abcd-EF01-2345-67890abcdef0  A=b");
	put(null, "add  12345678-abcd-EF01-2345-67890abcdef0");
	hear(s, "mem/null");
	put("/sys/class/tty/console/uevent", "online");
	put("/sys/class/net/lo/uevent", "offline");
	hear(s, "tty/console");

	int file = open("/tmp/uevents.img", O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(file, 8 << 20);
	int control = open("/dev/loop-control", O_RDWR);
	int number = ioctl(control, LOOP_CTL_ADD, 77);
	printf("made %d\n", number);
	hear(s, "loop77");
	int loop = open("/dev/loop77", O_RDWR);
	printf("set %d\n", ioctl(loop, LOOP_SET_FD, file));
	hear(s, "loop77");
	ftruncate(file, 4 << 20);
	printf("capacity %d\n", ioctl(loop, LOOP_SET_CAPACITY, 0));
	hear(s, "loop77");
	partition(loop, BLKPG_ADD_PARTITION);
	hear(s, "loop77");
	printf("reread %d\n", ioctl(loop, BLKRRPART));
	hear(s, "loop77");
	partition(loop, BLKPG_DEL_PARTITION);
	hear(s, "loop77");
	long before = 0, after = 0;
	printf("sequence %d\n", ioctl(loop, BLKGETDISKSEQ, &before));
	printf("clear %d\n", ioctl(loop, LOOP_CLR_FD));
	close(loop);
	hear(s, "loop77");
	loop = open("/dev/loop77", O_RDWR);
	ioctl(loop, BLKGETDISKSEQ, &after);
	printf("sequence %d\n", after > before);
	struct loop_config config = { .fd = file, .info.lo_flags = LO_FLAGS_PARTSCAN };
	printf("configure %d\n", ioctl(loop, LOOP_CONFIGURE, &config));
	hear(s, "loop77");
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	hear(s, "loop77");
	unsigned char table[512] = {0}, entry[16] = {0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0};
	memcpy(table + 446, entry, 16);
	table[510] = 0x55;
	table[511] = 0xaa;
	pwrite(file, table, 512, 0);
	loop = open("/dev/loop77", O_RDWR);
	printf("configure %d\n", ioctl(loop, LOOP_CONFIGURE, &config));
	hear(s, "loop77");
	printf("reread %d\n", ioctl(loop, BLKRRPART));
	hear(s, "loop77");
	struct loop_info64 info = { .lo_offset = 4096, .lo_flags = LO_FLAGS_PARTSCAN };
	printf("status %d\n", ioctl(loop, LOOP_SET_STATUS64, &info));
	hear(s, "loop77");
	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	hear(s, "loop77");
	printf("remove %d\n", ioctl(control, LOOP_CTL_REMOVE, 77));
	hear(s, "loop77");

	system("ip link add dummy7 type dummy");
	hear(s, "dummy7");
	system("ip link set dummy7 name dummy8");
	hear(s, "dummy");
	system("ip link set dummy8 up mtu 1400");
	hear(s, "dummy");
	system("ip link del dummy8");
	hear(s, "dummy");

	/* What programs send to each other. */
	int other = hearer(2);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 2 };
	printf("send %zd\n", sendto(s, "word@/here", 11, 0, (void *)&to, sizeof to));
	hear(other, "here");
	fflush(stdout);
	if (fork() == 0) {
		setgid(1000);
		setuid(1000);
		int mine = hearer(1);
		SHOW(sendto(mine, "word@/here", 11, 0, (void *)&to, sizeof to));
		put(null, "add");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	hear(s, "mem/null");
	unlink("/tmp/uevents.img");
	return 0;
}
