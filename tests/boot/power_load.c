/*
 * A writing load, and a record of what it may rely on: run on a disk that loses power at any moment.
 *
 *     power_load DIRECTORY RECORD_DEVICE SEED SECONDS
 *
 * Workers change files below DIRECTORY. Before each change, and after each fsync, a worker writes what must be found after
 * a power cut from now on to a sector of RECORD_DEVICE of its own, past all caches. So the record can be read from the same
 * disk, and is exactly as old as the disk. The last word on a path counts:
 *
 *     S path id size                 it is there, and holds the first `size` bytes of stream `id`
 *     E path id size id size         one of the two
 *     P path id size                 so much of it at least, and what follows is not known: an append or a cut is under way
 *     L path target                  a symbolic link
 *     D path                         a directory
 *     N path                         nothing has this name
 *     B path                         anything may be: a change is under way
 *
 * Stream `id` is a sequence of lines of 16 bytes with `id` and the line's number, so every byte tells where it belongs.
 * Two more workers change what nobody relies on, as wildly as they can.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RECORDS 8192 /* sectors of a worker */
#define LARGEST 120000
#define NAMES 16

static unsigned long long state;
static int record_fd, worker, records;
static char *record_buffer;
static char stream[LARGEST + 64];

static unsigned pick(unsigned below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(state >> 33) % below;
}

static void die(const char *what)
{
	printf("load: worker %d: %s: %s\n", worker, what, strerror(errno));
	exit(1);
}

static void hex(char *at, unsigned value)
{
	for (int i = 6; i >= 0; i--, value >>= 4)
		at[i] = "0123456789abcdef"[value & 15];
}

static void make_stream(unsigned id, int from, int size)
{
	for (int line = from / 16; line * 16 < size; line++) {
		char *at = stream + line * 16;
		hex(at, id);
		at[7] = ' ';
		hex(at + 8, (unsigned)line);
		at[15] = '\n';
	}
}

static void note(const char *format, ...)
{
	__builtin_va_list arguments;
	if (records == RECORDS)
		exit(0);
	memset(record_buffer, 0, 512);
	__builtin_va_start(arguments, format);
	vsnprintf(record_buffer, 511, format, arguments);
	__builtin_va_end(arguments);
	if (pwrite(record_fd, record_buffer, 512, ((long)worker * RECORDS + records++) * 512) != 512)
		die("record");
}

static void sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || fsync(fd) < 0)
		die(path);
	close(fd);
}

/* Write all or nothing useful: a full disk ends the try. */
static int put(int fd, unsigned id, int from, int size)
{
	make_stream(id, from, size);
	while (from < size) {
		int step = 1 + (int)pick(20000);
		if (step > size - from)
			step = size - from;
		ssize_t done = write(fd, stream + from, (size_t)step);
		if (done <= 0)
			return -1;
		from += (int)done;
	}
	return 0;
}

static int a_size(void)
{
	return pick(4) ? (int)pick(9000) : (int)pick(LARGEST);
}

/* ---- Files: written, appended to, cut off, replaced, removed ---- */

static struct {
	unsigned id;
	int size; /* -1: not there, or unknown */
} known[NAMES];

static unsigned next_id;

