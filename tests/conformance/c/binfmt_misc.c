/* binfmt_misc: how formats are registered, what their files say, and how a program with such a format is run. */
#include "case.h"
#include <elf.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define HERE "/proc/sys/fs/binfmt_misc/"

/* Write some bytes at once; -1 with errno if that failed. */
static long put(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	long done = write(fd, data, size);
	int error = errno;
	close(fd);
	errno = error;
	return done;
}

#define REGISTER(text) do { \
	errno = 0; \
	long done_ = put(HERE "register", text, sizeof text - 1); \
	show_result(#text, done_, 1); \
} while (0)
#define WRITE(name, text) do { \
	errno = 0; \
	long done_ = put(HERE name, text, sizeof text - 1); \
	show_result(name ": " #text, done_, 1); \
} while (0)

static void list(void)
{
	char *names[64];
	int count = 0;
	DIR *dir = opendir(HERE);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		names[count++] = strdup(entry->d_name);
	closedir(dir);
	for (int i = 0; i < count; i++)
		for (int k = i + 1; k < count; k++)
			if (strcmp(names[k], names[i]) < 0) {
				char *swap = names[i];
				names[i] = names[k];
				names[k] = swap;
			}
	printf("listing:");
	for (int i = 0; i < count; i++)
		printf(" %s", names[i]);
	printf("\n");
}

static void attributes(const char *path)
{
	struct stat s;
	if (lstat(path, &s))
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: mode %o, %d links, %d %d, %ld bytes\n", path, s.st_mode, (int)s.st_nlink, s.st_uid, s.st_gid,
		       (long)s.st_size);
}

/* What the program shows that runs as an interpreter. */
static int show(int argc, char **argv)
{
	printf("  runs with");
	for (int i = 0; i < argc; i++)
		printf(" [%s]", argv[i]);
	errno = 0;
	unsigned long fd = getauxval(AT_EXECFD);
	if (errno == 0) {
		char head[5] = "";
		struct stat s;
		int flags = fcntl((int)fd, F_GETFL);
		fstat((int)fd, &s);
		printf(", descriptor %lu flags %#o close-on-exec %d mode %o at %ld", fd, flags, fcntl((int)fd, F_GETFD),
		       s.st_mode, (long)lseek((int)fd, 0, SEEK_CUR));
		printf(" read %zd %s", read((int)fd, head, 4), error_name(errno));
		printf(" \"%s\"", head);
	}
	printf(", flags %lu, execfn %s, secure %lu, euid %d", getauxval(AT_FLAGS), (char *)getauxval(AT_EXECFN),
	       getauxval(AT_SECURE), geteuid());
	char comm[20] = "", exe[100] = "";
	int file = open("/proc/self/comm", O_RDONLY);
	ssize_t n = read(file, comm, sizeof comm - 1);
	comm[n > 0 ? n - 1 : 0] = 0;
	close(file);
	n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	printf(", comm %s, exe %s\n", comm, exe);
	return 7;
}

static char *environment[] = { "SHOWS=1", NULL };

static void run(const char *path, char *zero)
{
	char *argv[] = { zero, "one", "two", NULL };
	printf("%s:\n", path);
	IN_CHILD(execve(path, argv, environment); printf("  %s\n", error_name(errno)));
}

static void copy(const char *to, mode_t mode)
{
	static char data[1 << 16];
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY));
	int into = (int)MUST(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	for (ssize_t n; (n = read(from, data, sizeof data)) > 0;)
		MUST(write(into, data, n));
	MUST(fchmod(into, mode));
	close(from);
	close(into);
}

