/*
 * Covers: calls about names and inodes of /proc/PID: creating, removing, renaming, mode, owner, times, size, extended attributes, opening in
 * all ways, executing, swapping, accounting.
 */
#include "kernel_names_case.h"

static const char *const own_files[] = {
	"", "absent", "mem", "maps", "smaps", "pagemap", "setgroups", "uid_map", "comm", "oom_score_adj", "task", "task/1",
	"task/0/comm", "fd", "fd/absent", "fd/%d", "fdinfo", "attr", "attr/absent", "attr/prev", "ns", "ns/absent", "ns/mnt", "ns/time_for_children", "exe", "cwd", "root", "net", "net/absent",
	"net/tcp", "net/route", "net/protocols", "mountinfo", "stat", "timens_offsets", "timerslack_ns",
};

static void look_at_all(void)
{
	char path[200], name[100], shown[100];
	int kept = (int)MUST(open("/dev/null", O_RDONLY));
	for (size_t i = 0; i < sizeof own_files / sizeof *own_files; i++) {
		snprintf(name, sizeof name, own_files[i], kept);
		snprintf(path, sizeof path, "%s/%d/%s", proc, getpid(), name);
		snprintf(shown, sizeof shown, "own %s", own_files[i]);
		look_at(shown, path);
	}
}

int main(int count, char **arguments)
{
	return names_case(count, arguments, look_at_all);
}
