/* autofs: what mount(2) takes, and what the mount then looks like. */
#include "autofs_case.h"

#define HERE "/tmp/autofs_options"

/* The line of /proc/mounts, with names for the numbers that differ from run to run. */
static void show_line(void)
{
	char line[500];
	FILE *mounts = fopen("/proc/self/mounts", "r");
	struct stat pipe_stat;
	fstat(bell, &pipe_stat);
	while (fgets(line, sizeof line, mounts)) {
		if (!strstr(line, " " HERE " "))
			continue;
		char *word = strtok(line, ",\n");
		for (; word; word = strtok(NULL, ",\n")) {
			if (!strncmp(word, "pgrp=", 5))
				printf(",pgrp=%s", atoi(word + 5) == getpgrp() ? "mine" : word + 5);
			else if (!strncmp(word, "pipe_ino=", 9))
				printf(",pipe_ino=%s", (ino_t)atol(word + 9) == pipe_stat.st_ino ? "the pipe's" : word + 9);
			else if (!strncmp(word, "fd=", 3))
				printf(",fd=%s", atoi(word + 3) == bell ? "the bell" : word + 3);
			else
				printf("%s%s", word == line ? "" : ",", word);
		}
		printf("\n");
	}
	fclose(mounts);
}

static void with(const char *options)
{
	char text[200];
	snprintf(text, sizeof text, options, bell);
	errno = 0;
	show_result(options, mount("test", HERE, "autofs", 0, text), 1);
	show_line();
	while (umount(HERE) == 0)
		;
}

int main(void)
{
	char line[100];
	struct statfs f;
	struct stat s;
	FILE *kinds = fopen("/proc/filesystems", "r");
	while (fgets(line, sizeof line, kinds))
		if (strstr(line, "autofs"))
			printf("%s", line);
	MUST(mkdir(HERE, 0755));
	SHOW(mount("test", HERE, "autofs", 0, NULL));
	SHOW(mount("test", HERE, "autofs", 0, ""));
	int ends[2];
	MUST(pipe2(ends, O_NONBLOCK));
	bell = ends[1];
	printf("flags of the pipe: %#x\n", fcntl(bell, F_GETFL));
	with("fd=%d");
	printf("flags of the pipe: %#x %#x\n", fcntl(bell, F_GETFL), fcntl(ends[0], F_GETFL));
	with("fd=%d,minproto=5,maxproto=5");
	with("minproto=5,maxproto=5");
	with("fd=%d,minproto=3,maxproto=4");
	with("fd=%d,minproto=2,maxproto=2");
	with("fd=%d,minproto=6,maxproto=7");
	with("fd=%d,minproto=5,maxproto=9");
	with("fd=%d,minproto=5,maxproto=4");
	with("fd=%d,minproto=5");
	with("fd=%d,maxproto=5");
	with("fd=%d,maxproto=3");
	with("fd=%d,minproto=5,maxproto=5,direct");
	with("fd=%d,minproto=5,maxproto=5,offset");
	with("fd=%d,minproto=5,maxproto=5,indirect");
	with("fd=%d,minproto=5,maxproto=5,direct,offset,indirect");
	with("fd=%d,minproto=5,maxproto=5,uid=1000,gid=1001");
	with("fd=%d,minproto=5,maxproto=5,uid=-1");
	with("fd=%d,minproto=5,maxproto=5,uid=4294967295");
	with("fd=%d,minproto=5,maxproto=5,strictexpire,ignore");
	with("fd=%d,minproto=5,maxproto=5,ignore=1");
	with("fd=%d,minproto=5,maxproto=5,direct=1");
	with("fd=%d,minproto=5,maxproto=5,nonsense");
	with("fd=%d,minproto=five");
	with("fd=%d,minproto=0x5,maxproto=05");
	with("fd=%d,minproto=5,minproto=5,maxproto=5,,");
	with("fd=%d,minproto=");
	with("fd=%d,minproto");
	with("fd=%d,pgrp=1,minproto=5,maxproto=5");
	with("fd=%d,pgrp=0,minproto=5,maxproto=5");
	with("fd=%d,pgrp=30000,minproto=5,maxproto=5");
	with("fd=%d,pgrp=-1,minproto=5,maxproto=5");
	with("fd=-1,minproto=5,maxproto=5");
	with("fd=700,minproto=5,maxproto=5");
	with("fd=x");
	int read_end = ends[0];
	bell = read_end;
	with("fd=%d,minproto=5,maxproto=5");
	bell = (int)MUST(open("/tmp", O_RDONLY));
	with("fd=%d,minproto=5,maxproto=5");
	bell = (int)MUST(open("/tmp/plain", O_CREAT | O_WRONLY, 0644));
	with("fd=%d,minproto=5,maxproto=5");
	int both[2];
	MUST(mkfifo("/tmp/fifo", 0644));
	both[0] = (int)MUST(open("/tmp/fifo", O_RDWR));
	bell = both[0];
	with("fd=%d,minproto=5,maxproto=5");
	bell = (int)MUST(open("/tmp/fifo", O_PATH));
	with("fd=%d,minproto=5,maxproto=5");

	MUST(mount_autofs(HERE, "indirect,uid=1000,gid=1001"));
	MUST(statfs(HERE, &f));
	printf("type %lx, block %ld, name %ld, %ld blocks, %ld files\n", (long)f.f_type, (long)f.f_bsize, (long)f.f_namelen,
	       (long)f.f_blocks, (long)f.f_files);
	MUST(stat(HERE, &s));
	printf("root: mode %o, %d links, %d %d, size %ld, %s number, block %ld\n", s.st_mode, (int)s.st_nlink, s.st_uid, s.st_gid,
	       (long)s.st_size, s.st_ino ? "a" : "no", (long)s.st_blksize);
	/* A remount. */
	char text[200];
	snprintf(text, sizeof text, "fd=%d,minproto=5,maxproto=5", bell);
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, text));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, ""));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, "nonsense"));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, "minproto=9"));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT | MS_RDONLY, ""));
	show_line();
	SHOW(mkdir(HERE "/x", 0755));
	SHOW(mount("test", HERE, NULL, MS_REMOUNT, ""));
	show_line();
	SHOW(mkdir(HERE "/x", 0755));
	/* A second mount is a second instance. */
	int old = bell;
	MUST(mkdir("/tmp/second", 0755));
	struct stat t;
	snprintf(text, sizeof text, "fd=%d,minproto=5,maxproto=5", old);
	MUST(mount("test", "/tmp/second", "autofs", 0, text));
	MUST(stat("/tmp/second", &t));
	CHECK(s.st_dev == t.st_dev);
	SHOW(umount("/tmp/second"));
	SHOW(umount(HERE));
	/* The pipe's only writer is the mount. */
	MUST(mount_autofs(HERE, "indirect"));
	close(bell);
	struct pollfd ready = { packets, POLLIN, 0 };
	SHOW(poll(&ready, 1, 0));
	SHOW(umount(HERE));
	SHOW(poll(&ready, 1, 1000));
	printf("events %#x\n", ready.revents);
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		SHOW(mount_autofs(HERE, "indirect"));
	);
	return 0;
}