static void wrong_registrations(void)
{
	static char big[3000];
	REGISTER("");
	REGISTER(":a:E::b::/");
	REGISTER(":a:E::b::/i");
	REGISTER(":a:E::b::/i:\n");
	REGISTER(":a:E::b::/ij:\n\n");
	REGISTER("::E::ext::/interp:");
	REGISTER(":.:E::ext::/interp:");
	REGISTER(":..:E::ext::/interp:");
	REGISTER(":...:E::ext::/interp:");
	REGISTER(":a/b:E::ext::/interp:");
	REGISTER(":status:E::ext::/interp:");
	REGISTER(":register:E::ext::/interp:");
	REGISTER(":name:X::ext::/interp:");
	REGISTER(":name:EE::ext::/interp:");
	REGISTER(":name:e::ext::/interp:");
	REGISTER(":name::::ext::/interp:");
	REGISTER(":name:E::::/interp:");
	REGISTER(":name:E::a/b::/interp:");
	REGISTER(":name:E::ext:::");
	REGISTER(":name:E::ext::/interp:Q");
	REGISTER(":name:E::ext::/interp:PX");
	REGISTER(":name:E::ext::/interp:P P");
	REGISTER(":name:E::ext::/interp: ");
	REGISTER(":name:E::ext::/interp:p");
	REGISTER(":name:E::ext::/interp");
	REGISTER(":name:M:-1:magic::/interp:");
	REGISTER(":name:M:x:magic::/interp:");
	REGISTER(":name:M:+-1:magic::/interp:");
	REGISTER(":name:M: 1:magic::/interp:");
	REGISTER(":name:M:1 :magic::/interp:");
	REGISTER(":name:M:0x1:magic::/interp:");
	REGISTER(":name:M:252:magic::/interp:");
	REGISTER(":name:M:99999999999999999999:magic::/interp:");
	REGISTER(":name:M:2147483647:magic::/interp:");
	REGISTER(":name:M::::/interp:");
	REGISTER(":name:M::magic:mas:/interp:");
	REGISTER(":name:M::magic:masks1:/interp:");
	REGISTER(":name:M::mag\\x4:mask1:/interp:");
	REGISTER(":name:M::mag\\xzz:mask1:/interp:");
	REGISTER(":name:M::mag\\x:mask1:/interp:");
	REGISTER(":name:M::mag\\x00\\x00:mask:/interp:");
	REGISTER(":name:E::ext::/int\0erp:");
	REGISTER(":na\0me:E::ext::/interp:");
	REGISTER("PnamePEPPextPP/interpP");
	REGISTER("\nname\nE\n\next\n\n/interp\n");
	memset(big, 'n', sizeof big);
	memcpy(big, ":", 1);
	memcpy(big + 256, ":E::ext::/i:", 12);
	SHOW(put(HERE "register", big, 268));
	memset(big, 'n', sizeof big);
	memcpy(big, ":long:E::ext::/", 15);
	big[1919] = ':';
	SHOW(put(HERE "register", big, 1920));
	WRITE("long", "-1");
	big[1919] = 'n';
	big[1920] = ':';
	SHOW(put(HERE "register", big, 1921));
	SHOW(put(HERE "register", (void *)8, 20));
	SHOW(put(HERE "register", (void *)8, 2000));
	WRITE("...", "-1");
	list();
}

static void right_registrations(void)
{
	REGISTER(":byend:E::ext::/interp:");
	show_file(HERE "byend");
	REGISTER(":byend:E::other::/interp:");
	REGISTER(":ending:E:skipped:e x t:skipped:/in terp with spaces:POCF");
	REGISTER(":endings:E:skipped:e x t:skipped:/in terp with spaces:POC\n");
	show_file(HERE "endings");
	REGISTER(":magic:M::MAGIC::/interp:P\n");
	show_file(HERE "magic");
	REGISTER(":masked:M:3:\\x7fEL\\x46\\x00\\xff:\\xff\\xFF\\xfF\\x01\\x00\\xf0:/interp:O");
	show_file(HERE "masked");
	REGISTER(",comma,M,+251,a:b\\x2cc,,/interp,C");
	show_file(HERE "comma");
	REGISTER("\0nul\0E\0\0ext\0\0/interp\0PP");
	show_file(HERE "nul");
	REGISTER("\nline\nE\n\next\n\n/interp\n\n");
	show_file(HERE "line");
	REGISTER(":slashes:M:-0:a\\\\b\\\\x41\\n::relative:CO");
	show_file(HERE "slashes");
	REGISTER(":cut:M::ab\0cd::/interp:");
	show_file(HERE "cut");
	REGISTER(":cutmask:M::ab:\0b:/interp:");
	show_file(HERE "cutmask");
	REGISTER(":offset:M:7\n:ab::/interp:");
	show_file(HERE "offset");
	list();
}

