/* Files of control groups, triggers of pressure; and time namespaces. */

static struct { struct value trigger, directory; } group_state;

static const char *const group_names[] = { "cgz", "cgz/a", "cgz/a", "cgz/a", "cgz/b", "cgz/b/c" };

static void put_number(char *text, uint64_t most)
{
	if (is_odd())
		sprintf(text, "%lld", (long long)edge());
	else
		sprintf(text, one_in(4) ? "max" : "%llu", (unsigned long long)pick(most));
}

/* Something for a file of a group: its name, and a text that it mostly takes. */
static const char *a_setting(char *text)
{
	static const char *const signs[] = { "+memory", "-memory", "+cpu", "-cpu", "+io", "-io", "+pids", "-pids", "+cpuset", "-cpuset", "+none" };
	static const char *const dull[] = { "cgroup.events", "cgroup.stat", "memory.stat", "memory.events", "memory.current", "memory.peak", "cpu.stat", "io.stat",
		"pids.current", "cgroup.controllers", "cpu.pressure", "memory.pressure", "io.pressure", "memory.swap.max", "cgroup.threads", "cgroup.type" };
	char number_text[32];
	switch (pick(17)) {
	case 0: case 1:
		put_number(text, 8 << 20);
		return "memory.max";
	case 2:
		put_number(text, 8 << 20);
		return one_in(2) ? "memory.high" : one_in(2) ? "memory.low" : "memory.min";
	case 3:
		sprintf(text, one_in(3) ? "max" : "%d %d", (int)ONE_OF(1000, 2000, 50000, 200000), (int)ONE_OF(10000, 100000, 1000, 999));
		return "cpu.max";
	case 4:
		sprintf(text, "%d", (int)ONE_OF(1, 100, 10000, 0, 10001, -20, 19));
		return one_in(2) ? "cpu.weight" : one_in(2) ? "cpu.weight.nice" : one_in(2) ? "cpu.idle" : "cpu.max.burst";
	case 5: case 6:
		put_number(number_text, one_in(2) ? 100 : 1 << 20);
		sprintf(text, "%d:%d %s=%s", (int)ONE_OF(254, 254, 254, 7), (int)ONE_OF(0, 16, 0, 1),
			(const char *[]){ "rbps", "wbps", "riops", "wiops", "none" }[pick(5)], number_text);
		return "io.max";
	case 7:
		put_number(text, 12);
		return "pids.max";
	case 8: case 9:
		strcpy(text, one_in(4) ? "2 3 4" : "0");
		return one_in(3) ? "cgroup.threads" : "cgroup.procs";
	case 10: case 11:
		strcpy(text, signs[pick(COUNT(signs))]);
		if (one_in(3))
			strcat(text, " "), strcat(text, signs[pick(COUNT(signs))]);
		return "cgroup.subtree_control";
	case 12:
		sprintf(text, "%d", one_in(4) ? 1 : 0);
		return one_in(3) ? "cgroup.kill" : one_in(2) ? "cgroup.freeze" : "memory.oom.group";
	case 13:
		sprintf(text, "%d", (int)ONE_OF(0, 1, 2, 4096, 1 << 20));
		return one_in(2) ? "memory.reclaim" : one_in(2) ? "cgroup.max.depth" : "cgroup.max.descendants";
	case 14:
		strcpy(text, one_in(2) ? "threaded" : "0-3");
		return one_in(2) ? "cgroup.type" : one_in(2) ? "cpuset.cpus" : "cpuset.cpus.partition";
	default:
		put_number(text, 100);
		return dull[pick(COUNT(dull))];
	}
}

static void set_trigger(void)
{
	static const char *const files[] = { "prz/pressure/cpu", "prz/pressure/memory", "prz/pressure/io", "cgz/a/cpu.pressure", "cgz/a/memory.pressure",
		"cgz/b/io.pressure", "cgz/cpu.pressure" };
	char text[100];
	sprintf(text, "%s %lld %lld", one_in(2) ? "some" : "full", (long long)ONE_OF(1, 1000, 50000, 150000, 0), (long long)ONE_OF(500000, 1000000, 2000000, 10000000));
	group_state.trigger = opened(files[pick(COUNT(files))], O_RDWR | O_NONBLOCK, FD_ANY);
	written(group_state.trigger, text);
	if (one_in(8))
		written(group_state.trigger, text);
}

static void begin_groups(void)
{
	group_state.trigger = group_state.directory = N(-1);
	if (one_in(2))
		STEP(SYS_mkdirat, N(-100), N(keep_string("cgz/b/c")), N(0755));
	if (one_in(2))
		set_trigger();
	group_state.directory = opened("cgz/a", O_RDONLY | O_DIRECTORY, FD_DIRECTORY);
}

