/* Covers: capget, capset; prctl: PR_CAPBSET_READ PR_CAPBSET_DROP PR_SET_KEEPCAPS PR_GET_KEEPCAPS PR_SET_SECUREBITS PR_GET_SECUREBITS
 * PR_CAP_AMBIENT; what becomes of the sets when ids change and when a program is executed; what each capability permits. */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <grp.h>
#include <sched.h>
#include "case.h"

#define BIT(c) (1ULL << (c))
#define ALL (BIT(41) - 1)

#include <sys/auxv.h>
static unsigned long getauxval_secure(void) { return getauxval(AT_SECURE); }

static const char *program;

struct sets { unsigned long long effective, permitted, inheritable; };

static int set_caps(unsigned long long e, unsigned long long p, unsigned long long i)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { (unsigned)e, (unsigned)p, (unsigned)i }, { (unsigned)(e >> 32), (unsigned)(p >> 32), (unsigned)(i >> 32) } };
	return (int)syscall(SYS_capset, &h, d);
}

static struct sets get_caps(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	MUST(syscall(SYS_capget, &h, d));
	return (struct sets){ d[0].effective | (unsigned long long)d[1].effective << 32, d[0].permitted | (unsigned long long)d[1].permitted << 32,
			      d[0].inheritable | (unsigned long long)d[1].inheritable << 32 };
}

static void look(const char *what)
{
	char line[128];
	struct sets s = get_caps();
	printf("%s: E %llx P %llx I %llx", what, s.effective, s.permitted, s.inheritable);
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "CapBnd", 6) || !strncmp(line, "CapAmb", 6))
			printf(" %.3s %llx", line + 3, strtoull(line + 7, NULL, 16));
	if (f)
		fclose(f);
	printf(" secure %x\n", (unsigned)prctl(PR_GET_SECUREBITS));
}

/* Execute ourselves and look. */
static void execute(const char *path)
{
	fflush(stdout);
	char *arguments[] = { (char *)path, "look", NULL };
	execv(path, arguments);
	printf("execv: %s\n", error_name(errno));
}

static int ambient(int action, int capability) { return prctl(PR_CAP_AMBIENT, action, capability, 0, 0); }

static void calls(void)
{
	puts("--- calls");
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_1, 0 };
	struct __user_cap_data_struct d[2] = { { 0 } };
	SHOW(syscall(SYS_capget, &h, d));
	printf("%x %x\n", d[0].effective, d[1].effective);
	h.version = 7;
	SHOW(syscall(SYS_capget, &h, NULL));
	printf("%x\n", h.version);
	h.version = 7;
	SHOW(syscall(SYS_capget, &h, d));
	h.version = 7;
	SHOW(syscall(SYS_capset, &h, d));
	h.pid = -1;
	SHOW(syscall(SYS_capget, &h, d));
	h.pid = 999999;
	SHOW(syscall(SYS_capget, &h, d));
	SHOW(syscall(SYS_capset, &h, d));
	h.pid = 1;
	SHOW(syscall(SYS_capget, &h, d));
	printf("%x %x\n", d[0].effective, d[1].effective);
	h.pid = 0;
	SHOW(syscall(SYS_capset, &h, 8));
	SHOW(syscall(SYS_capget, 8, d));
	IN_CHILD(
		SHOW(set_caps(~0ULL, ~0ULL, ~0ULL));
		look("all and more");
		SHOW(set_caps(BIT(5), BIT(5) | BIT(6), BIT(7)));
		look("few");
		SHOW(set_caps(BIT(5) | BIT(7), BIT(5) | BIT(6), 0));
		SHOW(set_caps(BIT(5), BIT(5) | BIT(7), 0));
		SHOW(set_caps(0, BIT(5), BIT(5) | BIT(6)));
		look("fewer");
		SHOW(set_caps(0, BIT(5), BIT(5) | BIT(7)));
		SHOW(set_caps(BIT(5), BIT(5), 0));
		look("back"));
	IN_CHILD(
		SHOW(set_caps(ALL & ~BIT(CAP_SETPCAP), ALL & ~BIT(3), 0));
		SHOW(set_caps(0, 0, BIT(3)));
		SHOW(set_caps(BIT(CAP_SETPCAP), BIT(CAP_SETPCAP), 0));
		SHOW(prctl(PR_CAPBSET_DROP, 4));
		SHOW(set_caps(BIT(CAP_SETPCAP), BIT(CAP_SETPCAP), BIT(4)));
		SHOW(set_caps(BIT(CAP_SETPCAP), BIT(CAP_SETPCAP), BIT(5))));
}