static int write_file(const char *path, unsigned id, int size)
{
	note("B %s", path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return -1;
	int failed = put(fd, id, 0, size) || (pick(2) ? fsync(fd) : fdatasync(fd));
	close(fd);
	if (failed)
		return -1;
	note("S %s %u %d", path, id, size);
	return 0;
}

static void files(void)
{
	mkdir("files", 0755);
	sync_directory(".");
	sync_directory("files");
	for (int i = 0; i < NAMES; i++)
		known[i].size = -1;
	for (;;) {
		char path[64], fresh[64];
		int i = (int)pick(NAMES), fd;
		unsigned id = ++next_id;
		int size = a_size();
		sprintf(path, "files/f%d", i);
		sprintf(fresh, "files/new%d", i);
		switch (known[i].size < 0 ? 0 : pick(6)) {
		case 0:
		case 1:
			known[i].size = -1;
			if (write_file(path, id, size) == 0) {
				known[i].id = id;
				known[i].size = size;
			}
			break;
		case 2:
			size = known[i].size + 1 + (int)pick(9000);
			if (size > LARGEST)
				break;
			note("P %s %u %d", path, known[i].id, known[i].size);
			fd = open(path, O_WRONLY | O_APPEND);
			if (fd < 0)
				die(path);
			if (put(fd, known[i].id, known[i].size, size) || fsync(fd)) {
				note("B %s", path);
				size = -1;
			} else {
				note("S %s %u %d", path, known[i].id, size);
			}
			known[i].size = size;
			close(fd);
			break;
		case 3:
			size = (int)pick((unsigned)known[i].size + 1);
			note("P %s %u %d", path, known[i].id, size);
			fd = open(path, O_WRONLY);
			if (fd < 0 || ftruncate(fd, size) || fsync(fd))
				die(path);
			close(fd);
			known[i].size = size;
			note("S %s %u %d", path, known[i].id, size);
			break;
		case 4:
			if (write_file(fresh, id, size))
				break;
			note("E %s %u %d %u %d", path, known[i].id, known[i].size, id, size);
			note("B %s", fresh);
			if (rename(fresh, path))
				die("rename");
			if (pick(2)) {
				sync_directory("files");
				note("S %s %u %d", path, id, size);
				note("N %s", fresh);
				known[i].id = id;
				known[i].size = size;
			} else {
				/* It stays one of the two until somebody asks for more. */
				usleep(pick(30000));
				known[i].size = -1;
			}
			break;
		default:
			note("B %s", path);
			if (unlink(path))
				die("unlink");
			sync_directory("files");
			note("N %s", path);
			known[i].size = -1;
		}
	}
}

/* ---- Trees: fsync of a file deep down holds all that leads to it ---- */

static void trees(void)
{
	mkdir("trees", 0755);
	mkdir("moved", 0755);
	sync_directory(".");
	for (unsigned i = 0;; i++) {
		char a[32], b[48], file[64], link_name[64], moved[32];
		int size = a_size();
		sprintf(a, "trees/t%u", i % 20);
		sprintf(moved, "moved/t%u", i % 20);
		sprintf(b, "%s/deep", a);
		sprintf(file, "%s/file", b);
		sprintf(link_name, "%s/link", b);
		note("B %s", a);
		note("B %s", b);
		if (mkdir(a, 0755) || mkdir(b, 0755))
			goto clean;
		if (write_file(file, i, size))
			goto clean;
		note("D %s", b);
		note("B %s", link_name);
		if (symlink(pick(2) ? "short" : "a-target-of-more-than-sixty-bytes-which-does-not-fit-in-the-inode/itself/and/so/on", link_name))
			goto clean;
		sync_directory(b);
		{
			char target[128] = "";
			readlink(link_name, target, 127);
			note("L %s %s", link_name, target);
		}
		if (pick(2)) {
			note("B %s", link_name);
			note("B %s", file);
			note("B %s", b);
			note("B %s", moved);
			if (rename(a, moved))
				die("rename of a tree");
			sync_directory("moved");
			sync_directory("trees");
			note("N %s", a);
			sprintf(file, "%s/deep/file", moved);
			note("S %s %u %d", file, i, size);
			usleep(pick(20000));
			note("B %s", file);
			strcpy(a, moved);
		} else {
			usleep(pick(20000));
		}
	clean:
		sprintf(b, "%s/deep", a);
		sprintf(file, "%s/file", b);
		sprintf(link_name, "%s/link", b);
		note("B %s", link_name);
		note("B %s", file);
		note("B %s", b);
		note("B %s", a);
		unlink(file);
		unlink(link_name);
		rmdir(b);
		rmdir(a);
	}
}

/* ---- Mappings and O_SYNC ---- */

static void mappings(void)
{
	mkdir("mapped", 0755);
	sync_directory(".");
	for (unsigned i = 0;; i++) {
		char path[64];
		int size = 1 + a_size();
		sprintf(path, "mapped/m%u", i % 8);
		note("B %s", path);
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || ftruncate(fd, size))
			goto next;
		if (pick(2)) {
			char *map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			if (map == MAP_FAILED)
				die("mmap");
			make_stream(i, 0, size);
			/* A disk that is full would be SIGBUS: the blocks come from write. */
			if (put(fd, i, 0, size) == 0) {
				memset(map, 'x', (size_t)size);
				memcpy(map, stream, (size_t)size);
				if (msync(map, (size_t)size, MS_SYNC) == 0)
					note("S %s %u %d", path, i, size);
			}
			munmap(map, (size_t)size);
		} else {
			close(fd);
			fd = open(path, O_WRONLY | O_SYNC | O_TRUNC);
			for (int done = 0, step; fd >= 0 && done < size; done += step) {
				step = 1 + (int)pick(12000);
				if (step > size - done)
					step = size - done;
				make_stream(i, done, done + step);
				if (write(fd, stream + done, (size_t)step) != step)
					break;
				note(done + step < size ? "P %s %u %d" : "S %s %u %d", path, i, done + step);
			}
		}
	next:
		close(fd);
		usleep(pick(20000));
	}
}

