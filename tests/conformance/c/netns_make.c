/* Network namespaces: making, entering, asking; ports, abstract names, settings and tables are each one's own. */
#include "netns_case.h"
#include <linux/sched.h>
#include <stddef.h>
#include <sys/un.h>

#define NS_GET_NSTYPE 0xb703
#define NS_GET_PARENT 0xb702
#define NS_GET_OWNER_UID 0xb704

static ino_t number(void)
{
	struct stat s;
	MUST(stat("/proc/self/ns/net", &s));
	return s.st_ino;
}

static int take_port(int type, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = (int)MUST(socket(AF_INET, type, 0));
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	if (type == SOCK_STREAM)
		MUST(listen(fd, 4));
	return fd;
}

static int take_name(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path + 1, name);
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	int result = bind(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	if (result == 0)
		MUST(listen(fd, 1));
	return result;
}

static int reach(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	int result = connect(fd, (struct sockaddr *)&a, sizeof a);
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static int call_name(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path + 1, name);
	int fd = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	int result = connect(fd, (struct sockaddr *)&a, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static int lines_of(const char *path)
{
	char line[1024];
	int count = 0;
	FILE *file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof line, file))
		count++;
	fclose(file);
	return count;
}

static void show_setting(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);
	if (fd < 0) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	printf("%s: %.*s", path, (int)got, text);
}

static long set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	long done = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return done;
}

