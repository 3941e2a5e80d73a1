/*
 * A watchdog (QEMU's i6300esb): its device files, what ioctl(2) asks and tells it, when closing stops it, and its files in /sys. It is
 * always stopped again: the other cases run on the same machine.
 */
#include "case.h"
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define CLASS "/sys/class/watchdog/watchdog0"

static int fd;

static void number(const char *what, unsigned long command)
{
	int value = -77;
	errno = 0;
	int result = ioctl(fd, command, &value);
	if (result)
		printf("%s: %d %s\n", what, result, error_name(errno));
	else
		printf("%s: %#x\n", what, value);
}

static void set(const char *what, unsigned long command, int wanted)
{
	int value = wanted;
	errno = 0;
	int result = ioctl(fd, command, &value);
	printf("%s %d: %d %s, now %d\n", what, wanted, result, result ? error_name(errno) : "ok", value);
}

#define NUMBER(command) number(#command, command)
#define SET(command, value) set(#command, command, value)

static void file(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, CLASS "/%s", name);
	show_file(path);
}

static void store(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, CLASS "/%s", name);
	int file = open(path, O_WRONLY);
	if (file < 0) {
		printf("%s: open: %s\n", name, error_name(errno));
		return;
	}
	errno = 0;
	long done = write(file, text, strlen(text));
	printf("%s = %s: %ld %s\n", name, text, done, done < 0 ? error_name(errno) : "ok");
	close(file);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
	char *names[100];
	int count = 0;
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "power") != 0)
			names[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(names, count, sizeof *names, by_name);
	for (int i = 0; i < count; i++) {
		char whole[300];
		struct stat s;
		snprintf(whole, sizeof whole, "%s/%s", path, names[i]);
		MUST(lstat(whole, &s));
		printf("%s: mode %o, size %ld\n", names[i], s.st_mode, S_ISREG(s.st_mode) ? (long)s.st_size : 0);
	}
}

static void link_to(const char *name, const char *path)
{
	char target[300];
	ssize_t n = readlink(path, target, sizeof target - 1);
	target[n > 0 ? n : 0] = 0;
	printf("%s leads to %s\n", name, target);
}

static void places(void)
{
	struct stat s;
	char path[100];
	MUST(stat("/dev/watchdog", &s));
	printf("/dev/watchdog: mode %o, %u:%u\n", s.st_mode, major(s.st_rdev), minor(s.st_rdev));
	MUST(stat("/dev/watchdog0", &s));
	printf("/dev/watchdog0: mode %o, minor %u\n", s.st_mode, minor(s.st_rdev));
	snprintf(path, sizeof path, "/sys/dev/char/%u:%u", major(s.st_rdev), minor(s.st_rdev));
	link_to("the link by number", path);
	link_to(CLASS, CLASS);
	link_to("/sys/class/misc/watchdog", "/sys/class/misc/watchdog");
	link_to(CLASS "/subsystem", CLASS "/subsystem");
	list(CLASS);
	for (int i = 0; i < 13; i++)
		file((const char *[]){"bootstatus", "fw_version", "identity", "max_timeout", "min_timeout", "nowayout", "options", "pretimeout",
			"pretimeout_available_governors", "pretimeout_governor", "state", "status", "timeout"}[i]);
	file("timeleft");
}

static void opening(void)
{
	struct watchdog_info info;
	fd = (int)MUST(open("/dev/watchdog", O_WRONLY));
	SHOW(open("/dev/watchdog", O_WRONLY));
	SHOW(open("/dev/watchdog0", O_RDWR));
	int path_only = (int)MUST(open("/dev/watchdog", O_PATH));
	close(path_only);
	file("state");
	MUST(ioctl(fd, WDIOC_GETSUPPORT, &info));
	printf("options %#x, version %u, %s\n", info.options, info.firmware_version, info.identity);
	NUMBER(WDIOC_GETSTATUS);
	NUMBER(WDIOC_GETSTATUS);
	SHOW(ioctl(fd, WDIOC_KEEPALIVE, 0));
	NUMBER(WDIOC_GETSTATUS);
	NUMBER(WDIOC_GETBOOTSTATUS);
	NUMBER(WDIOC_GETTEMP);
	NUMBER(WDIOC_GETTIMEOUT);
	NUMBER(WDIOC_GETTIMELEFT);
	NUMBER(WDIOC_GETPRETIMEOUT);
	NUMBER(_IOR('W', 11, int));
	SHOW(ioctl(fd, WDIOC_GETSTATUS, 8));
	SHOW(ioctl(fd, WDIOC_GETSUPPORT, 8));
	SHOW(ioctl(fd, WDIOC_SETTIMEOUT, 8));
	SHOW(ioctl(fd, WDIOC_SETOPTIONS, 8));
}

