/*
 * Random commands to loop devices, and random files under them: loop_fuzz SEED SECONDS. The kernel answers with errors and
 * lives on. Files are cut off and grown while they are used, devices stand on devices and on themselves, tables of
 * partitions are rubbish, and file systems are mounted from all that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEVICES 6

static unsigned long long state;

static unsigned long draw(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned long)(state >> 17);
}

static unsigned long pick(unsigned long below)
{
	return draw() % below;
}

/* A number that is likely to be a border of something. */
static unsigned long wild(void)
{
	static const unsigned long borders[] = { 0, 1, 511, 512, 513, 4096, 65536, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffe00, 0xffffffffffffffff };
	switch (pick(3)) {
	case 0:
		return borders[pick(sizeof borders / sizeof *borders)];
	case 1:
		return pick(5000) * 512;
	default:
		return draw() << 47 ^ draw();
	}
}

static int any_device(char *name, int flags)
{
	sprintf(name, "/dev/loop%lu", pick(DEVICES));
	return open(name, flags | O_NONBLOCK);
}

static int any_file(void)
{
	char name[40];
	switch (pick(8)) {
	case 0:
		return any_device(name, O_RDWR);
	case 1:
		return open("/dev/null", O_RDWR);
	case 2:
		return open("/tmp", O_RDONLY);
	default:
		sprintf(name, "/tmp/loops/%lu", pick(6));
		return open(name, pick(5) ? O_RDWR | O_CREAT : O_RDONLY, 0600);
	}
}

static void fill_info(struct loop_info64 *info)
{
	memset(info, 0, sizeof *info);
	if (pick(2))
		info->lo_offset = pick(3) ? pick(8) * 512 : wild();
	if (pick(2))
		info->lo_sizelimit = pick(3) ? pick(4000) * 512 : wild();
	info->lo_flags = (unsigned)(pick(4) ? pick(32) : wild());
	if (pick(20) == 0)
		info->lo_encrypt_type = (unsigned)wild();
	for (unsigned i = 0; i < pick(64); i++)
		info->lo_file_name[i] = (unsigned char)draw();
}

static void command(void)
{
	char name[40], data[8192];
	struct loop_info64 info;
	struct loop_config config;
	int fd = any_device(name, pick(5) ? O_RDWR : O_RDONLY), file = -1;
	unsigned long address = pick(10) ? (unsigned long)data : wild();
	switch (pick(22)) {
	case 0:
	case 1:
		file = any_file();
		ioctl(fd, LOOP_SET_FD, file);
		break;
	case 2:
		ioctl(fd, LOOP_CLR_FD, 0);
		break;
	case 3:
		fill_info(&info);
		ioctl(fd, LOOP_SET_STATUS64, pick(10) ? (unsigned long)&info : wild());
		break;
	case 4:
		ioctl(fd, LOOP_GET_STATUS64, address);
		break;
	case 5:
		file = any_file();
		ioctl(fd, LOOP_CHANGE_FD, file);
		break;
	case 6:
		ioctl(fd, LOOP_SET_CAPACITY, wild());
		break;
	case 7:
		ioctl(fd, LOOP_SET_BLOCK_SIZE, pick(2) ? 512UL << pick(5) : wild());
		break;
	case 8:
		ioctl(fd, LOOP_SET_DIRECT_IO, pick(2));
		break;
	case 9:
	case 10:
		memset(&config, 0, sizeof config);
		file = any_file();
		config.fd = pick(9) ? (unsigned)file : (unsigned)wild();
		config.block_size = (unsigned)(pick(2) ? 0 : pick(3) ? 512UL << pick(5) : wild());
		fill_info(&config.info);
		ioctl(fd, LOOP_CONFIGURE, pick(10) ? (unsigned long)&config : wild());
		break;
	case 11: {
		int control = open("/dev/loop-control", O_RDWR);
		ioctl(control, pick(3) ? LOOP_CTL_GET_FREE : pick(2) ? LOOP_CTL_ADD : LOOP_CTL_REMOVE, pick(2) ? pick(20) : wild());
		close(control);
		break;
	}
	case 12:
		ioctl(fd, pick(2) ? BLKRRPART : BLKFLSBUF, 0);
		break;
	case 13:
		ioctl(fd, pick(2) ? BLKROSET : BLKBSZSET, address);
		break;
	case 14:
	case 15:
		for (unsigned i = 0; i < sizeof data; i++)
			data[i] = (char)draw();
		/* As if it were a table of partitions. */
		data[510] = 0x55;
		data[511] = (char)0xaa;
		if (pick(2))
			memset(data + 446, 0, 1), data[462] = data[478] = data[494] = 0;
		pwrite(fd, data, pick(sizeof data), (long)(pick(2) ? 0 : wild()));
		break;
	case 16:
		pread(fd, data, pick(sizeof data), (long)(pick(2) ? pick(3000) * 512 : wild()));
		break;
	case 17:
		sprintf(name, "/tmp/loops/%lu", pick(6));
		truncate(name, (long)(pick(4) ? pick(4000000) : pick(3)));
		break;
	case 18:
		sprintf(name, "/tmp/loops/%lu", pick(6));
		unlink(name);
		break;
	case 19:
		mkdir("/tmp/there", 0755);
		if (mount(name, "/tmp/there", pick(2) ? "ext2" : "ext4", pick(2) ? MS_RDONLY : 0, "") == 0) {
			int made = open("/tmp/there/file", O_RDWR | O_CREAT, 0600);
			write(made, data, sizeof data);
			close(made);
			umount("/tmp/there");
		}
		break;
	case 20: {
		char line[100];
		sprintf(line, "mke2fs -F %s > /dev/null 2>&1", name);
		if (pick(4) == 0)
			system(line);
		break;
	}
	default:
		if (pick(2))
			fsync(fd);
		else
			lseek(fd, (long)wild(), SEEK_END);
	}
	close(file);
	close(fd);
}

int main(int count, char **arguments)
{
	if (count != 3)
		return 2;
	mkdir("/tmp/loops", 0755);
	int seconds = atoi(arguments[2]);
	for (int worker = 0; worker < 3; worker++)
		if (fork() == 0) {
			time_t end = time(NULL) + seconds;
			long done = 0;
			state = (unsigned long long)atol(arguments[1]) * 1000 + (unsigned)worker;
			pick(2);
			for (; time(NULL) < end; done++)
				command();
			printf("%ld commands\n", done);
			fflush(stdout);
			_exit(done > 0 ? 0 : 1);
		}
	int failed = 0, status;
	while (wait(&status) > 0)
		failed |= status;
	while (umount("/tmp/there") == 0)
		;
	/* From the last to the first and again: one may stand on another. */
	for (int i = 0; i < 40; i++) {
		char name[40];
		sprintf(name, "/dev/loop%d", 19 - i % 20);
		int fd = open(name, O_RDONLY | O_NONBLOCK);
		ioctl(fd, LOOP_CLR_FD, 0);
		close(fd);
	}
	return failed != 0;
}