static void commands(void)
{
	show_file(HERE "status");
	WRITE("status", "0");
	show_file(HERE "status");
	WRITE("status", "1\n");
	show_file(HERE "status");
	WRITE("status", "");
	WRITE("status", "2");
	WRITE("status", "\n");
	WRITE("status", "-1\n1");
	WRITE("status", "-2");
	WRITE("status", "01");
	WRITE("byend", "0");
	show_file(HERE "byend");
	WRITE("byend", "0\n");
	WRITE("byend", "1");
	show_file(HERE "byend");
	WRITE("byend", "on");
	SHOW(put(HERE "byend", (void *)8, 1));
	SHOW(put(HERE "byend", (void *)8, 9));
	int fd = (int)MUST(open(HERE "byend", O_RDWR | O_TRUNC));
	char text[100];
	SHOW(pwrite(fd, "0", 1, 50));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(read(fd, text, 4));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(write(fd, "1", 1));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pread(fd, text, 100, 8));
	SHOW(pread(fd, text, 100, 800));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, -1, SEEK_SET));
	SHOW(lseek(fd, 0, SEEK_DATA));
	SHOW(write(fd, "-1", 2));
	list();
	struct stat s;
	MUST(fstat(fd, &s));
	printf("%d links\n", (int)s.st_nlink);
	SHOW(write(fd, "-1", 2));
	SHOW(write(fd, "0", 1));
	MUST(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, text, 8));
	printf("%.8s\n", text);
	close(fd);
	SHOW(open(HERE "byend", O_RDONLY));
	fd = (int)MUST(open(HERE "register", O_RDWR));
	SHOW(read(fd, text, 10));
	SHOW(lseek(fd, 5, SEEK_SET));
	SHOW(lseek(fd, 5, SEEK_END));
	struct pollfd ready = { fd, POLLIN | POLLOUT, 0 };
	SHOW(poll(&ready, 1, 0));
	CHECK(mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	printf("%s\n", error_name(errno));
	SHOW(fsync(fd));
	close(fd);
	WRITE("magic", "-1\n");
	list();
	WRITE("status", "-1");
	list();
}

static void names(void)
{
	struct statfs s;
	attributes(HERE);
	attributes(HERE "status");
	attributes(HERE "register");
	REGISTER(":entry:E::ext::/interp:");
	attributes(HERE "entry");
	attributes(HERE);
	SHOW(statfs(HERE, &s));
	printf("type %lx, block %ld, name %ld, %ld %ld\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_namelen, (long)s.f_blocks,
	       (long)s.f_files);
	SHOW(mkdir(HERE "new", 0755));
	SHOW(open(HERE "new", O_CREAT | O_WRONLY, 0644));
	SHOW(mknod(HERE "new", S_IFIFO | 0644, 0));
	SHOW(symlink("x", HERE "new"));
	SHOW(link(HERE "entry", HERE "new"));
	SHOW(rename(HERE "entry", HERE "new"));
	SHOW(unlink(HERE "entry"));
	SHOW(unlink(HERE "status"));
	SHOW(rmdir(HERE "entry"));
	SHOW(unlink(HERE "nothing"));
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		SHOW(open(HERE "register", O_WRONLY));
		SHOW(open(HERE "status", O_WRONLY));
		SHOW(open(HERE "entry", O_WRONLY));
		show_file(HERE "status");
		show_file(HERE "entry");
		SHOW(mount("none", "/tmp/bm", "binfmt_misc", 0, NULL));
	);
	WRITE("entry", "-1");
}