/* ---- Hard links ---- */

static void links(void)
{
	mkdir("links", 0755);
	mkdir("links/other", 0755);
	sync_directory("links");
	sync_directory(".");
	for (unsigned i = 0;; i++) {
		char first[64], second[64];
		int size = a_size();
		sprintf(first, "links/a%u", i % 12);
		sprintf(second, "links/other/b%u", i % 12);
		note("B %s", first);
		note("B %s", second);
		unlink(first);
		unlink(second);
		if (write_file(first, i, size))
			continue;
		if (link(first, second))
			continue;
		sync_directory("links/other");
		note("S %s %u %d", second, i, size);
		note("B %s", first);
		unlink(first);
		if (pick(2)) {
			sync_directory("links");
			note("N %s", first);
		}
	}
}

/* ---- What nobody relies on ---- */

static void churn(void)
{
	char top[32], path[96], other[96];
	sprintf(top, "churn%d", worker);
	mkdir(top, 0755);
	for (;;) {
		int fd, directory = (int)pick(3);
		if (directory == 2)
			sprintf(path, "%s/n%u", top, pick(20));
		else
			sprintf(path, "%s/d%d/n%u", top, directory, pick(20));
		sprintf(other, "%s/d%u/n%u", top, pick(2), pick(20));
		switch (pick(12)) {
		case 0:
		case 1:
		case 2:
			fd = open(path, O_WRONLY | O_CREAT | (pick(2) ? O_TRUNC : 0), 0644);
			lseek(fd, pick(3) ? 0 : pick(400000), SEEK_SET);
			put(fd, 0xbad, 0, a_size());
			close(fd);
			break;
		case 3:
			mkdir(path, 0755);
			break;
		case 4:
			sprintf(path, "%s/d%u", top, pick(2));
			mkdir(path, 0755);
			break;
		case 5:
			rmdir(path);
			unlink(path);
			break;
		case 6:
			rename(path, other);
			break;
		case 7:
			link(path, other);
			break;
		case 8:
			symlink(pick(2) ? "somewhere" : "a/long/way/to/somewhere/that/is/not/there/and/never/was/in/all/the/time", path);
			break;
		case 9:
			truncate(path, pick(2) ? pick(5000) : pick(300000));
			break;
		case 10:
			mknod(path, S_IFIFO | 0600, 0);
			break;
		default:
			fd = open(path, O_RDWR);
			if (fd >= 0) {
				unlink(path);
				put(fd, 0xbad, 0, a_size());
				fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pick(9000), pick(60000));
				close(fd);
			}
		}
		if (pick(100) == 0)
			sync();
	}
}

int main(int count, char **arguments)
{
	static void (*const jobs[])(void) = { files, trees, mappings, links, churn, churn };
	if (count != 5 || chdir(arguments[1]))
		return 2;
	record_fd = open(arguments[2], O_WRONLY | O_DIRECT);
	if (record_fd < 0 || posix_memalign((void **)&record_buffer, 4096, 4096))
		die(arguments[2]);
	int seconds = atoi(arguments[4]);
	pid_t children[6];
	for (int i = 0; i < 6; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			worker = i;
			state = (unsigned long long)atol(arguments[3]) * 1000 + (unsigned)i;
			pick(2);
			jobs[i]();
		}
	}
	printf("load runs\n");
	fflush(stdout);
	sleep((unsigned)seconds);
	int failed = 0;
	for (int i = 0; i < 6; i++) {
		int status;
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
		failed |= !WIFSIGNALED(status) && status != 0;
	}
	printf("load %s\n", failed ? "failed" : "ended");
	return failed;
}
