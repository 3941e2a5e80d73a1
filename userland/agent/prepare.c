/* The machine around the program: file systems, devices, network; and its end. */
#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE "/.krait"

static char problem[300];

static const char *failed(const char *what, const char *which, int error)
{
	snprintf(problem, sizeof problem, "%s %s: %s", what, which, strerror(error));
	return problem;
}

static void mount_at(const char *kind, const char *where, const char *options)
{
	struct stat before;

	if (stat(where, &before) != 0)
		mkdir(where, 0755);
	mount(kind, where, kind, 0, options); /* an image that has no place for it does without */
}

void prepare_devices(void)
{
	mount_at("devtmpfs", "/dev", NULL);
	tools = open(PLACE "/busybox", O_RDONLY | O_CLOEXEC);
	unlink(PLACE "/busybox");
	unlink(PLACE "/agent");
	rmdir(PLACE);
}

/* Files of the host that lie in /krait are to be seen in the new root's /tmp/krait. What the root has in /tmp, such as
 * a virtual environment of Python, is to be seen as well, so nothing is laid over it unless the root cannot be written,
 * or keeps what is written. */
static bool show_carried(bool is_kept)
{
	mkdir("/root.new/tmp", 01777);
	if (is_kept || (mkdir("/root.new/tmp/krait", 0755) != 0 && errno != EEXIST)) {
		mount_at("tmpfs", "/root.new/tmp", "mode=1777");
		mkdir("/root.new/tmp/krait", 0755);
	}
	return mount("/krait", "/root.new/tmp/krait", NULL, MS_BIND, NULL) == 0;
}

static const char *mount_root(const char *wanted, bool is_carried, bool is_kept)
{
	static const char *const kinds[] = {"ext2", "ext4", "ext3"};
	char place[300], others[150];
	const char *device = find_disk(wanted, place, sizeof place, others, sizeof others);
	int error = 0;

	if (!device) {
		bool is_whole = strncmp(wanted, "IN=", 3) == 0;
		snprintf(problem, sizeof problem, "there is no %s %.60s; there are:%s",
		         is_whole ? "file system ext2, ext3 or ext4 on" : "disk", is_whole ? wanted + 3 : wanted,
		         *others ? others : " none");
		return problem;
	}
	mkdir("/root.new", 0755);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (mount(device, "/root.new", kinds[i], 0, NULL) == 0 ||
		    ((errno == EROFS || errno == EACCES) && mount(device, "/root.new", kinds[i], MS_RDONLY, NULL) == 0)) {
			if (is_carried && !show_carried(is_kept))
				return failed("cannot show", "/tmp/krait", errno);
			if (chdir("/root.new") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
				return failed("cannot change to", device, errno);
			mount_at("devtmpfs", "/dev", NULL);
			return NULL;
		}
		if (error == 0 || errno != ENODEV)
			error = errno;
	}
	return failed("cannot mount", device, error);
}

/* TAG:PATH:OPTIONS; a directory that the host shares, by virtio-fs or by 9p. */
static const char *mount_shared(const char *text)
{
	char tag[64], path[1024], options[128] = "trans=virtio,version=9p2000.L,msize=262144";
	unsigned long flags = 0;

	if (sscanf(text, "%63[^:]:%1023[^:]", tag, path) != 2)
		return failed("cannot understand", text, EINVAL);
	if (strstr(text + strlen(tag) + 1 + strlen(path), ":ro"))
		flags |= MS_RDONLY;
	for (char *at = path + 1; *at; at++)
		if (*at == '/') {
			*at = 0;
			mkdir(path, 0755);
			*at = '/';
		}
	mkdir(path, 0755);
	if (mount(tag, path, "virtiofs", flags, NULL) == 0)
		return NULL;
	int error = errno;
	if (mount(tag, path, "9p", flags, options) == 0)
		return NULL;
	/* EINVAL: virtio-fs does not have it, so what 9P says is the reason; and the other way round. */
	return failed("cannot share", path, error == EINVAL || error == ENODEV ? errno : error);
}

static void write_file(const char *path, const char *format, const char *value)
{
	FILE *file = fopen(path, "w");

	if (file) { /* a root that is not writable goes on as it is */
		fprintf(file, format, value);
		fclose(file);
	}
}

static void start_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (control >= 0 && ioctl(control, SIOCGIFFLAGS, &request) == 0) {
		request.ifr_flags |= IFF_UP;
		ioctl(control, SIOCSIFFLAGS, &request);
	}
	close(control);
}

/* Run what stands in /etc/start.d of our own root image, one after the other. */
static void start_services(void)
{
	struct dirent **names = NULL;
	int count = scandir("/etc/start.d", &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[300];
		snprintf(path, sizeof path, "/etc/start.d/%s", names[i]->d_name);
		struct stat file;
		if (stat(path, &file) == 0 && S_ISREG(file.st_mode) && access(path, X_OK) == 0) {
			pid_t pid = fork();
			if (pid == 0) {
				reset_signals();
				setenv("PATH", "/usr/local/bin:/bin:/sbin:/usr/bin:/usr/sbin", 1);
				execl(path, path, (char *)NULL);
				_exit(EXIT_NOT_RUN);
			}
			waitpid(pid, NULL, 0);
		}
		free(names[i]);
	}
	free(names);
}

const char *prepare_machine(const struct request *request)
{
	const char *root = setting(request, "root", NULL), *value, *error;

	bool is_carried = setting(request, "carried", NULL) != NULL, is_kept = setting(request, "keep", NULL) != NULL;
	if (root && (error = mount_root(root, is_carried, is_kept)))
		return error;
	mount_at("proc", "/proc", NULL);
	mount_at("sysfs", "/sys", NULL);
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 01777);
	mount("devpts", "/dev/pts", "devpts", 0, "gid=5,mode=620,ptmxmode=666");
	mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777");
	struct stat place;
	if (stat("/tmp", &place) != 0 && mkdir("/tmp", 01777) == 0)
		chmod("/tmp", 01777);
	if ((value = setting(request, "hostname", NULL))) {
		sethostname(value, strlen(value));
		write_file("/etc/hostname", "%s\n", value);
		write_file("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t%s\n", value);
	}
	if ((value = setting(request, "nameserver", NULL)))
		write_file("/etc/resolv.conf", "nameserver %s\n", value);
	start_loopback();
	for (size_t at = 0; (value = setting(request, "share", &at));)
		if ((error = mount_shared(value)))
			return error;
	if (setting(request, "services", NULL))
		start_services();
	return NULL;
}

void end_programs(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

_Noreturn void power_off(void)
{
	end_programs();
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL); /* so that a disk is marked as clean */
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
