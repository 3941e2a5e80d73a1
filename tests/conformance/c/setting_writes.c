/* Covers: what root may write to the numbers below /proc/sys (proc_sys(5)), each with every kind of text: which are accepted, with what
 * errors the others are refused, and what is read afterwards.
 *
 * Left out are those that cannot be set back (kernel/modules_disabled, kernel/yama/ptrace_scope and their like), those whose extreme
 * values take all memory at once (vm/nr_hugepages), those that Linux rounds to its ticks (icmp_ratelimit), and numbers from 2**63 on, which
 * Linux keeps where it has an unsigned long.
 */
#include "case.h"

static const char *const files[] = {
	"dev/tty/ldisc_autoload", "dev/tty/legacy_tiocsti", "fs/aio-max-nr", "fs/aio-nr", "fs/dir-notify-enable",
	"fs/epoll/max_user_watches", "fs/fanotify/max_queued_events", "fs/fanotify/max_user_groups",
	"fs/fanotify/max_user_marks", "fs/file-max", "fs/file-nr", "fs/inotify/max_queued_events",
	"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "fs/lease-break-time", "fs/leases-enable",
	"fs/mount-max", "fs/mqueue/msg_default", "fs/mqueue/msg_max", "fs/mqueue/msgsize_default", "fs/mqueue/msgsize_max",
	"fs/mqueue/queues_max", "fs/nr_open", "fs/pipe-max-size", "fs/pipe-user-pages-hard", "fs/pipe-user-pages-soft",
	"fs/protected_fifos", "fs/protected_hardlinks", "fs/protected_regular", "fs/protected_symlinks", "fs/suid_dumpable",
	"kernel/acct", "kernel/cap_last_cap", "kernel/core_file_note_size_limit", "kernel/core_pipe_limit",
	"kernel/core_uses_pid", "kernel/dmesg_restrict", "kernel/io_uring_disabled", "kernel/io_uring_group",
	"kernel/keys/gc_delay", "kernel/keys/maxbytes", "kernel/keys/maxkeys", "kernel/keys/persistent_keyring_expiry",
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/kptr_restrict", "kernel/msgmax", "kernel/msgmnb",
	"kernel/msgmni", "kernel/ngroups_max", "kernel/ns_last_pid", "kernel/overflowgid", "kernel/overflowuid",
	"kernel/panic", "kernel/perf_cpu_time_max_percent", "kernel/perf_event_max_contexts_per_stack",
	"kernel/perf_event_max_sample_rate", "kernel/perf_event_max_stack", "kernel/perf_event_mlock_kb",
	"kernel/perf_event_paranoid", "kernel/pid_max", "kernel/printk", "kernel/pty/max", "kernel/pty/nr",
	"kernel/pty/reserve", "kernel/random/entropy_avail", "kernel/random/poolsize", "kernel/randomize_va_space",
	"kernel/sched_autogroup_enabled", "kernel/sched_rt_period_us", "kernel/sched_rt_runtime_us", "kernel/sem",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/threads-max", "net/core/optmem_max",
	"net/core/rmem_default", "net/core/rmem_max", "net/core/somaxconn", "net/core/wmem_default", "net/core/wmem_max",
	"net/ipv4/icmp_echo_ignore_all", "net/ipv4/icmp_echo_ignore_broadcasts",
	"net/ipv4/ip_default_ttl", "net/ipv4/ip_forward", "net/ipv4/ip_local_port_range", "net/ipv4/ip_nonlocal_bind",
	"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ipfrag_high_thresh", "net/ipv4/ipfrag_time",
	"net/ipv4/ping_group_range", "net/ipv4/tcp_ecn", "net/ipv4/tcp_fin_timeout", "net/ipv4/tcp_keepalive_intvl",
	"net/ipv4/tcp_keepalive_probes", "net/ipv4/tcp_keepalive_time", "net/ipv4/tcp_max_orphans",
	"net/ipv4/tcp_max_syn_backlog", "net/ipv4/tcp_max_tw_buckets", "net/ipv4/tcp_mem", "net/ipv4/tcp_orphan_retries",
	"net/ipv4/tcp_retries2", "net/ipv4/tcp_sack", "net/ipv4/tcp_syn_retries", "net/ipv4/tcp_synack_retries",
	"net/ipv4/tcp_syncookies", "net/ipv4/tcp_timestamps", "net/ipv4/tcp_window_scaling", "net/ipv4/udp_mem",
	"net/ipv6/bindv6only", "net/ipv6/ip6frag_high_thresh", "net/ipv6/ip6frag_time",
	"net/netfilter/nf_conntrack_acct", "net/netfilter/nf_conntrack_checksum", "net/netfilter/nf_conntrack_events",
	"net/netfilter/nf_conntrack_generic_timeout", "net/netfilter/nf_conntrack_icmp_timeout",
	"net/netfilter/nf_conntrack_icmpv6_timeout", "net/netfilter/nf_conntrack_max",
	"net/netfilter/nf_conntrack_tcp_be_liberal", "net/netfilter/nf_conntrack_tcp_ignore_invalid_rst",
	"net/netfilter/nf_conntrack_tcp_loose", "net/netfilter/nf_conntrack_tcp_max_retrans",
	"net/netfilter/nf_conntrack_tcp_timeout_close", "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
	"net/netfilter/nf_conntrack_tcp_timeout_established", "net/netfilter/nf_conntrack_tcp_timeout_fin_wait",
	"net/netfilter/nf_conntrack_tcp_timeout_last_ack", "net/netfilter/nf_conntrack_tcp_timeout_max_retrans",
	"net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "net/netfilter/nf_conntrack_tcp_timeout_syn_sent",
	"net/netfilter/nf_conntrack_tcp_timeout_time_wait", "net/netfilter/nf_conntrack_tcp_timeout_unacknowledged",
	"net/netfilter/nf_conntrack_timestamp", "net/netfilter/nf_conntrack_udp_timeout",
	"net/netfilter/nf_conntrack_udp_timeout_stream", "net/nf_conntrack_max", "user/max_cgroup_namespaces",
	"user/max_ipc_namespaces", "user/max_mnt_namespaces", "user/max_net_namespaces", "user/max_pid_namespaces",
	"user/max_time_namespaces", "user/max_user_namespaces", "user/max_uts_namespaces", "vm/admin_reserve_kbytes",
	"vm/dirty_background_ratio", "vm/dirty_expire_centisecs", "vm/dirty_ratio", "vm/dirty_writeback_centisecs",
	"vm/enable_soft_offline", "vm/hugetlb_shm_group", "vm/legacy_va_layout", "vm/max_map_count",
	"vm/memory_failure_early_kill", "vm/memory_failure_recovery", "vm/mmap_min_addr", "vm/nr_overcommit_hugepages",
	"vm/overcommit_kbytes", "vm/overcommit_memory", "vm/overcommit_ratio", "vm/unprivileged_userfaultfd",
	"vm/user_reserve_kbytes", "net/ipv4/conf/all/accept_redirects", "net/ipv4/conf/all/arp_notify",
	"net/ipv4/conf/all/forwarding", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/rp_filter",
	"net/ipv4/conf/all/send_redirects", "net/ipv6/conf/all/accept_dad", "net/ipv6/conf/all/accept_ra",
	"net/ipv6/conf/all/accept_redirects", "net/ipv6/conf/all/autoconf", "net/ipv6/conf/all/dad_transmits",
	"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/hop_limit",
	"net/ipv6/conf/all/router_solicitations",
};

