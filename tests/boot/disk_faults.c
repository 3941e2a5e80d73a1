/*
 * What programs see of a disk that fails now and then. The harness makes the disk fail: a line "@fault WHAT" asks for
 * it, and a line on the standard input says that it is done. WHAT is "none", or an operation (read, write, flush) and a
 * target of which the harness knows the sector:
 *
 *     data:/file:N  indirect:/file  inode:/file  block_bitmap  inode_bitmap  super  any
 *
 * Nothing that is printed depends on the kernel's choices, so that two kernels can be compared.
 */
#include "../conformance/c/case.h"
#include <dirent.h>
#include <elf.h>
#include <setjmp.h>
#include <sys/sendfile.h>
#include <sys/mount.h>

#define DEVICE "/dev/vda"

static char text[300000], back[300000];
static sigjmp_buf out;

static void fault(const char *what)
{
	char line[16];
	printf("@fault %s\n", what);
	fflush(stdout);
	if (fgets(line, sizeof line, stdin) == NULL)
		exit(98);
}

static void heading(const char *what)
{
	printf("-- %s\n", what);
}

static void caught(int number)
{
	siglongjmp(out, number);
}

static char *expected;

static void told(int number, siginfo_t *info, void *context)
{
	printf("signal %d, code %d, %s\n", number, info->si_code, info->si_addr == expected ? "there" : "elsewhere");
	siglongjmp(out, number + !context);
}

static const char *touch(volatile char *place)
{
	int number = sigsetjmp(out, 1);
	if (number != 0)
		return number == SIGBUS ? "SIGBUS" : "SIGSEGV";
	(void)*place;
	return "fine";
}

static void attach(void)
{
	MUST(mount(DEVICE, "/mnt", "ext2", 0, ""));
}

static void detach(void)
{
	MUST(umount("/mnt"));
}

/* Nothing of the disk is in memory afterwards. */
static void again(void)
{
	detach();
	attach();
}

/* The same, and the fault is there before anything could be read ahead. */
static void again_with(const char *what)
{
	detach();
	fault(what);
	attach();
}

static void drop(void)
{
	sync();
	int fd = (int)MUST(open("/proc/sys/vm/drop_caches", O_WRONLY));
	MUST(write(fd, "3", 1));
	close(fd);
}

static int matches(long from, long size)
{
	return memcmp(text + from, back + from, (size_t)size) == 0;
}