static void times(void)
{
	int tried[] = {100, 1, 0, -1, 2046, 2047, 0x7fffffff, 60};
	for (int i = 0; i < (int)(sizeof tried / sizeof *tried); i++)
		SET(WDIOC_SETTIMEOUT, tried[i]);
	int before[] = {10, 59, 60, 61, -1, 0, 20};
	for (int i = 0; i < (int)(sizeof before / sizeof *before); i++)
		SET(WDIOC_SETPRETIMEOUT, before[i]);
	NUMBER(WDIOC_GETPRETIMEOUT);
	file("pretimeout");
	SET(WDIOC_SETTIMEOUT, 20);
	NUMBER(WDIOC_GETPRETIMEOUT);
	SET(WDIOC_SETPRETIMEOUT, 0);
	SET(WDIOC_SETTIMEOUT, 1000);
	file("timeout");
}

static void options(void)
{
	SET(WDIOC_SETOPTIONS, 0);
	SET(WDIOC_SETOPTIONS, WDIOS_TEMPPANIC);
	SET(WDIOC_SETOPTIONS, WDIOS_DISABLECARD);
	file("state");
	SET(WDIOC_SETOPTIONS, WDIOS_DISABLECARD);
	NUMBER(WDIOC_GETSTATUS);
	SHOW(ioctl(fd, WDIOC_KEEPALIVE, 0));
	NUMBER(WDIOC_GETSTATUS);
	SHOW(write(fd, "x", 1));
	file("status");
	SET(WDIOC_SETTIMEOUT, 1100);
	SET(WDIOC_SETOPTIONS, WDIOS_ENABLECARD);
	NUMBER(WDIOC_GETSTATUS);
	SET(WDIOC_SETOPTIONS, WDIOS_DISABLECARD | WDIOS_ENABLECARD);
	file("state");
}

static void transfers(void)
{
	char page[600];
	memset(page, 'x', sizeof page);
	SHOW(write(fd, "", 0));
	SHOW(write(fd, "V", 1));
	NUMBER(WDIOC_GETSTATUS);
	file("status");
	SHOW(write(fd, "", 0));
	NUMBER(WDIOC_GETSTATUS);
	SHOW(write(fd, "v", 1));
	NUMBER(WDIOC_GETSTATUS);
	page[590] = 'V';
	SHOW(write(fd, page, sizeof page));
	NUMBER(WDIOC_GETSTATUS);
	SHOW(write(fd, page, 500));
	NUMBER(WDIOC_GETSTATUS);
	SHOW(write(fd, (void *)8, 1));
	SHOW(pwrite(fd, "V", 1, 0));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, page, 1));
	SHOW(ftruncate(fd, 0));
	SHOW(fsync(fd));
	struct pollfd one = {fd, POLLIN | POLLOUT, 0};
	SHOW(poll(&one, 1, 0));
	printf("events %#x\n", one.revents);
}

static void closing(void)
{
	close(fd);
	file("state");
	fd = (int)MUST(open("/dev/watchdog0", O_RDWR));
	char c;
	SHOW(read(fd, &c, 1));
	NUMBER(WDIOC_GETSTATUS);
	NUMBER(WDIOC_GETTIMEOUT);
	IN_CHILD(SHOW(write(fd, "abVab", 5)));
	close(fd);
	file("state");
	file("status");
	IN_CHILD(
		fd = (int)MUST(open("/dev/watchdog", O_RDONLY));
		file("state");
		SHOW(write(fd, "V", 1));
		SHOW(ioctl(fd, WDIOC_KEEPALIVE, 0));
	);
	file("state");
	fd = (int)MUST(open("/dev/watchdog", O_WRONLY));
	MUST(write(fd, "V", 1));
	close(fd);
	file("state");
}

static void settings(void)
{
	store("nowayout", "2\n");
	store("nowayout", "x\n");
	store("nowayout", "");
	store("nowayout", "0\n");
	store("nowayout", " 0\n");
	store("timeout", "5\n");
	store("state", "active\n");
	store("pretimeout_governor", "nothing\n");
	store("pretimeout_governor", "panic\n");
	file("pretimeout_governor");
	store("pretimeout_governor", "noop");
	file("pretimeout_governor");
	IN_CHILD(
		MUST(setresuid(1000, 1000, 1000));
		SHOW(open("/dev/watchdog", O_WRONLY));
		store("nowayout", "1\n");
		file("state");
	);
}

int main(void)
{
	places();
	opening();
	times();
	options();
	transfers();
	closing();
	settings();
	return 0;
}
