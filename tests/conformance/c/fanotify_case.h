/* Printing events of fanotify(7), as the cases about it do. File handles are shown as the name of the file that has the same. */
#ifndef FANOTIFY_CASE_H
#define FANOTIFY_CASE_H
#include <linux/fanotify.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include "case.h"

#define ALL_FILES (FAN_ACCESS | FAN_MODIFY | FAN_CLOSE | FAN_OPEN)
#define ALL_INODES (FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVE_SELF)
#define ALL_ENTRIES (FAN_CREATE | FAN_DELETE | FAN_MOVE)

static struct {
	const char *label;
	int type, length;
	unsigned char bytes[128];
} known[64];
static int known_count;

static inline long fanotify_init(unsigned flags, unsigned event_flags)
{
	return syscall(SYS_fanotify_init, flags, event_flags);
}

static inline long fanotify_mark(int fd, unsigned flags, uint64_t mask, int dir, const char *path)
{
	return syscall(SYS_fanotify_mark, fd, flags, mask, dir, path);
}

static inline void know(const char *path, const char *label)
{
	struct { unsigned length; int type; unsigned char bytes[128]; } handle = { 128 };
	int mount;
	if (syscall(SYS_name_to_handle_at, AT_FDCWD, path, &handle, &mount, 0x200) == -1 || known_count == 64) {
		printf("no handle of %s: %s\n", path, error_name(errno));
		return;
	}
	known[known_count].label = label;
	known[known_count].type = handle.type;
	known[known_count].length = (int)handle.length;
	memcpy(known[known_count++].bytes, handle.bytes, handle.length);
}

static inline const char *known_by(const unsigned char *handle)
{
	unsigned length;
	int type;
	memcpy(&length, handle, 4);
	memcpy(&type, handle + 4, 4);
	if (length == 0)
		return type == 255 ? "(invalid)" : "(none)";
	for (int i = known_count - 1; i >= 0; i--)
		if (known[i].type == type && known[i].length == (int)length && memcmp(known[i].bytes, handle + 8, length) == 0)
			return known[i].label;
	return "?";
}

static const struct { uint64_t bit; const char *name; } fan_bits[] = {
	{ FAN_ACCESS, "ACCESS" }, { FAN_MODIFY, "MODIFY" }, { FAN_ATTRIB, "ATTRIB" }, { FAN_CLOSE_WRITE, "CLOSE_WRITE" },
	{ FAN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { FAN_OPEN, "OPEN" }, { FAN_MOVED_FROM, "MOVED_FROM" },
	{ FAN_MOVED_TO, "MOVED_TO" }, { FAN_CREATE, "CREATE" }, { FAN_DELETE, "DELETE" }, { FAN_DELETE_SELF, "DELETE_SELF" },
	{ FAN_MOVE_SELF, "MOVE_SELF" }, { FAN_OPEN_EXEC, "OPEN_EXEC" }, { FAN_Q_OVERFLOW, "Q_OVERFLOW" },
	{ FAN_FS_ERROR, "FS_ERROR" }, { FAN_OPEN_PERM, "OPEN_PERM" }, { FAN_ACCESS_PERM, "ACCESS_PERM" },
	{ FAN_OPEN_EXEC_PERM, "OPEN_EXEC_PERM" }, { FAN_RENAME, "RENAME" }, { FAN_ONDIR, "ONDIR" },
};

static inline const char *file_of(int fd)
{
	static char link[256];
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, link, sizeof link - 1);
	link[n > 0 ? n : 0] = 0;
	char *last = strrchr(link, '/');
	return last ? last + 1 : link;
}

static inline void show_records(const unsigned char *at, const unsigned char *end)
{
	while (at + 4 <= end) {
		unsigned short length;
		memcpy(&length, at + 2, 2);
		if (length < 4 || at + length > end) {
			printf(" [a record of %u bytes]", length);
			return;
		}
		switch (*at) {
		case FAN_EVENT_INFO_TYPE_FID: printf(" [FID"); break;
		case FAN_EVENT_INFO_TYPE_DFID_NAME: printf(" [DFID_NAME"); break;
		case FAN_EVENT_INFO_TYPE_DFID: printf(" [DFID"); break;
		case FAN_EVENT_INFO_TYPE_PIDFD: printf(" [PIDFD"); break;
		case FAN_EVENT_INFO_TYPE_ERROR: printf(" [ERROR"); break;
		case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME: printf(" [OLD_DFID_NAME"); break;
		case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME: printf(" [NEW_DFID_NAME"); break;
		default: printf(" [type %u", *at);
		}
		if (*at == FAN_EVENT_INFO_TYPE_PIDFD) {
			int fd;
			memcpy(&fd, at + 4, 4);
			printf(" %s", fd >= 0 ? "open" : fd == FAN_NOPIDFD ? "none" : "failed");
			if (fd >= 0)
				close(fd);
		} else if (*at != FAN_EVENT_INFO_TYPE_ERROR) {
			unsigned bytes;
			memcpy(&bytes, at + 12, 4);
			printf(" %s", known_by(at + 12));
			if (20 + bytes < length && (*at == FAN_EVENT_INFO_TYPE_DFID_NAME || *at >= 10))
				printf(" \"%s\"", (const char *)at + 20 + bytes);
		}
		printf(" %u]", length % 4);
		at += length;
	}
}

/* Print an event, and close its file. Returns where the next one is. */
static inline unsigned char *show_event(unsigned char *at)
{
	struct fanotify_event_metadata e;
	memcpy(&e, at, sizeof e);
	printf(" ");
	for (size_t i = 0; i < sizeof fan_bits / sizeof *fan_bits; i++)
		if (e.mask & fan_bits[i].bit)
			printf(" %s", fan_bits[i].name);
	if (e.vers != 3 || e.reserved || e.metadata_len != 24)
		printf(" version %u, length %u", e.vers, e.metadata_len);
	if (e.pid != getpid())
		printf(e.pid == 0 ? " by nobody" : " by another");
	if (e.fd >= 0) {
		printf(" %s", file_of(e.fd));
		close(e.fd);
	} else if (e.fd != FAN_NOFD) {
		printf(" fd %d", e.fd);
	}
	show_records(at + e.metadata_len, at + e.event_len);
	printf("\n");
	return at + e.event_len;
}

static inline int drain(int fd, const char *what)
{
	static unsigned char buffer[65536] __attribute__((aligned(8)));
	int count = 0;
	ssize_t n;
	if (what)
		printf("-- %s\n", what);
	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		for (unsigned char *at = buffer; at < buffer + n; count++)
			at = show_event(at);
	if (n < 0 && errno != EAGAIN)
		printf("  read: %s\n", error_name(errno));
	return count;
}

/* A tmpfs of its own, so that nobody else's files are seen. The working directory is its root. */
static inline void on_tmpfs(void)
{
	MUST(mkdir("place", 0755));
	MUST(mount("none", "place", "tmpfs", 0, NULL));
	MUST(chdir("place"));
}

static inline void off_tmpfs(void)
{
	MUST(chdir(".."));
	TRY(umount2("place", MNT_DETACH));
	MUST(rmdir("place"));
}
#endif
