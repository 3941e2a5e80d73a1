/* autofs: what is no longer used is unmounted, by the automounter, when it asks the kernel what that is. */
#include "autofs_case.h"

#define HERE "/tmp/autofs_expire"

static int root;

static long into(const char *path)
{
	return chdir(path);
}

static void make(const char *name)
{
	MUST(mkdir(name, 0755));
	MUST(mount("tmp", name, "tmpfs", 0, NULL));
}

/* A child of the automounter's group asks for an expiry, which waits for the answer. */
static pid_t expire(int how)
{
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		errno = 0;
		show_result("  expire", ioctl(root, AUTOFS_IOC_EXPIRE_MULTI, &how), 1);
		fflush(stdout);
		_exit(0);
	}
	visitor = child;
	return child;
}

static void expired(int how)
{
	expire(how);
	visited();
}

static void oldest(void)
{
	struct autofs_packet_expire p;
	memset(&p, 'x', sizeof p);
	errno = 0;
	long result = ioctl(root, AUTOFS_IOC_EXPIRE, &p);
	show_result("EXPIRE", result, 1);
	if (result == 0)
		printf("version %d, type %d, length %d, name %.*s\n", p.hdr.proto_version, p.hdr.type, p.len, p.len, p.name);
}

static void set_timeout(unsigned long seconds)
{
	MUST(ioctl(root, AUTOFS_IOC_SETTIMEOUT, &seconds));
}

/* What somebody has just looked at is not old. If the host stands still in between, it is named, and put off: once more. */
static void not_old(const char *path)
{
	struct autofs_packet_expire p;
	long result = 0;
	for (int i = 0; i < 20 && result == 0; i++) {
		sleep_ms(1200);
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			struct stat s;
			setpgid(0, 0);
			_exit(stat(path, &s) != 0);
		}
		waitpid(child, NULL, 0);
		errno = 0;
		result = ioctl(root, AUTOFS_IOC_EXPIRE, &p);
	}
	show_result("EXPIRE after a look", result, 1);
}

/* What was named is put off. */
static void put_off(void)
{
	struct autofs_packet_expire p;
	long result = 0;
	for (int i = 0; i < 20 && result == 0; i++) {
		errno = 0;
		result = ioctl(root, AUTOFS_IOC_EXPIRE, &p);
	}
	show_result("EXPIRE again", result, 1);
}

int main(void)
{
	struct stat s;
	unsigned long timeout;
	uint32_t token;
	MUST(mkdir(HERE, 0755));
	MUST(mount_autofs(HERE, "indirect"));
	root = (int)MUST(open(HERE, O_RDONLY));
	printf("-- nothing to expire\n");
	expired(AUTOFS_EXP_IMMEDIATE);
	oldest();
	make(HERE "/one");
	expired(AUTOFS_EXP_NORMAL);
	timeout = 1000;
	MUST(ioctl(root, AUTOFS_IOC_SETTIMEOUT, &timeout));
	expired(AUTOFS_EXP_NORMAL);
	oldest();
	printf("-- at once\n");
	pid_t asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	VISIT(into(HERE "/one"));
	pid_t looking = visitor;
	until_waiting(looking);
	CHECK(no_packet());
	SHOW(stat(HERE "/one", &s));
	SHOW(umount(HERE "/one"));
	SHOW(rmdir(HERE "/one"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visitor = asking;
	visited();
	visitor = looking;
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	printf("-- refused\n");
	make(HERE "/two");
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	VISIT(into(HERE "/two"));
	looking = visitor;
	until_waiting(looking);
	kill(looking, SIGSTOP); /* when its call is done, so that the other one prints first */
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visitor = asking;
	visited();
	kill(looking, SIGCONT);
	visitor = looking;
	visited();
	printf("-- in use\n");
	int used = (int)MUST(open(HERE "/two", O_RDONLY));
	expired(AUTOFS_EXP_IMMEDIATE);
	asking = expire(AUTOFS_EXP_FORCED);
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	close(used);
	MUST(mkdir(HERE "/two/inner", 0755));
	MUST(mount("tmp", HERE "/two/inner", "tmpfs", 0, NULL));
	used = (int)MUST(open(HERE "/two/inner", O_RDONLY));
	expired(AUTOFS_EXP_IMMEDIATE);
	close(used);
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	MUST(umount(HERE "/two/inner"));
	MUST(umount(HERE "/two"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	printf("-- by time\n");
	MUST(mount("tmp", HERE "/two", "tmpfs", 0, NULL));
	VISITED(into(HERE "/two"));
	set_timeout(1);
	VISITED(stat(HERE "/two", &s));
	not_old(HERE "/two");
	set_timeout(1000); /* this one waits where something is old */
	expired(AUTOFS_EXP_NORMAL);
	set_timeout(1);
	sleep_ms(1200);
	oldest();
	put_off();
	sleep_ms(1200);
	asking = expire(AUTOFS_EXP_NORMAL);
	token = packet();
	MUST(umount(HERE "/two"));
	MUST(rmdir(HERE "/two"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	printf("-- links and trees\n");
	MUST(symlink("/tmp", HERE "/link"));
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	MUST(unlink(HERE "/link"));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	MUST(mkdir(HERE "/empty", 0755));
	expired(AUTOFS_EXP_IMMEDIATE);
	MUST(mkdir(HERE "/tree", 0755));
	MUST(mkdir(HERE "/tree/a", 0755));
	make(HERE "/tree/a/b");
	make(HERE "/tree/c");
	used = (int)MUST(open(HERE "/tree/a/b", O_RDONLY));
	expired(AUTOFS_EXP_IMMEDIATE);
	close(used);
	used = (int)MUST(open(HERE "/tree/a", O_RDONLY));
	expired(AUTOFS_EXP_IMMEDIATE);
	close(used);
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	asking = expire(AUTOFS_EXP_IMMEDIATE | AUTOFS_EXP_LEAVES);
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	printf("-- the asker is killed\n");
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	kill(asking, SIGKILL);
	show_end(asking);
	VISITED(stat(HERE "/tree", &s));
	SHOW(ioctl(root, AUTOFS_IOC_READY, token));
	umount(HERE "/tree/a/b");
	umount(HERE "/tree/c");
	close(root);
	SHOW(umount(HERE));

	printf("-- direct\n");
	MUST(mount_autofs(HERE, "direct"));
	root = (int)MUST(open(HERE, O_RDONLY));
	timeout = 1000;
	MUST(ioctl(root, AUTOFS_IOC_SETTIMEOUT, &timeout));
	expired(AUTOFS_EXP_NORMAL);
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	MUST(mount("tmp", HERE, "tmpfs", 0, NULL));
	used = (int)MUST(open(HERE, O_RDONLY));
	expired(AUTOFS_EXP_IMMEDIATE);
	close(used);
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	VISIT(into(HERE));
	looking = visitor;
	until_waiting(looking);
	MUST(umount(HERE));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visitor = asking;
	visited();
	visitor = looking;
	token = packet();
	MUST(mount("tmp", HERE, "tmpfs", 0, NULL));
	MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	asking = expire(AUTOFS_EXP_FORCED);
	token = packet();
	MUST(ioctl(root, AUTOFS_IOC_FAIL, token));
	visited();
	umount(HERE);
	MUST(mkdir(HERE "/sub", 0755));
	asking = expire(AUTOFS_EXP_IMMEDIATE);
	token = packet();
	if (token)
		MUST(ioctl(root, AUTOFS_IOC_READY, token));
	visited();
	close(root);
	SHOW(umount(HERE));
	return 0;
}
