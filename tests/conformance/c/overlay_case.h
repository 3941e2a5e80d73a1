/* What the cases of overlays share: layers to begin with, and ways to show trees. */
#ifndef OVERLAY_CASE_H
#define OVERLAY_CASE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "case.h"
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define BASE "/tmp/ov"
#define WORK BASE "/w"
#define UPPER BASE "/u"
#define LOWER BASE "/l"
#define MIDDLE BASE "/m"
#define TOP BASE "/t"

static inline int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static inline void show_attributes(const char *path, const char *indent)
{
	char names[2000], value[400];
	ssize_t size = llistxattr(path, names, sizeof names);
	char *found[50];
	int count = 0;
	for (ssize_t at = 0; at < size && count < 50; at += (ssize_t)strlen(names + at) + 1)
		found[count++] = names + at;
	qsort(found, (size_t)count, sizeof *found, by_name);
	for (int i = 0; i < count; i++) {
		if (strstr(found[i], ".origin") || strstr(found[i], ".impure") || strstr(found[i], ".uuid") ||
			!strncmp(found[i], "security.selinux", 16))
			continue;
		ssize_t length = lgetxattr(path, found[i], value, sizeof value);
		printf("%s  %s =", indent, found[i]);
		for (ssize_t j = 0; j < length; j++)
			printf(value[j] > 32 && value[j] < 127 ? "%c" : "\\%02x", (unsigned char)value[j]);
		printf("\n");
	}
}

/* A tree with what matters of each file: sorted, without numbers that differ. */
static inline void show_tree_at(const char *path, const char *name, int depth)
{
	char indent[40], text[300];
	struct stat st;
	snprintf(indent, sizeof indent, "%*s", depth * 2, "");
	if (lstat(path, &st) == -1) {
		printf("%s%s: %s\n", indent, name, error_name(errno));
		return;
	}
	printf("%s%s %o %d:%d", indent, *name == '#' ? "#" : name, st.st_mode, st.st_uid, st.st_gid);
	if (S_ISREG(st.st_mode)) {
		int fd = open(path, O_RDONLY);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		int error = errno;
		if (fd >= 0)
			close(fd);
		text[got < 0 ? 0 : got > 30 ? 30 : got] = 0;
		printf(" links %d size %lld \"%s\"%s", (int)st.st_nlink, (long long)st.st_size, text, got < 0 ? error_name(error) : "");
	} else if (S_ISLNK(st.st_mode)) {
		ssize_t got = readlink(path, text, sizeof text - 1);
		text[got < 0 ? 0 : got] = 0;
		printf(" -> %s", text);
	} else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		printf(" device %d:%d", (int)major(st.st_rdev), (int)minor(st.st_rdev));
	}
	printf(" time %lld\n", (long long)(st.st_mtime < 1000000000 ? st.st_mtime : 0));
	show_attributes(path, indent);
	if (!S_ISDIR(st.st_mode))
		return;
	DIR *dir = opendir(path);
	if (!dir) {
		printf("%s  unreadable: %s\n", indent, error_name(errno));
		return;
	}
	char *found[300];
	int count = 0;
	for (struct dirent *entry; (entry = readdir(dir)) && count < 300;)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			found[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(found, (size_t)count, sizeof *found, by_name);
	for (int i = 0; i < count; i++) {
		char inner[500];
		snprintf(inner, sizeof inner, "%s/%s", path, found[i]);
		show_tree_at(inner, found[i], depth + 1);
		free(found[i]);
	}
}

static inline void show_tree(const char *path) { show_tree_at(path, path, 0); }

static inline void age(const char *path, time_t seconds)
{
	struct timespec times[2] = {{seconds, 5}, {seconds + 1, 7}};
	MUST(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

/* Directories for layers, on a tmpfs, or on ext2 on /dev/vda. */
static inline void begin_layers(int on_disk)
{
	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir(BASE, 0755);
	umask(0);
	if (on_disk) {
		if (system("mke2fs -F -I 256 /dev/vda >/dev/null 2>&1"))
			exit(98);
		MUST(mount("/dev/vda", BASE, "ext2", 0, NULL));
	} else {
		MUST(mount("tmpfs", BASE, "tmpfs", 0, "mode=755"));
	}
	const char *names[] = {WORK, UPPER, LOWER, MIDDLE, TOP};
	for (int i = 0; i < 5; i++)
		MUST(mkdir(names[i], 0755));
}

static inline void end_layers(void)
{
	while (umount2(TOP, MNT_DETACH) == 0)
		;
	MUST(umount2(BASE, 0));
}

/* Some files of each kind. */
static inline void fill(const char *at)
{
	char here[300];
	MUST(chdir(at));
	put_file("file", "lower file\n", 0644);
	put_file("other", "other\n", 0600);
	put_file("program", "#!/bin/sh\n", 04755);
	MUST(mkdir("dir", 0750));
	put_file("dir/inner", "inner\n", 0640);
	MUST(mkdir("dir/deep", 0700));
	put_file("dir/deep/bottom", "bottom\n", 0644);
	MUST(mkdir("empty", 01777));
	MUST(symlink("file", "link"));
	MUST(mknod("fifo", S_IFIFO | 0622, 0));
	MUST(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	MUST(mknod("disk", S_IFBLK | 0660, makedev(7, 9)));
	MUST(chown("other", 11, 22));
	MUST(lchown("link", 33, 44));
	MUST(chown("dir/deep", 5, 6));
	MUST(setxattr("dir/inner", "user.colour", "blue", 4, 0));
	MUST(setxattr("dir", "user.kind", "box", 3, 0));
	MUST(setxattr("dir", "trusted.secret", "key", 3, 0));
	const char *names[] = {"file", "other", "program", "dir/inner", "dir/deep/bottom", "link", "fifo", "null", "disk",
		"dir/deep", "dir", "empty"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		age(names[i], (time_t)(1000 * (i + 1)));
	MUST(chdir("/"));
	(void)here;
}

#define ALL "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" WORK
#define OVERLAY(options) mount("overlay", TOP, "overlay", 0, options)

/* The options of what is mounted at a place, as mountinfo has them. */
static inline void show_mount(const char *place)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[2000], last[2000] = "none\n";
	while (fgets(line, sizeof line, file)) {
		char *dash = strstr(line, " - "), at[300];
		sscanf(line, "%*s %*s %*s %*s %299s", at);
		if (dash && !strcmp(at, place))
			snprintf(last, sizeof last, "%s %s", at, dash + 3);
	}
	fclose(file);
	printf("%s", last);
}
#endif