static void bits(void)
{
	puts("--- bounding set, securebits, ambient set");
	IN_CHILD(
		SHOW(prctl(PR_CAPBSET_READ, 0));
		SHOW(prctl(PR_CAPBSET_READ, 40));
		SHOW(prctl(PR_CAPBSET_READ, 41));
		SHOW(prctl(PR_CAPBSET_READ, -1L));
		SHOW(prctl(PR_CAPBSET_DROP, 41));
		SHOW(prctl(PR_CAPBSET_DROP, 12));
		SHOW(prctl(PR_CAPBSET_READ, 12));
		look("dropped");
		execute(program));
	IN_CHILD(
		SHOW(prctl(PR_SET_KEEPCAPS, 2));
		SHOW(prctl(PR_SET_KEEPCAPS, 1));
		SHOW(prctl(PR_GET_KEEPCAPS));
		SHOW(prctl(PR_GET_SECUREBITS));
		SHOW(prctl(PR_SET_SECUREBITS, 0x100));
		SHOW(prctl(PR_SET_SECUREBITS, 0x20));
		SHOW(prctl(PR_SET_KEEPCAPS, 0));
		SHOW(prctl(PR_SET_SECUREBITS, 0x10));
		SHOW(prctl(PR_SET_SECUREBITS, 0x30));
		SHOW(prctl(PR_SET_SECUREBITS, 0x21));
		SHOW(prctl(PR_GET_SECUREBITS));
		SHOW(set_caps(0, ALL, 0));
		SHOW(prctl(PR_SET_SECUREBITS, 0x21));
		SHOW(prctl(PR_CAPBSET_DROP, 1)));
	IN_CHILD(
		SHOW(ambient(PR_CAP_AMBIENT_RAISE, 5));
		SHOW(set_caps(ALL, ALL, BIT(5) | BIT(6)));
		SHOW(ambient(PR_CAP_AMBIENT_RAISE, 5));
		SHOW(ambient(PR_CAP_AMBIENT_RAISE, 6));
		SHOW(ambient(PR_CAP_AMBIENT_IS_SET, 5));
		SHOW(ambient(PR_CAP_AMBIENT_IS_SET, 7));
		SHOW(ambient(PR_CAP_AMBIENT_LOWER, 6));
		look("ambient");
		SHOW(ambient(PR_CAP_AMBIENT_IS_SET, 41));
		SHOW(ambient(9, 1));
		SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 1, 1, 0));
		SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
		SHOW(set_caps(ALL, ALL, BIT(6)));
		look("not inheritable");
		SHOW(ambient(PR_CAP_AMBIENT_RAISE, 6));
		SHOW(ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0));
		look("cleared");
		SHOW(prctl(PR_SET_SECUREBITS, 0x40));
		SHOW(ambient(PR_CAP_AMBIENT_RAISE, 6)));
}

static void ids(void)
{
	puts("--- ids");
	IN_CHILD(MUST(setuid(1000)); look("setuid"));
	IN_CHILD(MUST(setresuid(1000, 1000, 0)); look("saved root"); SHOW(seteuid(0)); look("root again"));
	IN_CHILD(MUST(seteuid(1000)); look("seteuid"); MUST(setresuid(1000, 1000, 1000)); look("for good"));
	IN_CHILD(MUST(prctl(PR_SET_KEEPCAPS, 1)); MUST(setuid(1000)); look("kept"); SHOW(set_caps(BIT(5), BIT(5), 0)); look("raised");
		 execute(program));
	IN_CHILD(MUST(prctl(PR_SET_SECUREBITS, 4)); MUST(setuid(1000)); look("no fixup"); execute(program));
	IN_CHILD(setfsuid(1000); look("setfsuid"); setfsuid(0); look("back"));
	IN_CHILD(MUST(set_caps(ALL, ALL, BIT(5))); MUST(ambient(PR_CAP_AMBIENT_RAISE, 5)); MUST(prctl(PR_SET_KEEPCAPS, 1)); MUST(setuid(1000));
		 look("ambient gone"));
	IN_CHILD(MUST(prctl(PR_SET_KEEPCAPS, 1)); MUST(setuid(1000)); MUST(set_caps(BIT(5), BIT(5) | BIT(10), BIT(5)));
		 MUST(ambient(PR_CAP_AMBIENT_RAISE, 5)); look("ambient"); execute(program));
	IN_CHILD(MUST(set_caps(ALL, ALL, BIT(5))); MUST(ambient(PR_CAP_AMBIENT_RAISE, 5)); execute(program));
	IN_CHILD(MUST(prctl(PR_SET_SECUREBITS, 1)); look("no root"); execute(program));
	IN_CHILD(MUST(prctl(PR_SET_SECUREBITS, 5)); MUST(set_caps(ALL, ALL, BIT(5))); MUST(ambient(PR_CAP_AMBIENT_RAISE, 5)); execute(program));
	IN_CHILD(MUST(set_caps(0, 0, 0)); look("nothing"); execute(program));
	IN_CHILD(MUST(set_caps(0, 0, 0)); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); execute(program));
	IN_CHILD(MUST(seteuid(1000)); execute(program));
	IN_CHILD(MUST(setuid(1000)); execute("setuid"));
	IN_CHILD(MUST(setuid(1000)); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); execute("setuid"));
	IN_CHILD(MUST(prctl(PR_CAPBSET_DROP, 3)); MUST(setuid(1000)); execute("setuid"));
}