static void running(void)
{
	put_file("/tmp/bm/a.xyz", "XYZ first\n", 0755);
	put_file("/tmp/bm/plain", "XYZ first\n", 0755);
	put_file("/tmp/bm/tiny", "Q", 0755);
	put_file("/tmp/bm/forbidden.xyz", "XYZ\n", 0644);
	put_file("/tmp/bm/secret.xyz", "XYZ secret\n", 0711);
	put_file("/tmp/bm/script.xyz", "#!/tmp/bm/show first\n", 0755);
	put_file("/tmp/bm/script", "#!/tmp/bm/show first\n", 0755);
	put_file("/tmp/bm/to.xyz", "#!/tmp/bm/a.xyz argument\n", 0755);
	put_file("/tmp/bm/toxyz", "#!/tmp/bm/a.xyz argument\n", 0755);
	copy("/tmp/bm/show", 0755);
	copy("/tmp/bm/elf.xyz", 0755);
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":xyz:E::xyz::/tmp/bm/show:");
	run("/tmp/bm/a.xyz", "zero");
	run("/tmp/bm/plain", "zero");
	run("/tmp/bm/forbidden.xyz", "zero");
	run("/tmp/bm/script.xyz", "zero");
	run("/tmp/bm/elf.xyz", "zero");
	run("/tmp/bm/toxyz", "zero");
	run("/tmp/bm/to.xyz", "zero");
	WRITE("xyz", "0");
	run("/tmp/bm/a.xyz", "zero");
	WRITE("xyz", "1");
	WRITE("status", "0");
	run("/tmp/bm/a.xyz", "zero");
	WRITE("status", "1");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":later:M::XYZ::/tmp/bm/show:P");
	run("/tmp/bm/a.xyz", "zero");
	run("/tmp/bm/plain", "");
	printf("no arguments:\n");
	IN_CHILD(execve("/tmp/bm/a.xyz", NULL, environment); printf("  %s\n", error_name(errno)));
	WRITE("later", "0");
	run("/tmp/bm/a.xyz", "zero");
	WRITE("later", "-1");
	WRITE("xyz", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/show:O");
	run("/tmp/bm/a.xyz", "zero");
	run("/tmp/bm/script.xyz", "zero");
	run("/tmp/bm/toxyz", "zero");
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); run("/tmp/bm/secret.xyz", "zero"));
	IN_CHILD(close(0); run("/tmp/bm/a.xyz", "zero"));
	WRITE("xyz", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/script:O");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":scripts:M::#!::/tmp/bm/show:PO");
	run("/tmp/bm/a.xyz", "zero");
	run("/tmp/bm/script", "zero");
	WRITE("status", "-1");
	REGISTER(":tiny:M::Q\\x00\\x00::/tmp/bm/show:");
	run("/tmp/bm/tiny", "zero");
	REGISTER(":tinier:M:1:\\x40:\\xbf:/tmp/bm/show:P");
	run("/tmp/bm/tiny", "zero");
	WRITE("status", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/nowhere:");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":xyz2:E::xyz::/tmp/bm/forbidden.xyz:");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":xyz3:E::xyz::/tmp/bm:");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":xyz4:E::xyz::/tmp/bm/a.xyz:");
	run("/tmp/bm/a.xyz", "zero");
	REGISTER(":xyz5:E::xyz::show:P");
	IN_CHILD(chdir("/tmp/bm"); run("a.xyz", "zero"));
	IN_CHILD(chdir("/"); run("/tmp/bm/a.xyz", "zero"));
	WRITE("status", "-1");
	/* One format leads to the next. */
	put_file("/tmp/bm/0.c1", "1", 0755);
	put_file("/tmp/bm/0.c2", "2", 0755);
	put_file("/tmp/bm/0.c3", "3", 0755);
	put_file("/tmp/bm/0.c4", "4", 0755);
	put_file("/tmp/bm/0.c5", "5", 0755);
	put_file("/tmp/bm/0.c6", "6", 0755);
	REGISTER(":c1:E::c1::/tmp/bm/show:");
	REGISTER(":c2:E::c2::/tmp/bm/0.c1:");
	REGISTER(":c3:E::c3::/tmp/bm/0.c2:P");
	REGISTER(":c4:E::c4::/tmp/bm/0.c3:");
	REGISTER(":c5:E::c5::/tmp/bm/0.c4:P");
	REGISTER(":c6:E::c6::/tmp/bm/0.c5:");
	run("/tmp/bm/0.c3", "zero");
	run("/tmp/bm/0.c5", "zero");
	run("/tmp/bm/0.c6", "zero");
	WRITE("status", "-1");
}

static void by_descriptor(void)
{
	REGISTER(":xyz:M::XYZ::/tmp/bm/show:");
	char *argv[] = { "zero", NULL };
	int fd = (int)MUST(open("/tmp/bm/a.xyz", O_RDONLY));
	IN_CHILD(syscall(SYS_execveat, fd, "", argv, environment, AT_EMPTY_PATH); printf("  %s\n", error_name(errno)));
	MUST(fcntl(fd, F_SETFD, FD_CLOEXEC));
	IN_CHILD(syscall(SYS_execveat, fd, "", argv, environment, AT_EMPTY_PATH); printf("  %s\n", error_name(errno)));
	WRITE("xyz", "-1");
	REGISTER(":xyz:M::XYZ::/tmp/bm/show:O");
	IN_CHILD(syscall(SYS_execveat, fd, "", argv, environment, AT_EMPTY_PATH); printf("  %s\n", error_name(errno)));
	close(fd);
	WRITE("xyz", "-1");
}

static void rights(void)
{
	put_file("/tmp/bm/set.xyz", "XYZ\n", 0755);
	MUST(chown("/tmp/bm/set.xyz", 1234, 1234));
	MUST(chmod("/tmp/bm/set.xyz", 04755));
	copy("/tmp/bm/setshow", 0755);
	MUST(chown("/tmp/bm/setshow", 4321, 4321));
	MUST(chmod("/tmp/bm/setshow", 04755));
	REGISTER(":xyz:E::xyz::/tmp/bm/show:O");
	run("/tmp/bm/set.xyz", "zero");
	WRITE("xyz", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/show:C");
	run("/tmp/bm/set.xyz", "zero");
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); run("/tmp/bm/set.xyz", "zero"));
	WRITE("xyz", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/setshow:");
	run("/tmp/bm/set.xyz", "zero");
	WRITE("xyz", "-1");
	REGISTER(":xyz:E::xyz::/tmp/bm/setshow:C");
	run("/tmp/bm/a.xyz", "zero");
	run("/tmp/bm/set.xyz", "zero");
	WRITE("xyz", "-1");
}

static void held(void)
{
	REGISTER(":xyz:E::xyz::/tmp/bm/nowhere:F");
	REGISTER(":xyz:E::xyz::/tmp/bm/forbidden.xyz:F");
	REGISTER(":xyz:E::xyz::/tmp/bm:F");
	int fd = (int)MUST(open("/tmp/bm/show", O_WRONLY));
	REGISTER(":xyz:E::xyz::/tmp/bm/show:F");
	close(fd);
	REGISTER(":xyz:E::xyz::/tmp/bm/show:F");
	SHOW(open("/tmp/bm/show", O_WRONLY));
	REGISTER(":xyz:E::xyz::/tmp/bm/elf.xyz:F");
	fd = (int)MUST(open("/tmp/bm/elf.xyz", O_WRONLY));
	close(fd);
	MUST(rename("/tmp/bm/show", "/tmp/bm/moved"));
	MUST(chmod("/tmp/bm/moved", 0700));
	run("/tmp/bm/a.xyz", "zero");
	IN_CHILD(MUST(setresuid(1000, 1000, 1000)); run("/tmp/bm/a.xyz", "zero"));
	MUST(mkdir("/tmp/bm/jail", 0755));
	put_file("/tmp/bm/jail/a.xyz", "XYZ\n", 0755);
	IN_CHILD(MUST(chroot("/tmp/bm/jail")); run("/a.xyz", "zero"));
	fd = (int)MUST(open(HERE "xyz", O_RDWR));
	WRITE("xyz", "-1");
	SHOW(open("/tmp/bm/moved", O_WRONLY));
	close(fd);
	SHOW(open("/tmp/bm/moved", O_WRONLY));
	MUST(rename("/tmp/bm/moved", "/tmp/bm/show"));
	MUST(chmod("/tmp/bm/show", 0755));
}

int main(int argc, char **argv)
{
	if (getenv("SHOWS"))
		return show(argc, argv);
	MUST(mkdir("/tmp/bm", 0755));
	attributes("/proc/sys/fs/binfmt_misc");
	SHOW(mount("none", HERE, "binfmt_misc", 0, "nonsense"));
	SHOW(mount("none", HERE, "binfmt_misc", 0, NULL));
	SHOW(mount("none", HERE, "binfmt_misc", 0, NULL));
	list();
	wrong_registrations();
	right_registrations();
	commands();
	names();
	running();
	by_descriptor();
	rights();
	held();
	/* Formats end with the last mount. */
	REGISTER(":stays:E::xyz::/tmp/bm/show:F");
	MUST(mkdir("/tmp/bm/again", 0755));
	SHOW(mount("other", "/tmp/bm/again", "binfmt_misc", 0, NULL));
	struct stat one, two;
	MUST(stat(HERE, &one));
	MUST(stat("/tmp/bm/again", &two));
	CHECK(one.st_dev == two.st_dev);
	show_file("/tmp/bm/again/stays");
	SHOW(put("/tmp/bm/again/status", "0", 1));
	SHOW(umount(HERE));
	run("/tmp/bm/a.xyz", "zero");
	SHOW(put("/tmp/bm/again/status", "1", 1));
	run("/tmp/bm/a.xyz", "zero");
	SHOW(put("/tmp/bm/again/status", "0", 1));
	SHOW(umount("/tmp/bm/again"));
	run("/tmp/bm/a.xyz", "zero");
	SHOW(open("/tmp/bm/show", O_WRONLY));
	SHOW(mount("none", HERE, "binfmt_misc", MS_RDONLY, NULL));
	show_file(HERE "status");
	list();
	WRITE("status", "0");
	SHOW(mount("none", HERE, NULL, MS_REMOUNT, NULL));
	SHOW(mount("none", HERE, NULL, MS_REMOUNT, "nonsense"));
	WRITE("status", "0");
	SHOW(umount(HERE));
	return 0;
}
