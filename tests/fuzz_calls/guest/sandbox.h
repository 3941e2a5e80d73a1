/* Where programs live: a directory for each worker and file system that becomes their root, and their first descriptors. */

/* What is open at the start, by kind; numbers are whatever the kernel gives. */
static const uint8_t crowd_kind[] = {
	FD_FILE, FD_FILE, FD_DIRECTORY, FD_DIRECTORY, FD_PIPE, FD_PIPE, FD_SOCKET, FD_SOCKET, FD_SOCKET, FD_SOCKET, FD_SOCKET,
	FD_SOCKET, FD_SOCKET, FD_SOCKET, FD_EPOLL, FD_EVENTFD, FD_TIMERFD, FD_SIGNALFD, FD_INOTIFY, FD_MQ, FD_PIDFD, FD_FILE,
	FD_ANY, FD_ANY, FD_ANY, FD_ANY, FD_PIPE, FD_SOCKET, FD_SOCKET, FD_SOCKET, FD_FILE, FD_ANY,
};
#define CROWD_SIZE ((int)COUNT(crowd_kind))
#define CROWD_NETLINK 13

static char home[2][64]; /* this worker's sandboxes: in tmpfs, on the disk */
static char group[64]; /* and its control group */

static void node(const char *name, int mode, int major, int minor)
{
	mknod(name, mode, makedev(major, minor));
	chmod(name, mode & 07777);
}

static int fresh(const char *name, int size)
{
	char text[4096];
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0666);
	memset(text, 'a', sizeof text);
	for (; size > 0; size -= 4096)
		write(fd, text, size < 4096 ? size : 4096);
	close(fd);
	return fd;
}

/* Files in the working directory. */
static void furnish(void)
{
	chmod(".", 0777);
	mkdir("dz0", 0777), mkdir("dz1", 0777), mkdir("dz0/dz2", 0777);
	chmod("dz0", 0777), chmod("dz1", 0777), chmod("dz0/dz2", 0777);
	fresh("fz0", 10000), fresh("fz1", 70000), fresh("fz2", 0), fresh("fz3", 300), fresh("dz0/fz6", 5000);
	chown("fz2", 1000, 1000), chown("dz1", 1000, 1000), chown("fz0", 1000, 1000);
	chmod("fz1", 0666), chmod("fz3", 04755);
	symlink("fz0", "lz0"), symlink("dz0", "lz1"), symlink("lz2", "lz2");
	mkfifo("pz0", 0666), chmod("pz0", 0666);
	node("nz_null", S_IFCHR | 0666, 1, 3), node("nz_zero", S_IFCHR | 0666, 1, 5), node("nz_full", S_IFCHR | 0666, 1, 7);
	node("nz_urandom", S_IFCHR | 0666, 1, 9), node("nz_tty", S_IFCHR | 0666, 5, 0), node("nz_ptmx", S_IFCHR | 0666, 5, 2);
	node("nz_loop0", S_IFBLK | 0660, 7, 0), node("nz_loopctl", S_IFCHR | 0660, 10, 237);
	node("nz_blk", S_IFBLK | 0660, 254, 16), node("nz_tun", S_IFCHR | 0666, 10, 200);
	mkdir("prz", 0755), mount("proc", "prz", "proc", 0, 0);
	mkdir("szs", 0755), mount("sysfs", "szs", "sysfs", 0, 0);
	mkdir("ptz", 0755), mount("devpts", "ptz", "devpts", 0, "newinstance,ptmxmode=0666");
	mkdir("mqz", 0755), mount("mqueue", "mqz", "mqueue", 0, 0);
	mkdir("bfz", 0755), mount("bpf", "bfz", "bpf", 0, "mode=0777"), mkdir("bfz/dz0", 0777);
	mkdir("cgz", 0755), mount(group, "cgz", 0, MS_BIND, 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)kind;
	if (place->level > 0)
		remove(path);
	return 0;
}

