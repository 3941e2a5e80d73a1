/*
 * Covers: mount(2) of ext2 on a disk: options one after the other, what /proc/mounts shows of them, again with MS_REMOUNT; features that are not
 * known, read-only and writable; a type that does not fit.
 */
#define _GNU_SOURCE
#include "case.h"
#include <sys/mount.h>

#define DISK "/dev/vda"
#define AT "/tmp/options"

static const char *const options[] = {
	"defaults", "acl", "noacl", "user_xattr", "nouser_xattr", "bsddf", "minixdf", "check=none", "nocheck", "debug", "errors=continue", "errors=remount-ro",
	"errors=panic", "errors=", "errors", "errors=never", "grpid", "bsdgroups", "nogrpid", "sysvgroups", "grpid,nogrpid", "grpquota", "noquota", "quota",
	"usrquota", "nobh", "bh", "nouid32", "oldalloc", "orlov", "resgid=5", "resuid=5", "resuid=5,resgid=6", "resuid=0", "resuid", "resuid=", "resuid=-1",
	"resuid=4294967295", "resuid=4294967296", "resuid=0x10", "resuid=010", "resuid=x", "sb=1", "sb=2", "sb=8193", "sb=x", "sb=", "noload", "norecovery",
	"data=ordered", "data=writeback", "data=journal", "data=x", "commit=7", "commit=0", "commit=-1", "barrier", "barrier=0", "barrier=1", "nobarrier",
	"delalloc", "nodelalloc", "discard", "nodiscard", "stripe=4", "inode_readahead_blks=8", "inode_readahead_blks=3", "max_batch_time=5",
	"min_batch_time=5", "journal_ioprio=3", "journal_ioprio=9", "init_itable", "init_itable=5", "noinit_itable", "lazytime", "nolazytime", "i_version",
	"auto_da_alloc", "noauto_da_alloc", "block_validity", "noblock_validity", "nombcache", "no_mbcache", "max_dir_size_kb=4", "prjquota", "abort", "jqfmt=vfsv0",
	"usrjquota=x", "usrjquota=", "dax", "dax=never", "dax=always", "journal_checksum", "journal_async_commit", "journal_dev=1", "dioread_lock",
	"dioread_nolock", "mblk_io_submit", "nomblk_io_submit", "prefetch_block_bitmaps", "no_prefetch_block_bitmaps", "mb_optimize_scan=0", "sync", "dirsync",
	"ro", "rw", "iversion", "mand", "nosuid", "noatime", "context=x", "unknown", "unknown=1", "=", "=x", ",", "acl=1", "minixdf=", "noload=1",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void show(void)
{
	char line[1024];
	FILE *file = fopen("/proc/self/mounts", "r");
	while (fgets(line, sizeof line, file)) {
		char place[256], type[64], shown[512];
		if (sscanf(line, "%*s %255s %63s %511s", place, type, shown) == 3 && !strcmp(place, AT))
			printf(" %s %s", type, shown);
	}
	fclose(file);
	putchar('\n');
}

static int try(const char *type, unsigned long flags, const char *text)
{
	int result = mount(DISK, AT, type, flags, text);
	printf("%s %s: %s", type ? type : "again", text, result ? error_name(errno) : "ok");
	if (result)
		putchar('\n');
	else
		show();
	return result;
}

static void all(const char *type, unsigned long flags)
{
	printf("== %s %#lx\n", type, flags);
	for (unsigned i = 0; i < COUNT(options); i++) {
		if (try(type, flags, options[i]) == 0)
			MUST(umount(AT));
	}
}

static void again(void)
{
	puts("== remounted");
	for (unsigned i = 0; i < COUNT(options); i++) {
		MUST(mount(DISK, AT, "ext2", 0, ""));
		try(NULL, MS_REMOUNT, options[i]);
		MUST(umount(AT));
	}
	MUST(mount(DISK, AT, "ext2", 0, "grpid,minixdf,resuid=7,errors=remount-ro"));
	try(NULL, MS_REMOUNT, "");
	try(NULL, MS_REMOUNT | MS_RDONLY, "bsddf");
	try(NULL, MS_REMOUNT, "errors=continue");
	try(NULL, MS_REMOUNT, "nogrpid,resuid=0");
	MUST(umount(AT));
}

/* A bit of one of the three words of features in the super block. */
static void feature(const char *which, int offset, int bit)
{
	unsigned word, old;
	int fd = (int)MUST(open(DISK, O_RDWR));
	MUST(pread(fd, &old, sizeof old, 1024 + offset));
	word = old | 1u << bit;
	MUST(pwrite(fd, &word, sizeof word, 1024 + offset));
	fsync(fd);
	close(fd);
	printf("%s %d:", which, bit);
	for (int read_only = 0; read_only < 2; read_only++) {
		int result = mount(DISK, AT, "ext2", read_only ? MS_RDONLY : 0, "");
		printf(" %s", result ? error_name(errno) : "ok");
		if (result == 0) {
			if (read_only)
				printf(", writable then %s", mount(DISK, AT, NULL, MS_REMOUNT, "") ? error_name(errno) : "ok");
			MUST(umount(AT));
		}
	}
	putchar('\n');
	fd = (int)MUST(open(DISK, O_RDWR));
	MUST(pwrite(fd, &old, sizeof old, 1024 + offset));
	fsync(fd);
	close(fd);
}

int main(void)
{
	mkdir(AT, 0755);
	if (system("mke2fs -F -b 1024 " DISK " > /dev/null 2>&1"))
		return 99;
	all("ext2", 0);
	all("ext2", MS_RDONLY);
	again();
	puts("== features");
	for (int bit = 16; bit < 32; bit++) {
		feature("compatible", 92, bit);
		feature("incompatible", 96, bit);
		if (bit != 16) /* that of a list of orphans, which Linux serves */
			feature("for reading", 100, bit);
	}
	return 0;
}