static void reading(void)
{
	heading("a page that cannot be read");
	int fd = (int)MUST(open("/mnt/file", O_RDONLY));
	fault("read data:/file:5");
	SHOW(pread(fd, back, 4096, 5 * 4096));
	SHOW(pread(fd, back, 65536, 0));
	CHECK(matches(0, 20480));
	SHOW(pread(fd, back + 24576, 65536, 24576));
	CHECK(matches(24576, 65536));
	SHOW(pread(fd, back, 100, 5 * 4096 + 4000));
	SHOW(lseek(fd, 0, SEEK_SET));
	long sum = 0, n, reads = 0;
	while ((n = read(fd, back, 4096)) > 0 && ++reads < 100)
		sum += n;
	show_result("reading in order ends", n, 1);
	printf("behind %ld bytes, at %ld\n", sum, (long)lseek(fd, 0, SEEK_CUR));

	heading("and is mapped");
	char *map = mmap(NULL, 100000, PROT_READ, MAP_SHARED, fd, 0);
	printf("%s %s %s\n", touch(map + 4 * 4096), touch(map + 5 * 4096), touch(map + 6 * 4096));
	CHECK(memcmp(map, text, 20480) == 0);
	int pipes[2];
	MUST(pipe(pipes));
	SHOW(write(pipes[1], map + 5 * 4096, 10));
	SHOW(madvise(map, 100000, MADV_WILLNEED));
	fault("none");
	printf("%s\n", touch(map + 5 * 4096));
	CHECK(memcmp(map, text, 100000) == 0);
	munmap(map, 100000);
	SHOW(pread(fd, back, 65536, 0));
	CHECK(matches(0, 65536));
	close(fd);

	heading("an error once");
	drop();
	fd = (int)MUST(open("/mnt/file", O_RDONLY | O_DIRECT));
	char *aligned;
	posix_memalign((void **)&aligned, 4096, 65536);
	fault("read data:/file:5");
	SHOW(pread(fd, aligned, 4096, 5 * 4096));
	SHOW(pread(fd, aligned, 4096, 4 * 4096));
	fault("none");
	SHOW(pread(fd, aligned, 8192, 5 * 4096));
	CHECK(memcmp(aligned, text + 5 * 4096, 8192) == 0);
	close(fd);

	heading("copies");
	drop();
	fault("read data:/file:5");
	int in = (int)MUST(open("/mnt/file", O_RDONLY)), to = (int)MUST(open("/tmp/copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
	off_t from = 5 * 4096;
	SHOW(sendfile(to, in, &from, 4096));
	loff_t start = 5 * 4096;
	SHOW(copy_file_range(in, &start, to, NULL, 4096, 0));
	int beside = (int)MUST(open("/mnt/copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
	SHOW(copy_file_range(in, &start, beside, NULL, 4096, 0));
	close(beside);
	start = 5 * 4096;
	SHOW(splice(in, &start, pipes[1], NULL, 4096, 0));
	fault("none");
	close(in);
	close(to);
}

static void programs(void)
{
	heading("a program that cannot be read");
	again();
	fault("read data:/program:0");
	IN_CHILD(execl("/mnt/program", "program", "true", NULL); printf("%s\n", error_name(errno)));
	fault("none");
	IN_CHILD(execl("/mnt/program", "program", "true", NULL); printf("%s\n", error_name(errno)));
	again();
	fault("read data:/script:0");
	IN_CHILD(execl("/mnt/script", "script", NULL); printf("%s\n", error_name(errno)));
	fault("none");
}

/* The number of the page of a program's file in which it begins to run. */
static long first_page(const char *name)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;
	int fd = (int)MUST(open(name, O_RDONLY));
	MUST(pread(fd, &head, sizeof head, 0));
	for (int i = 0; i < head.e_phnum; i++) {
		MUST(pread(fd, &part, sizeof part, (off_t)(head.e_phoff + (unsigned long)i * sizeof part)));
		if (part.p_type == PT_LOAD && head.e_entry - part.p_vaddr < part.p_filesz)
			break;
	}
	close(fd);
	return (long)(head.e_entry - part.p_vaddr + part.p_offset) / 4096;
}

static void running(void)
{
	char target[64];
	heading("a page of a running program that cannot be read");
	snprintf(target, sizeof target, "read data:/program:%ld", first_page("/mnt/program"));
	again();
	fault(target);
	IN_CHILD(execl("/mnt/program", "program", "true", NULL); printf("%s\n", error_name(errno)));
	again_with("none");
	IN_CHILD(execl("/mnt/program", "program", "true", NULL); printf("%s\n", error_name(errno)));
	heading("and one that is called");
	int fd = (int)MUST(open("/mnt/file", O_RDONLY));
	char *map = mmap(NULL, 100000, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	fault("read data:/file:7");
	struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
	sigaction(SIGBUS, &action, NULL);
	expected = map + 7 * 4096 + 16;
	if (sigsetjmp(out, 1) == 0)
		((void (*)(void))expected)();
	signal(SIGBUS, caught);
	fault("none");
	munmap(map, 100000);
	close(fd);
}

static void metadata(void)
{
	struct stat status;
	heading("an inode that cannot be read");
	again();
	SHOW(stat("/mnt/file", &status));
	fault("read inode:/far/lonely");
	SHOW(stat("/mnt/far/lonely", &status));
	SHOW(open("/mnt/far/lonely", O_RDONLY));
	fault("none");
	SHOW(stat("/mnt/far/lonely", &status));
	heading("a directory that cannot be read");
	again();
	SHOW(stat("/mnt/directory", &status));
	fault("read data:/directory:0");
	SHOW(stat("/mnt/directory/name", &status));
	SHOW(open("/mnt/directory/new", O_CREAT | O_WRONLY, 0644));
	SHOW(mkdir("/mnt/directory/sub", 0755));
	SHOW(unlink("/mnt/directory/name"));
	SHOW(rename("/mnt/directory/name", "/mnt/moved"));
	SHOW(rename("/mnt/file", "/mnt/directory/file"));
	CHECK(rmdir("/mnt/directory") < 0);
	fault("none");
	SHOW(stat("/mnt/directory/name", &status));
	SHOW(stat("/mnt/file", &status));
	heading("pointers that cannot be read");
	again();
	int fd = (int)MUST(open("/mnt/file", O_RDWR));
	fault("read indirect:/file");
	SHOW(pread(fd, back, 4096, 60 * 4096));
	SHOW(pread(fd, back, 4096, 4096));
	SHOW(pwrite(fd, text + 60 * 4096, 100, 60 * 4096));
	fault("none");
	SHOW(pread(fd, back + 60 * 4096, 4096, 60 * 4096));
	CHECK(matches(60 * 4096, 4096));
	close(fd);
	heading("bitmaps that cannot be read");
	again_with("read inode_bitmap");
	/* Linux passes the group over, for as long as the file system is mounted, and so the disk is full. */
	CHECK(open("/mnt/unborn", O_CREAT | O_WRONLY, 0644) < 0);
	CHECK(mkdir("/mnt/unborn2", 0755) < 0);
	fault("none");
	again_with("read block_bitmap");
	fd = (int)MUST(open("/mnt/grows", O_RDWR));
	SHOW(pwrite(fd, text, 4096, 110000));
	SHOW(pread(fd, back, 100, 0));
	close(fd);
	fault("none");
	again();
	fd = (int)MUST(open("/mnt/grows", O_RDWR));
	SHOW(pwrite(fd, text, 4096, 110000));
	SHOW(fsync(fd));
	close(fd);
	heading("a super block that cannot be read");
	detach();
	fault("read super");
	SHOW(mount(DEVICE, "/mnt", "ext2", 0, ""));
	SHOW(mount(DEVICE, "/mnt", "ext4", MS_RDONLY, ""));
	fault("none");
	attach();
}

static void writing(void)
{
	heading("a page that cannot be written");
	int fd = (int)MUST(open("/mnt/target", O_RDWR)), other = (int)MUST(open("/mnt/target", O_RDWR));
	int bystander = (int)MUST(open("/mnt/file", O_RDWR));
	fault("write data:/target:3");
	SHOW(pwrite(fd, text, 40960, 0));
	SHOW(pwrite(bystander, text, 4096, 0));
	SHOW(fsync(bystander));
	SHOW(fsync(fd));
	SHOW(fsync(fd));
	SHOW(fdatasync(other));
	SHOW(fdatasync(other));
	int late = (int)MUST(open("/mnt/target", O_RDWR));
	SHOW(fsync(late));
	close(late);
	SHOW(pread(fd, back, 40960, 0));
	CHECK(matches(0, 40960));
	heading("in the background");
	SHOW(pwrite(fd, text + 1, 4096, 3 * 4096));
	sync();
	late = (int)MUST(open("/mnt/target", O_RDWR));
	SHOW(fsync(late));
	SHOW(fsync(fd));
	SHOW(fsync(other));
	SHOW(fsync(fd));
	SHOW(close(late));
	heading("with O_SYNC, O_DIRECT, msync, sync_file_range");
	int sync_fd = (int)MUST(open("/mnt/target", O_RDWR | O_SYNC));
	SHOW(pwrite(sync_fd, text, 4096, 3 * 4096));
	SHOW(pwrite(sync_fd, text, 4096, 4 * 4096));
	int direct = (int)MUST(open("/mnt/target", O_RDWR | O_DIRECT));
	char *aligned;
	posix_memalign((void **)&aligned, 4096, 8192);
	SHOW(pwrite(direct, aligned, 4096, 3 * 4096));
	SHOW(pwrite(direct, aligned, 4096, 5 * 4096));
	char *map = mmap(NULL, 40960, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SHOW(fsync(fd));
	map[3 * 4096] = 1;
	SHOW(msync(map, 40960, MS_SYNC));
	map[2 * 4096] = 1;
	SHOW(msync(map, 3 * 4096, MS_SYNC));
	map[3 * 4096] = 1;
	SHOW(sync_file_range(fd, 0, 40960, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	fault("none");
	heading("and can be again");
	fsync(fd);
	fsync(other);
	SHOW(pwrite(fd, text, 40960, 0));
	SHOW(fsync(fd));
	SHOW(fsync(other));
	SHOW(fsync(sync_fd));
	drop();
	SHOW(pread(fd, back, 40960, 0));
	CHECK(matches(0, 40960));
	munmap(map, 40960);
	close(sync_fd);
	close(direct);
	heading("a flush that fails");
	SHOW(pwrite(fd, text, 4096, 0));
	fault("flush any");
	SHOW(fsync(fd));
	SHOW(pwrite(fd, text, 4096, 4096));
	SHOW(fdatasync(fd));
	fault("none");
	SHOW(fsync(fd));
	heading("an inode that cannot be written");
	int lonely = (int)MUST(open("/mnt/far/lonely", O_RDWR));
	fault("write inode:/far/lonely");
	SHOW(pwrite(lonely, text, 9000, 0));
	SHOW(fsync(lonely));
	SHOW(pwrite(fd, text, 4096, 4096));
	SHOW(fsync(fd));
	fault("none");
	SHOW(pwrite(lonely, text, 9001, 0));
	SHOW(fsync(lonely));
	close(lonely);
	close(fd);
	close(other);
	close(bystander);
	heading("everything fails");
	fd = (int)MUST(open("/mnt/target", O_RDWR));
	fault("write any");
	SHOW(pwrite(fd, text, 40960, 0));
	SHOW(fsync(fd));
	int made = (int)TRY(open("/mnt/made", O_CREAT | O_WRONLY, 0644));
	SHOW(write(made, "text", 4));
	SHOW(fsync(made));
	close(made);
	close(fd);
	fault("none");
	sync();
	SHOW(unlink("/mnt/made"));
	sync();
}

static void unmounting(void)
{
	heading("a super block that cannot be written");
	fault("write super");
	SHOW(umount("/mnt"));
	fault("none");
	SHOW(mount(DEVICE, "/mnt", "ext2", 0, ""));
	fault("write super");
	SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT | MS_RDONLY, ""));
	fault("none");
	SHOW(mount(NULL, "/mnt", NULL, MS_REMOUNT, ""));
	SHOW(umount("/mnt"));
	SHOW(mount(DEVICE, "/mnt", "ext2", 0, ""));
	int fd = (int)MUST(open("/mnt/target", O_RDWR));
	SHOW(pwrite(fd, text, 40960, 0));
	SHOW(fsync(fd));
	close(fd);
	SHOW(umount("/mnt"));
}

static void device(void)
{
	heading("the device itself");
	int fd = (int)MUST(open(DEVICE, O_RDWR));
	fault("read data:/file:5");
	/* The bad block by its number is not the same for everyone: it is looked for. */
	int bad = 0;
	for (long block = 0; block < 4096; block++)
		if (pread(fd, back, 4096, block * 4096) < 0) {
			bad++;
			printf("%s\n", error_name(errno));
		}
	printf("bad blocks: %d\n", bad);
	fault("none");
	close(fd);
}

int main(void)
{
	signal(SIGBUS, caught);
	for (unsigned i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 7 + i / 4096);
	attach();
	int fd = (int)MUST(open("/mnt/file", O_RDONLY));
	SHOW(read(fd, back, sizeof back));
	CHECK(matches(0, sizeof text));
	close(fd);
	again();
	reading();
	programs();
	running();
	metadata();
	writing();
	unmounting();
	device();
	return 0;
}