static void remove_queues(void)
{
	static const char *const kinds[] = { "shm", "msg", "sem" };
	for (int i = 0; i < 3; i++) {
		char name[40], line[256];
		snprintf(name, sizeof name, "/proc/sysvipc/%s", kinds[i]);
		FILE *list = fopen(name, "r");
		int key, id;
		while (list && fgets(line, sizeof line, list))
			if (sscanf(line, "%d %d", &key, &id) == 2)
				i == 0 ? shmctl(id, IPC_RMID, 0) : i == 1 ? msgctl(id, IPC_RMID, 0) : semctl(id, 0, IPC_RMID);
		if (list)
			fclose(list);
	}
	mq_unlink("/q0"), mq_unlink("/q1"), mq_unlink("/q2");
}

/* Loop devices keep their files open whatever becomes of the programs that bound them. */
static void clear_loops(void)
{
	for (int i = 0; i < 16; i++) {
		mknod("/fuzz/loop", S_IFBLK | 0600, makedev(7, i));
		int fd = open("/fuzz/loop", O_RDONLY | O_NONBLOCK);
		if (fd >= 0)
			ioctl(fd, 0x4c01, 0), close(fd);
		unlink("/fuzz/loop");
	}
}

/* No rules of packets: some send each packet on its way again, so that the kernel has work for ever. */
static void flush_rules(void)
{
	static const uint8_t flush[60] = { 20, 0, 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10,
		20, 0, 0, 0, 2, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 17, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 12);
	send(fd, flush, sizeof flush, MSG_DONTWAIT);
	close(fd);
}

/* Programs with rights take the loopback interface down, its address away, and have packets dropped. */
static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	struct sockaddr_in *address = (void *)&request.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = be32(0x7f000001);
	ioctl(fd, SIOCSIFADDR, &request);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &request);
	struct ifreq bridge = { .ifr_name = "br0" };
	if (ioctl(fd, SIOCSIFFLAGS, &bridge) == 0)
		ioctl(fd, 0x89a1, &bridge); /* SIOCBRDELBR */
	close(fd);
	flush_rules();
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		write(fd, text, strlen(text)), close(fd);
}

static int give_away(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)kind;
	return place->level <= 1 && lchown(path, 1000, 1000) && 0;
}

static int remove_group(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)place;
	if (kind == FTW_DP)
		rmdir(path);
	return 0;
}

/* A control group with two groups in it, as new. What was in it has been killed. */
static void make_group(int number)
{
	char path[100];
	snprintf(group, sizeof group, "/fuzz/groups/w%d", number);
	for (int tries = 0; tries < 20; tries++) {
		nftw(group, remove_group, 16, FTW_DEPTH | FTW_PHYS);
		if (access(group, F_OK))
			break;
		snprintf(path, sizeof path, "%s/cgroup.kill", group), write_text(path, "1");
		usleep(1000);
	}
	mkdir(group, 0755);
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", group), write_text(path, "+cpu +memory +io +pids");
	snprintf(path, sizeof path, "%s/a", group), mkdir(path, 0755);
	snprintf(path, sizeof path, "%s/b", group), mkdir(path, 0755);
	nftw(group, give_away, 16, FTW_PHYS);
}

