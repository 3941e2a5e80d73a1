/* What else programs hand to the kernel: texts to files of /proc and /sys, binaries, and file systems. Each try is a child. */

#define MOST_FILES 2000
#define FILE_PATIENCE_NS 10000000000ull /* for a try */

static char *writable[MOST_FILES];
static int writable_count;

/* Not written: what stops the machine or takes its devices away, on purpose. */
static int is_fatal(const char *path)
{
	static const char *const names[] = { "sysrq-trigger", "/remove", "/unbind", "/delete", "/reset", "/state", "/oom_score_adj" };
	for (size_t i = 0; i < COUNT(names); i++)
		if (strstr(path, names[i]))
			return 1;
	return 0;
}

static int note_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)place;
	if (kind == FTW_F && S_ISREG(status->st_mode) && status->st_mode & 0222 && !is_fatal(path) && writable_count < MOST_FILES)
		writable[writable_count++] = strdup(path);
	return 0;
}

static int a_text(char *text, const char *before, int length)
{
	static const char *const edges[] = {
		"", "\n", "0", "0\n", "1\n", "-1\n", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807",
		"9223372036854775808", "18446744073709551615", "-9223372036854775808", "99999999999999999999999999", "0x10", "1 2 3\n",
		"-1 -1 -1 -1", "1.5", " 1", "1 x", "a", "%s%n", "0-63", "0-9999999999", "\t", "4096", "1000000000000",
	};
	switch (pick(6)) {
	case 0: /* noise */
		length = pick(one_in(8) ? 9000 : 40);
		for (int i = 0; i < length; i++)
			text[i] = draw();
		return length;
	case 1: /* what was there, damaged */
		memcpy(text, before, length);
		for (int i = 0; length > 0 && i < 3; i++)
			text[pick(length)] = draw();
		return length;
	case 2: /* long */
		length = 1 + pick(9000);
		memset(text, "0192 \n-a"[pick(8)], length);
		return length;
	case 3:
		return sprintf(text, "%lld\n", (long long)edge());
	default:
		return sprintf(text, "%s", edges[pick(COUNT(edges))]);
	}
}

static void write_texts(const char *path)
{
	static char before[10000], text[10000];
	int fd = open(path, O_RDONLY | O_NONBLOCK), length = fd < 0 ? 0 : read(fd, before, sizeof before), n;
	close(fd);
	fd = open(path, O_RDWR | O_NONBLOCK);
	if (fd < 0)
		fd = open(path, O_WRONLY | O_NONBLOCK);
	for (int i = 0; fd >= 0 && i < 12; i++) {
		n = a_text(text, before, length < 0 ? 0 : length);
		if (one_in(6))
			pwrite(fd, text, n, edge());
		else if (one_in(6))
			writev(fd, (struct iovec[]){ { text, n / 2 }, { text + n / 2, n - n / 2 } }, 2);
		else
			shared->good[1] += lseek(fd, 0, SEEK_SET) == 0 && write(fd, text, n) == n;
		shared->calls[1]++;
		if (one_in(4))
			pread(fd, text, one_in(2) ? 1 : sizeof text, one_in(4) ? edge() : 0);
	}
	if (length > 0)
		lseek(fd, 0, SEEK_SET), write(fd, before, length);
	close(fd);
}

/* A binary with damage where the loader looks: its first page, or anywhere. */
static void damage(unsigned char *bytes, uint64_t size, uint64_t reach)
{
	for (uint64_t n = 1 + pick(6); n > 0; n--) {
		uint64_t at = pick(one_in(8) ? size : reach) & ~(one_in(2) ? 7ull : 0ull), value = one_in(3) ? edge() : draw();
		int width = 1 << pick(4);
		if (one_in(3))
			bytes[at] ^= 1 << pick(8);
		else if (at + width <= size)
			memcpy(bytes + at, &value, width);
	}
}

static unsigned char *contents(const char *path, uint64_t *size)
{
	struct stat status;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &status))
		return 0;
	unsigned char *bytes = malloc(status.st_size);
	*size = read(fd, bytes, status.st_size);
	close(fd);
	return bytes;
}

static void put_file(const char *path, const unsigned char *bytes, uint64_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	write(fd, bytes, size);
	close(fd);
}