static void groups_deed(void)
{
	char path[100], text[200] = "";
	const char *group = group_names[pick(COUNT(group_names))], *file;
	struct value fd;
	switch (pick(12)) {
	case 0: set_trigger(); break;
	case 1: {
		struct pollfd wait = { 0, POLLPRI };
		uint64_t at = keep_bytes(&wait, sizeof wait);
		keep_store(STORE_VALUE, at, group_state.trigger, 4);
		STEP(SYS_poll, N(at), N(1), N(pick(20)));
		break;
	}
	case 2:
		sprintf(path, "cgz/%s", (const char *[]){ "a/x", "b/c", "b", "x" }[pick(4)]);
		STEP(one_in(2) ? SYS_mkdirat : SYS_unlinkat, N(-100), N(keep_string(path)), N(one_in(3) ? 0755 : 0x200));
		break;
	case 3: /* memory and processor time, so that limits hold */
		fd = STEP(SYS_mmap, N(0), N(1 << (12 + pick(12))), N(3), N(MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE), N(-1), N(0));
		if (one_in(2))
			STEP(SYS_madvise, fd, N(1 << 20), N(ONE_OF(4, 20, 21, 8)));
		break;
	case 4:
		fd = opened("fz1", O_RDWR | O_CREAT, FD_FILE);
		STEP(SYS_pwrite64, fd, N(place(9000)), N(9000), N(pick(100000)));
		STEP(one_in(2) ? SYS_fsync : SYS_fdatasync, fd);
		break;
	case 5: {
		uint64_t arguments[11] = { 0x200000000ull, 0, 0, 0, 17 }; /* CLONE_INTO_CGROUP */
		uint64_t at = keep_bytes(arguments, sizeof arguments);
		keep_store(STORE_VALUE, at + 80, group_state.directory, 8);
		STEP(SYS_clone3, N(at), N(88));
		break;
	}
	case 6:
		STEP(SYS_unshare, N(0x2000000));
		break;
	default:
		file = a_setting(text);
		sprintf(path, "%s/%s", group, file);
		fd = opened(path, O_RDWR, FD_FILE);
		written(fd, text);
		if (one_in(2))
			STEP(SYS_pread64, fd, N(place(4096)), N(4096), N(one_in(4) ? pick(100) : 0));
		STEP(SYS_close, fd);
	}
}

/* ---- Clocks that are others in a namespace ---- */

static struct value time_directory;

static void begin_times(void)
{
	char text[100];
	if (!one_in(4))
		STEP(SYS_unshare, N(0x80));
	struct value fd = opened("prz/self/timens_offsets", O_RDWR, FD_FILE);
	sprintf(text, "%s %lld %lld", one_in(2) ? "monotonic" : "boottime", (long long)ONE_OF(0, 1, 100, 1000000, -1, -1000, 4611686018ll),
		(long long)ONE_OF(0, 0, 1, 999999999, 1000000000));
	written(fd, text);
	time_directory = opened(one_in(4) ? "prz/self/ns/time" : "prz/self/ns/time_for_children", O_RDONLY, FD_ANY);
}

static void times_deed(void)
{
	struct timespec wait[2] = { { 0, pick(3000000) }, { ONE_OF(0, 0, 100, 1000000, -1), pick(1000000000) } };
	int clock = ONE_OF(1, 1, 7, 7, 4, 6, 0, 9);
	struct value fd;
	uint64_t at;
	switch (pick(10)) {
	case 0: STEP(SYS_setns, time_directory, N(one_in(3) ? 0 : 0x80)); break;
	case 1: STEP(SYS_unshare, N(0x80)); break;
	case 2: STEP(SYS_clone, N(one_in(4) ? 0x80 | 17 : 17), N(0), N(0), N(0), N(0)); break;
	case 3: STEP(SYS_clock_gettime, N(clock), N(place(16))); break;
	case 4:
		at = keep_bytes(wait, sizeof wait);
		STEP(SYS_clock_nanosleep, N(clock), N(pick(2)), N(at + 16 * pick(2)), N(0));
		break;
	case 5:
		fd = STEP(SYS_timerfd_create, N(clock), N(O_NONBLOCK));
		STEP(SYS_timerfd_settime, fd, N(pick(4)), N(keep_bytes(wait, sizeof wait)), N(0));
		STEP(SYS_timerfd_gettime, fd, N(place(32)));
		break;
	case 6: {
		uint64_t id = place(8);
		STEP(SYS_timer_create, N(clock), N(0), N(id));
		STEP(SYS_timer_settime, tagged(LOAD, id), N(pick(2)), N(keep_bytes(wait, sizeof wait)), N(0));
		STEP(SYS_timer_gettime, tagged(LOAD, id), N(place(32)));
		break;
	}
	case 7:
		fd = opened(one_in(2) ? "prz/self/timens_offsets" : one_in(2) ? "prz/uptime" : "prz/self/stat", O_RDONLY, FD_FILE);
		STEP(SYS_read, fd, N(place(512)), N(512));
		break;
	case 8:
		at = keep_bytes(&(uint32_t[2]){ 0, 0 }, 8);
		STEP(SYS_futex, N(at), N(9 | 128 * pick(2)), N(0), N(keep_bytes(wait, sizeof wait) + 16 * pick(2)), N(0), N(-1));
		break;
	default: begin_times();
	}
}