/* Both directories as new: a file system of its own in memory, and a directory of the disk bound over itself. */
static void make_sandboxes(int number)
{
	char disk[64];
	snprintf(home[0], sizeof home[0], "/fuzz/w%d", number);
	snprintf(home[1], sizeof home[1], "/fuzz/e%d", number);
	int fails = number % 4 == 3 && access("/fuzz/faulty/lost+found", F_OK) == 0; /* a disk that fails now and then */
	snprintf(disk, sizeof disk, "/fuzz/%s/w%d", fails ? "faulty" : "disk", number);
	for (int i = 0; i < 2; i++) {
		for (int tries = 0; tries < 20 && umount2(home[i], MNT_DETACH) == 0; tries++)
			;
		mkdir(home[i], 0755);
	}
	nftw(disk, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	mkdir(disk, 0777);
	raise_loopback();
	make_group(number);
	mount("tmpfs", home[0], "tmpfs", 0, "size=4m,nr_inodes=2000");
	mount(disk, home[1], 0, MS_BIND, 0);
	for (int i = 0; i < 2; i++)
		if (chdir(home[i]) == 0)
			furnish();
	chdir("/");
}

static void open_sockets(uint64_t wanted, int *fd)
{
	struct sockaddr_in at = { AF_INET, 0, { htonl(0x7f000001) } };
	socklen_t length = sizeof at;
	if (wanted >> 6 & 1)
		socketpair(AF_UNIX, SOCK_STREAM, 0, fd + 6);
	if (wanted >> 8 & 1) {
		struct sockaddr_un name = { AF_UNIX, "\0a" };
		fd[8] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		bind(fd[8], (void *)&name, 4);
	}
	if (wanted >> 9 & 1)
		fd[9] = socket(AF_INET, SOCK_DGRAM, 0), bind(fd[9], (void *)&at, sizeof at);
	if (wanted >> 10 & 1) {
		fd[10] = socket(AF_INET, SOCK_STREAM, 0);
		bind(fd[10], (void *)&at, sizeof at);
		listen(fd[10], 3);
		getsockname(fd[10], (void *)&at, &length);
		fd[11] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd[11], (void *)&at, sizeof at) == 0)
			fd[12] = accept(fd[10], 0, 0);
	}
	if (wanted >> CROWD_NETLINK & 1)
		fd[CROWD_NETLINK] = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, pick(2) ? 0 : 4);
	if (wanted >> 27 & 1)
		fd[27] = socket(AF_INET6, SOCK_DGRAM, 0);
	if (wanted >> 28 & 1)
		fd[28] = socket(AF_PACKET, SOCK_RAW, 0x300);
	if (wanted >> 29 & 1)
		fd[29] = socket(AF_INET6, SOCK_STREAM, 0);
}

static void open_crowd(uint64_t wanted, int *fd)
{
	for (int i = 0; i < CROWD_SIZE; i++)
		fd[i] = -1;
#define OPEN(index, call) if (wanted >> (index) & 1) fd[index] = (call)
	OPEN(0, open("fz0", O_RDWR));
	OPEN(1, open("fz1", O_RDONLY));
	OPEN(2, open(".", O_RDONLY | O_DIRECTORY));
	OPEN(3, open("dz0", O_RDONLY | O_DIRECTORY));
	if (wanted >> 4 & 1)
		pipe2(fd + 4, wanted >> 5 & 1 ? O_NONBLOCK : 0);
	open_sockets(wanted, fd);
	OPEN(14, epoll_create1(0));
	OPEN(15, eventfd(3, 0));
	OPEN(16, timerfd_create(CLOCK_MONOTONIC, 0));
	OPEN(17, syscall(SYS_signalfd4, -1, &(uint64_t){ 0x200 }, 8, 0));
	OPEN(18, inotify_init1(IN_NONBLOCK));
	OPEN(19, mq_open("/q0", O_RDWR | O_CREAT | O_NONBLOCK, 0666, 0));
	OPEN(20, syscall(SYS_pidfd_open, getpid(), 0));
	OPEN(21, syscall(SYS_memfd_create, "m", 2));
	OPEN(22, open("ptz/ptmx", O_RDWR | O_NOCTTY));
	if (wanted >> 22 & 1)
		ioctl(fd[22], TIOCSPTLCK, &(int){ 0 }), fd[23] = ioctl(fd[22], 0x5441, O_RDWR | O_NOCTTY);
	OPEN(24, open("nz_zero", O_RDWR));
	OPEN(25, open(strings[texts[TEXT_PATH].first + (wanted >> 33) % texts[TEXT_PATH].count], O_RDWR | O_NONBLOCK));
	if (fd[25] < 0)
		OPEN(25, open(strings[texts[TEXT_PATH].first + (wanted >> 33) % texts[TEXT_PATH].count], O_RDONLY | O_NONBLOCK));
	OPEN(26, open("pz0", O_RDWR | O_NONBLOCK));
	OPEN(30, open("fz2", O_RDWR | O_DIRECT));
	OPEN(31, open("nz_blk", O_RDWR));
}
