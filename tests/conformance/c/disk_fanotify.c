/* fanotify(7) on a disk: the process that answers uses the same file system while others wait, and events lead back to their files. */
#include "fanotify_case.h"
#include <pthread.h>

static int group;
static int questions;

/* Answer each question, and create and remove names meanwhile where the asker may be holding some. */
static void *answer(void *unused)
{
	(void)unused;
	while (questions-- > 0) {
		struct fanotify_event_metadata e;
		if (read(group, &e, sizeof e) != sizeof e)
			break;
		MUST(mkdir("d/while", 0755));
		MUST(rmdir("d/while"));
		MUST(rename("d/g", "d/h"));
		MUST(rename("d/h", "d/g"));
		printf("  asked of %s\n", file_of(e.fd));
		struct fanotify_response r = { e.fd, FAN_ALLOW };
		MUST(write(group, &r, sizeof r));
		close(e.fd);
	}
	return NULL;
}

static void asked(int count, const char *path, int flags)
{
	pthread_t thread;
	questions = count;
	pthread_create(&thread, NULL, answer, NULL);
	int fd = (int)TRY(open(path, flags, 0644));
	pthread_join(thread, NULL);
	close(fd);
}

static void handles(void)
{
	unsigned char buffer[4096] __attribute__((aligned(8)));
	int fd = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_DFID_NAME_TARGET, 0));
	MUST(fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_RENAME | FAN_ONDIR, AT_FDCWD, "."));
	know("d", "d");
	put_file("d/new", "", 0644);
	know("d/new", "new");
	drain(fd, "created");
	MUST(rename("d/new", "other"));
	know(".", "top");
	drain(fd, "renamed");
	MUST(unlink("other"));
	drain(fd, "removed");
	put_file("d/found", "by its handle", 0644);
	ssize_t n = read(fd, buffer, sizeof buffer);
	CHECK(n > 24 && buffer[24] == FAN_EVENT_INFO_TYPE_DFID_NAME);
	int place = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
	struct { unsigned length; int type; unsigned char bytes[128]; } handle;
	memcpy(&handle, buffer + 24 + 12, 8);
	memcpy(handle.bytes, buffer + 24 + 20, handle.length);
	int directory = (int)TRY(syscall(SYS_open_by_handle_at, place, &handle, O_RDONLY));
	int found = (int)TRY(openat(directory, (char *)buffer + 24 + 20 + handle.length, O_RDONLY));
	printf("%s\n", file_of(found));
	close(found);
	close(directory);
	close(place);
	MUST(unlink("d/found"));
	close(fd);
}

int main(void)
{
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(chdir("/mnt"));
	MUST(mkdir("d", 0755));
	put_file("d/f", "text", 0644);
	put_file("d/g", "text", 0644);
	group = (int)MUST(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
	MUST(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, "/mnt"));
	asked(1, "d/f", O_RDONLY);
	asked(1, "d/fresh", O_RDWR | O_CREAT);
	asked(1, "d/fresh", O_WRONLY | O_TRUNC);
	close(group);
	handles();
	MUST(chdir("/"));
	SHOW(umount("/mnt"));
	MUST(system("dd if=/dev/zero of=/dev/vda bs=64k count=1 2>/dev/null"));
	return 0;
}
