/*
 * Covers: FAN_FS_ERROR of fanotify(7): a file system on a disk reports damage that it meets, with the file that has it, the first error and
 * how many there were; for which marks and groups it can be asked.
 */
#include "fanotify_case.h"

#define BLOCK 1024

static unsigned char block[BLOCK];

static void read_block(int disk, uint32_t number)
{
	MUST(pread(disk, block, BLOCK, (off_t)number * BLOCK));
}

static void write_block(int disk, uint32_t number)
{
	MUST(pwrite(disk, block, BLOCK, (off_t)number * BLOCK));
}

static uint32_t word(int at)
{
	uint32_t value;
	memcpy(&value, block + at, 4);
	return value;
}

static void set_word(int at, uint32_t value)
{
	memcpy(block + at, &value, 4);
}

/* Change a word of an inode on the disk. */
static void change_inode(int disk, uint32_t number, int at, uint32_t value)
{
	read_block(disk, 1);
	uint32_t size = word(88) & 0xffff, per_group = word(40);
	read_block(disk, 2);
	CHECK(number <= per_group);
	uint32_t place = word(8) * BLOCK + (number - 1) * size;
	read_block(disk, place / BLOCK);
	set_word(place % BLOCK + at, value);
	write_block(disk, place / BLOCK);
}

/* Change the length of a directory's record: the one of a name that is unique on the disk. */
static void change_record(int disk, const char *name, unsigned length)
{
	size_t size = strlen(name);
	for (uint32_t number = 0; number < 8192; number++) {
		read_block(disk, number);
		for (size_t at = 8; at + size < BLOCK; at++)
			if (memcmp(block + at, name, size) == 0 && block[at - 2] == size) {
				block[at - 4] = length & 0xff;
				block[at - 3] = length >> 8;
				write_block(disk, number);
				return;
			}
	}
	puts("the record was not found");
}

static void show_errors(int fd, const char *when)
{
	unsigned char buffer[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, buffer, sizeof buffer);
	printf("-- %s:", when);
	if (n < 0)
		printf(" %s", error_name(errno));
	for (ssize_t at = 0; at < n;) {
		struct fanotify_event_metadata *event = (void *)(buffer + at);
		printf(" mask %#llx fd %d own %d", (unsigned long long)event->mask, event->fd, event->pid == getpid());
		for (unsigned info = event->metadata_len; info < event->event_len;) {
			unsigned char *here = buffer + at + info;
			unsigned length = here[2] | here[3] << 8;
			if (here[0] == FAN_EVENT_INFO_TYPE_ERROR) {
				struct fanotify_event_info_error *error = (void *)here;
				printf(" error %d, %u of them", error->error, error->error_count);
			} else
				printf(" info %d of %u: %s", here[0], length, known_by(here + 12));
			info += length;
		}
		at += event->event_len;
	}
	puts("");
}

static int watch(const char *path)
{
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_FID, 0));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, path));
	return fd;
}

static void ask(void)
{
	int plain = (int)MUST(fanotify_init(FAN_NONBLOCK, 0)), handles = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_FID, 0));
	int named = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_DFID_NAME, 0));
	int groups[] = { plain, handles, named };
	for (int i = 0; i < 3; i++) {
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD, FAN_FS_ERROR, AT_FDCWD, "/mnt"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_FS_ERROR, AT_FDCWD, "/mnt"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, "/mnt"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR | FAN_ONDIR, AT_FDCWD, "/mnt"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM | FAN_MARK_IGNORED_MASK, FAN_FS_ERROR, AT_FDCWD, "/mnt"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, "/sys"));
		SHOW(fanotify_mark(groups[i], FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_FS_ERROR, AT_FDCWD, "/mnt"));
		close(groups[i]);
	}
}

/* Linux passes over the damaged rest of a block. */
static void list(const char *path)
{
	DIR *directory = opendir(path);
	while (directory && readdir(directory))
		;
	if (directory)
		closedir(directory);
}

int main(void)
{
	struct stat is;
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	ask();
	MUST(mkdir("/mnt/directory", 0755));
	put_file("/mnt/directory/first-name", "text", 0644);
	put_file("/mnt/directory/second-name", "text", 0644);
	put_file("/mnt/strange", "text", 0644);
	put_file("/mnt/good", "text", 0644);
	uint32_t strange = (MUST(stat("/mnt/strange", &is)), (uint32_t)is.st_ino);
	know("/mnt/strange", "strange");
	know("/mnt/directory", "directory");
	know("/mnt", "top");
	MUST(umount("/mnt"));
	int disk = (int)MUST(open("/dev/vda", O_RDWR));
	change_record(disk, "second-name", 13);
	change_inode(disk, strange, 0, 0x01a4);
	MUST(fsync(disk));
	close(disk);
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, "errors=continue"));
	int fd = watch("/mnt");
	show_errors(fd, "mounted");
	list("/mnt/directory");
	show_errors(fd, "a list");
	SHOW(stat("/mnt/directory/first-name", &is));
	show_errors(fd, "a good name");
	SHOW(open("/mnt/directory/fourth-name", O_RDWR | O_CREAT, 0644));
	show_errors(fd, "a new name");
	SHOW(stat("/mnt/strange", &is));
	show_errors(fd, "a strange mode");
	list("/mnt/directory");
	list("/mnt/directory");
	int other = watch("/mnt");
	list("/mnt/directory");
	show_errors(fd, "several");
	show_errors(other, "to another group");
	show_errors(fd, "nothing more");
	SHOW(open("/mnt/good", O_RDONLY));
	show_errors(fd, "a good file");
	umount2("/mnt", MNT_DETACH);
	return 0;
}