int main(void)
{
	MUST(turn("lo", 1));
	ino_t first = number();
	int original = own_network();
	int udp = (int)MUST(take_port(SOCK_DGRAM, 7001));
	int tcp = (int)MUST(take_port(SOCK_STREAM, 7002));
	MUST(take_name("krait-outside"));
	SHOW(ioctl(original, NS_GET_NSTYPE));
	SHOW(ioctl(original, NS_GET_PARENT));
	uid_t owner;
	SHOW(ioctl(original, NS_GET_OWNER_UID, &owner));
	TRY(reach(7002));
	IN_CHILD({
		SHOW(unshare(CLONE_NEWNET));
		CHECK(number() != first);
		show_links("new");
		TRY(reach(7002));
		SHOW(turn("lo", 1));
		show_links("lo is up");
		TRY(reach(7002));
		TRY(take_port(SOCK_DGRAM, 7001));
		TRY(take_port(SOCK_DGRAM, 7001));
		TRY(take_port(SOCK_STREAM, 7002));
		TRY(reach(7002));
		SHOW(call_name("krait-outside"));
		SHOW(take_name("krait-outside"));
		SHOW(call_name("krait-outside"));
		printf("tables: %d udp, %d dev\n", lines_of("/proc/self/net/udp"), lines_of("/proc/net/dev"));
		/* A socket stays where it was made. */
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7002), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		SHOW(sendto(udp, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
		int accepted = accept4(tcp, NULL, NULL, SOCK_NONBLOCK);
		CHECK(accepted >= 0);
		SHOW(setns(original, CLONE_NEWUTS));
		SHOW(setns(original, CLONE_NEWNET));
		CHECK(number() == first);
		SHOW(call_name("krait-outside"));
		TRY(take_port(SOCK_DGRAM, 7001));
	});
	IN_CHILD({
		show_setting("/proc/sys/net/ipv4/ip_forward");
		MUST(unshare(CLONE_NEWNET));
		SHOW(set("/proc/sys/net/ipv4/ip_forward", "1"));
		SHOW(set("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001"));
		SHOW(set("/proc/sys/net/ipv4/ip_default_ttl", "7"));
		SHOW(set("/proc/sys/net/ipv6/conf/lo/hop_limit", "9"));
		show_setting("/proc/sys/net/ipv4/ip_forward");
		show_setting("/proc/sys/net/ipv4/ip_default_ttl");
		show_setting("/proc/sys/net/ipv6/conf/lo/hop_limit");
		show_setting("/proc/sys/net/ipv4/conf/eth9/accept_redirects");
		MUST(setns(original, 0));
		show_setting("/proc/sys/net/ipv4/ip_forward");
		show_setting("/proc/sys/net/ipv4/ip_default_ttl");
		show_setting("/proc/sys/net/ipv6/conf/lo/hop_limit");
		MUST(unshare(CLONE_NEWNET));
		show_setting("/proc/sys/net/ipv4/ip_default_ttl");
		SHOW(set("/proc/sys/net/core/somaxconn", "100"));
		show_setting("/proc/sys/net/core/somaxconn");
		/* Buffers are the machine's: here they are only shown. */
		show_setting("/proc/sys/net/core/rmem_max");
		SHOW(set("/proc/sys/net/core/rmem_max", "300000"));
		SHOW(set("/proc/sys/net/core/wmem_default", "300000"));
	});
	/* A descriptor means the network of whoever opened it. */
	IN_CHILD({
		MUST(unshare(CLONE_NEWNET));
		int middle = own_network();
		int setting = (int)MUST(open("/proc/sys/net/ipv4/ip_default_ttl", O_RDWR));
		char text[16] = "";
		MUST(unshare(CLONE_NEWNET));
		SHOW(write(setting, "11", 2));
		show_setting("/proc/sys/net/ipv4/ip_default_ttl");
		SHOW(pread(setting, text, sizeof text, 0));
		printf("%s", text);
		MUST(setns(middle, CLONE_NEWNET));
		show_setting("/proc/sys/net/ipv4/ip_default_ttl");
	});
	/* With clone and clone3, and back by a process descriptor. */
	int tie[2], told[2];
	MUST(pipe(tie));
	MUST(pipe(told));
	pid_t child = (pid_t)MUST(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
	if (child == 0) {
		char byte;
		close(tie[1]);
		CHECK(number() != first);
		fflush(stdout);
		write(told[1], "x", 1);
		read(tie[0], &byte, 1);
		_exit(0);
	}
	char path[64];
	MUST(read(told[0], path, 1));
	snprintf(path, sizeof path, "/proc/%d/ns/net", child);
	struct stat s;
	MUST(stat(path, &s));
	CHECK(s.st_ino != first);
	snprintf(path, sizeof path, "/proc/%d/net/dev", child);
	printf("its table has %d lines\n", lines_of(path));
	IN_CHILD({
		int fd = (int)MUST(syscall(SYS_pidfd_open, child, 0));
		SHOW(setns(fd, CLONE_NEWNET | CLONE_NEWUTS));
		CHECK(number() == s.st_ino);
		show_links("entered");
	});
	close(tie[1]);
	show_end(child);
	struct clone_args more = {.flags = CLONE_NEWNET, .exit_signal = SIGCHLD};
	child = (pid_t)MUST(syscall(SYS_clone3, &more, sizeof more));
	if (child == 0) {
		CHECK(number() != first);
		fflush(stdout);
		_exit(0);
	}
	show_end(child);
	/* A mounted file keeps its network. */
	IN_CHILD({
		MUST(unshare(CLONE_NEWNS));
		MUST(mkdir("/tmp/netns", 0755));
		put_file("/tmp/netns/kept", "", 0644);
		MUST(unshare(CLONE_NEWNET));
		MUST(turn("lo", 1));
		MUST(give("lo", "10.9.8.7", 32));
		ino_t inside = number();
		SHOW(mount("/proc/self/ns/net", "/tmp/netns/kept", "none", MS_BIND, NULL));
		MUST(setns(original, 0));
		int fd = (int)MUST(open("/tmp/netns/kept", O_RDONLY));
		SHOW(setns(fd, CLONE_NEWNET));
		close(fd);
		CHECK(number() == inside);
		show_links("kept");
		MUST(setns(original, 0));
		SHOW(umount2("/tmp/netns/kept", MNT_DETACH));
		fd = (int)MUST(open("/tmp/netns/kept", O_RDONLY));
		SHOW(setns(fd, CLONE_NEWNET));
		unlink("/tmp/netns/kept");
		rmdir("/tmp/netns");
	});
	/* Nobody but root may, unless it has a user namespace. */
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		SHOW(unshare(CLONE_NEWNET));
		SHOW(setns(original, 0));
		SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		CHECK(number() != first);
		SHOW(turn("lo", 1));
		SHOW(give("lo", "10.1.2.3", 32));
		SHOW(new_pair("one", "two", -1));
		show_links("own");
		TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
		TRY(socket(AF_PACKET, SOCK_RAW, 0));
		TRY(take_port(SOCK_STREAM, 80));
		SHOW(move("one", IFLA_NET_NS_FD, original));
		SHOW(setns(original, 0));
		SHOW(set("/proc/sys/net/ipv4/ip_forward", "1"));
	});
	/* Groups that may ping are shown as whoever looks calls them. */
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		MUST(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		show_setting("/proc/sys/net/ipv4/ping_group_range");
		SHOW(set("/proc/sys/net/ipv4/ping_group_range", "0 0"));
		MUST(set("/proc/self/setgroups", "deny"));
		MUST(set("/proc/self/uid_map", "0 1000 1"));
		MUST(set("/proc/self/gid_map", "7 1000 1"));
		TRY(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
		SHOW(set("/proc/sys/net/ipv4/ping_group_range", "7 8"));
		SHOW(set("/proc/sys/net/ipv4/ping_group_range", "7 7"));
		show_setting("/proc/sys/net/ipv4/ping_group_range");
		TRY(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
		SHOW(set("/proc/sys/net/core/rmem_max", "300000"));
		SHOW(set("/proc/sys/net/core/somaxconn", "300000"));
	});
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		MUST(unshare(CLONE_NEWUSER));
		SHOW(turn("lo", 0));
		TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
		TRY(take_port(SOCK_STREAM, 80));
	});
	return 0;
}
