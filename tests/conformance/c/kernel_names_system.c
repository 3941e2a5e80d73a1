/*
 * Covers: calls about names and inodes of /proc's files about the system: creating, removing, renaming, mode, owner, times, size, extended
 * attributes, opening in all ways, executing, swapping, accounting.
 */
#include "kernel_names_case.h"

static const char *const system_files[] = {
	"", "absent", "self", "thread-self", "mounts", "net", "meminfo", "devices", "interrupts", "partitions", "version", "loadavg", "kmsg", "locks",
	"pressure", "pressure/io", "sys", "sys/absent", "sys/kernel", "sys/kernel/hostname", "sys/kernel/ns_last_pid", "sys/kernel/ostype",
	"sys/kernel/random/uuid", "sys/vm/drop_caches", "sys/net/ipv4/ip_forward", "sysvipc", "sysvipc/msg",
};

static void look_at_all(void)
{
	char path[200], shown[100];
	for (size_t i = 0; i < sizeof system_files / sizeof *system_files; i++) {
		snprintf(path, sizeof path, "%s/%s", proc, system_files[i]);
		snprintf(shown, sizeof shown, "/proc/%s", system_files[i]);
		look_at(shown, path);
	}
}

int main(int count, char **arguments)
{
	return names_case(count, arguments, look_at_all);
}