static void execute_damaged(const char *path)
{
	uint64_t size;
	unsigned char *bytes = contents(path, &size);
	if (!bytes)
		return;
	if (one_in(10))
		size = pick(size);
	damage(bytes, size, size < 600 ? size : 600);
	put_file("/tmp/damaged", bytes, size);
	limit(RLIMIT_AS, 256 << 20), limit(RLIMIT_CPU, 1), limit(RLIMIT_CORE, 0);
	setresuid(1000, 1000, 1000);
	shared->calls[59]++;
	shared->good[59]++; /* unless it comes back */
	execl("/tmp/damaged", "damaged", "true", (char *)0);
	shared->good[59]--;
}

static int look_at(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	char bytes[3000];
	int fd = kind == FTW_F && S_ISREG(status->st_mode) ? open(path, O_RDWR | O_NONBLOCK) : -1;
	if (kind == FTW_SL)
		readlink(path, bytes, sizeof bytes);
	listxattr(path, bytes, sizeof bytes);
	if (fd >= 0) {
		pread(fd, bytes, sizeof bytes, 0), pread(fd, bytes, 100, status->st_size / 2);
		pwrite(fd, bytes, 2000, one_in(2) ? 0 : status->st_size);
		ftruncate(fd, pick(100000));
		close(fd);
	}
	if (place->level > 0 && one_in(3))
		remove(path);
	return 0;
}

/* An image of a file system that is damaged, mounted, looked through and changed. */
static void mount_damaged(const char *path)
{
	uint64_t size;
	unsigned char *bytes = contents(path, &size);
	if (!bytes)
		return;
	damage(bytes, size, one_in(2) ? 12 << 10 : 64 << 10);
	put_file("/tmp/image", bytes, size);
	mknod("/fuzz/loop", S_IFBLK | 0600, makedev(7, 0));
	int loop = open("/fuzz/loop", O_RDWR | O_CLOEXEC), file = open("/tmp/image", O_RDWR | O_CLOEXEC);
	ioctl(loop, 0x4c00, file);
	close(file);
	mkdir("/fuzz/mount", 0755);
	shared->calls[165]++;
	if (mount("/fuzz/loop", "/fuzz/mount", "ext2", 0, one_in(2) ? "errors=continue" : 0) == 0) {
		shared->good[165]++;
		nftw("/fuzz/mount", look_at, 16, FTW_PHYS | FTW_MOUNT);
		for (int i = 0; i < 6; i++) {
			char name[60];
			sprintf(name, "/fuzz/mount/new%d", i);
			i % 2 ? mkdir(name, 0755) : close(open(name, O_CREAT | O_RDWR, 0644));
			setxattr(name, "user.a", bytes, 50, 0);
		}
		int place = open("/fuzz/mount", O_RDONLY | O_DIRECTORY);
		syncfs(place); /* not what else is mounted: the guest's clock would run while it waits for the host's disk */
		close(place);
		umount2("/fuzz/mount", MNT_DETACH);
	}
	ioctl(loop, 0x4c01, 0);
	close(loop);
}

/* One kind of these, with a child for each number from a seed. */
static void try_files(const char *kind, uint64_t base, int times, const char *path)
{
	me = &shared->worker[15];
	if (strcmp(kind, "texts") == 0) {
		nftw("/proc/sys", note_file, 16, FTW_PHYS);
		nftw("/proc/self", note_file, 16, FTW_PHYS);
		nftw("/proc/net", note_file, 16, FTW_PHYS);
		nftw("/sys", note_file, 16, FTW_PHYS);
		printf("@files %d\n", writable_count);
	}
	for (int i = 0; i < times; i++) {
		uint64_t seed = seed_of(base, 0, i), start;
		int status, pid = fork();
		if (pid == 0) {
			char name[16];
			snprintf(name, sizeof name, "fz%012llx", (long long)seed);
			prctl(PR_SET_NAME, name);
			random_state = seed;
			if (*kind == 't')
				write_texts(writable[i % writable_count]);
			else if (*kind == 'e')
				execute_damaged(path);
			else
				mount_damaged(path);
			_exit(0);
		}
		for (start = now_ns(); waitpid(pid, &status, WNOHANG) == 0; usleep(300)) {
			if (now_ns() - start > FILE_PATIENCE_NS)
				kill(pid, SIGKILL);
			if (now_ns() - start > KILL_NS) {
				printf("@unkillable process %d of program %012llx\n", pid, (long long)seed);
				break;
			}
		}
		if (*kind == 'i') { /* what a killed one has left */
			umount2("/fuzz/mount", MNT_DETACH);
			clear_loops();
		}
	}
	printf("@tried %d, %llu calls, %llu good\n@done\n", times, (long long)total(shared->calls), (long long)total(shared->good));
}