struct text {
	const char *name, *bytes;
	size_t length;
};

#define TEXT(bytes) { #bytes, bytes, sizeof bytes - 1 }
static char long_number[300], long_blank[300], long_line[6000];
static const struct text texts[] = {
	TEXT("0"), TEXT("1"), TEXT("-1"), TEXT("2147483647"), TEXT("2147483648"), TEXT("4294967296"), TEXT("4294967297"),
	TEXT("9223372036854775807"), TEXT("18446744073709551616"), TEXT("-2147483648"),
	TEXT("-2147483649"), TEXT("text"), TEXT("1x"), TEXT(""), TEXT("\n"), TEXT(" "), TEXT(" 1\n"), TEXT("1 2"), TEXT("1,2"),
	TEXT("1\0"), TEXT("0x10"), TEXT("010"), TEXT("+1"), TEXT("- 1"), TEXT("1\n2\n"), TEXT("2 1 3 4 5 6"),
	{ "300 zeros", long_number, sizeof long_number },
	{ "300 blanks and 1", long_blank, sizeof long_blank },
	{ "6000 bytes", long_line, sizeof long_line },
};

static ssize_t get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n;
}

static ssize_t put(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, length);
	int error = errno;
	close(fd);
	errno = error;
	return n;
}

/* Of a row that depends on the machine's memory, only the first number is shown. */
static void show(const char *name, const char *text)
{
	int is_short = strstr(name, "_mem") != 0;
	putchar('\'');
	for (; *text && !(is_short && *text == '\t'); text++)
		putchar(*text == '\t' ? ' ' : *text == '\n' ? '|' : *text);
	putchar('\'');
}

static void write_all(const char *name)
{
	char path[100], before[300], now[300], last[300];
	struct stat status;
	snprintf(path, sizeof path, "/proc/sys/%s", name);
	if (stat(path, &status) < 0) {
		printf("%s: %s\n", name, error_name(errno));
		return;
	}
	printf("%s: mode %o\n", name, status.st_mode);
	ssize_t length = get(path, before, sizeof before);
	if (length < 0) {
		printf("  read: %s\n", error_name(errno));
		return;
	}
	ssize_t back = put(path, before, (size_t)length);
	printf("  back: %s", back < 0 ? error_name(errno) : back == length ? "whole" : "in part");
	get(path, now, sizeof now);
	puts(strcmp(before, now) == 0 ? "" : ", changed");
	if (back < 0)
		return;
	strcpy(last, before);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		ssize_t n = put(path, texts[i].bytes, texts[i].length);
		if (n < 0)
			printf("  %s: %s", texts[i].name, error_name(errno));
		else
			printf("  %s: %zd", texts[i].name, n);
		if (get(path, now, sizeof now) < 0)
			printf(" (read: %s)", error_name(errno));
		if (strcmp(now, last) != 0) {
			putchar(' ');
			show(name, now);
			put(path, before, (size_t)length);
			get(path, last, sizeof last);
			if (strcmp(last, before) != 0)
				printf(" (not set back)");
		}
		putchar('\n');
	}
}

int main(void)
{
	memset(long_number, '0', sizeof long_number);
	memset(long_blank, ' ', sizeof long_blank);
	long_blank[sizeof long_blank - 1] = '1';
	memset(long_line, ' ', sizeof long_line);
	long_line[0] = '1';
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		write_all(files[i]);
	return 0;
}
