/* Covers: FAN_MARK_EVICTABLE of fanotify(7): such a mark goes when its file leaves memory, others keep the file there. */
#include "fanotify_case.h"

static int group;

static void mark(const char *path, unsigned flags)
{
	SHOW(fanotify_mark(group, FAN_MARK_ADD | flags, FAN_OPEN | FAN_ATTRIB | FAN_EVENT_ON_CHILD, AT_FDCWD, path));
}

/* How many marks the group has, and of what flags. */
static void count(const char *when)
{
	char path[60], text[4096];
	snprintf(path, sizeof path, "/tmp/evictable/self/fdinfo/%d", group);
	int fd = (int)MUST(open(path, O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	printf("%s:", when);
	for (char *at = text; (at = strstr(at, "mflags:")); at += 7)
		printf(" a mark of %ld", strtol(at + 7, NULL, 16));
	puts("");
}

static void drop(const char *what)
{
	sync();
	int fd = (int)MUST(open("/tmp/evictable/sys/vm/drop_caches", O_WRONLY));
	MUST(write(fd, what, strlen(what)));
	close(fd);
}

static void use(const char *path)
{
	int fd = open(path, O_RDONLY);
	close(fd);
	drain(group, path);
}

int main(void)
{
	mkdir("/tmp/evictable", 0755);
	MUST(mount("proc", "/tmp/evictable", "proc", 0, 0));
	MUST(system("mke2fs -F -b 1024 -m 0 /dev/vda 8192 >/dev/null 2>&1"));
	MUST(mount("/dev/vda", "/mnt", "ext2", 0, ""));
	MUST(mkdir("/mnt/directory", 0755));
	put_file("/mnt/directory/child", "text", 0644);
	put_file("/mnt/one", "text", 0644);
	put_file("/mnt/two", "text", 0644);
	put_file("/mnt/three", "text", 0644);
	static const char *const paths[] = { "/mnt/one", "/mnt/two", "/mnt/three", "/mnt/directory", "/mnt/directory/child" };
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
		know(paths[i], paths[i]);
	group = (int)MUST(fanotify_init(FAN_NONBLOCK | FAN_REPORT_FID, 0));
	mark("/mnt/one", FAN_MARK_EVICTABLE);
	mark("/mnt/two", 0);
	mark("/mnt/three", FAN_MARK_EVICTABLE);
	mark("/mnt/directory", FAN_MARK_EVICTABLE);
	count("marked");
	use("/mnt/one");
	drop("1");
	count("pages dropped");
	int held = (int)MUST(open("/mnt/three", O_RDONLY | O_CLOEXEC));
	drain(group, "held");
	drop("3");
	count("all dropped");
	use("/mnt/one");
	use("/mnt/two");
	use("/mnt/three");
	use("/mnt/directory/child");
	mark("/mnt/one", 0);
	mark("/mnt/one", FAN_MARK_EVICTABLE);
	mark("/mnt/three", 0);
	close(held);
	drop("3");
	count("marked anew");
	use("/mnt/one");
	use("/mnt/three");
	mark("/mnt/directory/child", FAN_MARK_EVICTABLE);
	MUST(unlink("/mnt/directory/child"));
	drain(group, "removed");
	count("removed");
	/* In memory alone nothing leaves. */
	put_file("/tmp/in-memory", "text", 0644);
	know("/tmp/in-memory", "/tmp/in-memory");
	mark("/tmp/in-memory", FAN_MARK_EVICTABLE);
	drop("3");
	count("in memory");
	use("/tmp/in-memory");
	unlink("/tmp/in-memory");
	close(group);
	MUST(umount("/mnt"));
	MUST(umount("/tmp/evictable"));
	return 0;
}