/* ---- What each is good for ---- */

static int bind_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7) };
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), result = bind(s, (struct sockaddr *)&a, sizeof a), error = errno;
	close(s);
	errno = error;
	return result;
}

static int raw_socket(void)
{
	int s = socket(AF_INET, SOCK_RAW, 1);
	return s < 0 ? s : close(s);
}

static int mark_socket(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1, result = setsockopt(s, SOL_SOCKET, SO_MARK, &one, sizeof one), error = errno;
	close(s);
	errno = error;
	return result;
}

static int open_close(const char *path, int flags)
{
	int fd = open(path, flags);
	return fd < 0 ? fd : close(fd);
}

static int lease(void)
{
	int fd = open("theirs", O_RDONLY), result = fcntl(fd, F_SETLEASE, F_RDLCK), error = errno;
	close(fd);
	errno = error;
	return result;
}

static int raise_limit(void)
{
	struct rlimit l;
	MUST(getrlimit(RLIMIT_NOFILE, &l));
	l.rlim_max++;
	return setrlimit(RLIMIT_NOFILE, &l);
}

static int be_nice(void) { errno = 0; return nice(-1) == -1 && errno ? -1 : 0; }

static int keep_set_id(void)
{
	MUST(chmod("own", 04755));
	int fd = (int)MUST(open("own", O_WRONLY));
	MUST(write(fd, "x", 1));
	close(fd);
	struct stat s;
	MUST(stat("own", &s));
	errno = EPERM;
	return s.st_mode & 04000 ? 0 : -1;
}

static int segment, queue;

/* With one capability alone, as an ordinary user. */
static void with(const char *name, unsigned long long caps)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		struct timeval now;
		gettimeofday(&now, NULL);
		MUST(prctl(PR_SET_KEEPCAPS, 1));
		MUST(setgid(1000));
		MUST(setuid(1000));
		MUST(set_caps(caps, caps, 0));
		printf("%s:", name);
