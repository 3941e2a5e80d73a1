/* Overlays that share a lower layer, and what must not be gained or lost by a late copy. */
#include "overlay_case.h"
#include <sys/mman.h>

#define SECOND BASE "/t2"

static void *map(const char *path)
{
	int fd = (int)MUST(open(path, O_RDONLY));
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return at;
}

static void show_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[500];
	while (fgets(line, sizeof line, file)) {
		char *at = strstr(line, BASE);
		if (at)
			printf("  maps %s", at);
	}
	fclose(file);
}

static void mappings(void)
{
	MUST(mkdir(SECOND, 0755));
	MUST(mkdir(BASE "/u2", 0755));
	MUST(mkdir(BASE "/w2", 0755));
	MUST(OVERLAY(ALL));
	MUST(mount("overlay", SECOND, "overlay", 0, "lowerdir=" LOWER ",upperdir=" BASE "/u2,workdir=" BASE "/w2"));
	void *first = map(TOP "/file");
	void *second = map(SECOND "/file");
	show_maps();
	SHOW(umount2(TOP, 0));
	munmap(first, 4096);
	SHOW(umount2(TOP, 0));
	SHOW(umount2(SECOND, 0));
	munmap(second, 4096);
	SHOW(umount2(SECOND, 0));
}

static void late_copies(void)
{
	MUST(link(LOWER "/file", LOWER "/again"));
	MUST(link(LOWER "/file", LOWER "/third"));
	MUST(OVERLAY(ALL));
	int a = (int)MUST(open(TOP "/file", O_RDONLY));
	int b = (int)MUST(open(TOP "/again", O_RDONLY));
	MUST(unlink(TOP "/file"));
	SHOW(fchmod(a, 0600));
	put_file(TOP "/file", "new\n", 0644);
	SHOW(fchmod(a, 0600));
	put_file(TOP "/other", "moved\n", 0644);
	MUST(rename(TOP "/other", TOP "/again"));
	SHOW(fchmod(b, 0600));
	close(a);
	close(b);
	struct stat st;
	MUST(stat(TOP "/file", &st));
	printf("new file: %o, %lld bytes\n", st.st_mode, (long long)st.st_size);
	MUST(stat(TOP "/again", &st));
	printf("moved file: %o, %lld bytes\n", st.st_mode, (long long)st.st_size);
	MUST(umount2(TOP, 0));
}

static void set_group(void)
{
	MUST(mkdir(LOWER "/group", 0755));
	MUST(mkdir(LOWER "/group/inner", 0755));
	MUST(chown(LOWER "/group", 0, 77));
	MUST(chmod(LOWER "/group", 02775));
	MUST(OVERLAY(ALL));
	MUST(rmdir(TOP "/group/inner"));
	MUST(mkdir(TOP "/group/inner", 0750));
	struct stat st;
	MUST(stat(TOP "/group/inner", &st));
	printf("made over a whiteout: %o of %d\n", st.st_mode, st.st_gid);
	MUST(umount2(TOP, 0));
}

static void default_list(void)
{
	static const unsigned char list[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0,
		255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255};
	MUST(setxattr(WORK, "system.posix_acl_default", list, sizeof list, 0));
	put_file(LOWER "/shadow", "secret\n", 0640);
	MUST(OVERLAY(ALL));
	close((int)MUST(open(TOP "/shadow", O_WRONLY)));
	SHOW((int)getxattr(UPPER "/shadow", "system.posix_acl_access", NULL, 0));
	SHOW((int)getxattr(WORK "/work", "system.posix_acl_default", NULL, 0));
	MUST(umount2(TOP, 0));
}

static void layers_that_are_none(void)
{
	SHOW(mount("overlay", TOP, "overlay", 0, "lowerdir=/proc:" LOWER));
}

int main(void)
{
	begin_layers(0);
	put_file(LOWER "/file", "lower\n", 0644);
	put_file(LOWER "/other", "other\n", 0644);
	mappings();
	late_copies();
	set_group();
	default_list();
	layers_that_are_none();
	end_layers();
	return 0;
}