#define TRY(what, call) do { errno = 0; if ((call) == 0) printf(" " what); else if (errno != EPERM && errno != EACCES) printf(" " what "(%s)", error_name(errno)); } while (0)
		TRY("read", open_close("theirs", O_RDONLY));
		TRY("write", open_close("theirs", O_WRONLY));
		TRY("search", open_close("closed/file", O_PATH));
		TRY("chown", chown("own", 1000, 7));
		TRY("chown-theirs", chown("theirs2", 1001, 1001));
		TRY("chmod", chmod("theirs", 0600));
		TRY("set-id", keep_set_id());
		TRY("sticky", unlink("sticky/theirs"));
		TRY("kill", kill(getppid(), 0));
		TRY("setgroups", setgroups(0, NULL));
		TRY("setgid", setresgid(5, -1, -1));
		TRY("settime", settimeofday(&now, NULL));
		TRY("hostname", sethostname("x", 1));
		TRY("chroot", chroot("/"));
		TRY("mount", mount("none", "own-directory", "tmpfs", 0, NULL));
		TRY("mknod", mknod("own-directory/node", S_IFCHR | 0600, makedev(1, 3)));
		TRY("whiteout", mknod("own-directory/white", S_IFCHR | 0600, 0));
		TRY("port", bind_port());
		TRY("raw", raw_socket());
		TRY("mark", mark_socket());
		TRY("limit", raise_limit());
		TRY("nice", be_nice());
		TRY("trusted", setxattr("own", "trusted.a", "a", 1, 0));
		TRY("lease", lease());
		TRY("segment", shmat(segment, NULL, SHM_RDONLY) == (void *)-1);
		TRY("queue", msgctl(queue, IPC_RMID, NULL));
		TRY("log", syscall(SYS_syslog, 9, NULL, 0) < 0);
		TRY("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
		TRY("memory", open_close("/proc/1/environ", O_RDONLY));
		TRY("setuid", setresuid(5, -1, -1));
		puts("");
		fflush(stdout);
		_exit(0);
	}
	int status;
	MUST(waitpid(child, &status, 0));
	if (status)
		show_status(status);
	umount("own-directory");
	unlink("own-directory/node");
	unlink("own-directory/white");
	MUST(chown("own", 1000, 1000));
	MUST(chown("theirs2", 0, 0));
	put_file("sticky/theirs", "", 0644);
	if (msgctl(queue, IPC_STAT, &(struct msqid_ds){ 0 }))
		queue = (int)MUST(msgget(IPC_PRIVATE, 0600));
}

static void each(void)
{
	puts("--- each");
	put_file("theirs", "t", 0600);
	put_file("theirs2", "t", 0600);
	put_file("own", "o", 0600);
	MUST(chown("own", 1000, 1000));
	MUST(mkdir("closed", 0700));
	put_file("closed/file", "", 0644);
	MUST(mkdir("sticky", 0));
	MUST(chmod("sticky", 01777));
	put_file("sticky/theirs", "", 0644);
	MUST(mkdir("own-directory", 0755));
	MUST(chown("own-directory", 1000, 1000));
	segment = (int)MUST(shmget(IPC_PRIVATE, 4096, 0600));
	queue = (int)MUST(msgget(IPC_PRIVATE, 0600));
	char host[65];
	MUST(gethostname(host, sizeof host));
	with("none", 0);
#define WITH(c) with(#c, BIT(c))
	WITH(CAP_CHOWN);
	WITH(CAP_DAC_OVERRIDE);
	WITH(CAP_DAC_READ_SEARCH);
	WITH(CAP_FOWNER);
	WITH(CAP_FSETID);
	WITH(CAP_KILL);
	WITH(CAP_SETGID);
	WITH(CAP_SETUID);
	WITH(CAP_SETPCAP);
	WITH(CAP_NET_BIND_SERVICE);
	WITH(CAP_NET_ADMIN);
	WITH(CAP_NET_RAW);
	WITH(CAP_IPC_LOCK);
	WITH(CAP_IPC_OWNER);
	WITH(CAP_SYS_CHROOT);
	WITH(CAP_SYS_PTRACE);
	WITH(CAP_SYS_ADMIN);
	WITH(CAP_SYS_BOOT);
	WITH(CAP_SYS_NICE);
	WITH(CAP_SYS_RESOURCE);
	WITH(CAP_SYS_TIME);
	WITH(CAP_MKNOD);
	WITH(CAP_SYSLOG);
	with("CAP_LEASE and reading", BIT(CAP_LEASE) | BIT(CAP_DAC_READ_SEARCH));
	MUST(sethostname(host, strlen(host)));
	MUST(shmctl(segment, IPC_RMID, NULL));
	MUST(msgctl(queue, IPC_RMID, NULL));
}

int main(int count, char **arguments)
{
	if (count > 1) {
		look("executed");
		printf("uid %d euid %d secure %d\n", getuid(), geteuid(), (int)getauxval_secure());
		return 0;
	}
	program = "program";
	fflush(stdout);
	char *text = NULL;
	struct stat s;
	int from = (int)MUST(open("/proc/self/exe", O_RDONLY));
	MUST(fstat(from, &s));
	text = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, from, 0);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "setuid" : program;
		int to = (int)MUST(open(name, O_WRONLY | O_CREAT, 0755));
		MUST(write(to, text, (size_t)s.st_size));
		MUST(fchmod(to, i ? 04755 : 0755));
		close(to);
	}
	calls();
	bits();
	ids();
	each();
	return 0;
}
