/* What mount(2) and fsconfig(2) take and refuse for an overlay, and what mountinfo shows of it. */
#include "overlay_case.h"

static void attempt(const char *options)
{
	errno = 0;
	long result = OVERLAY(options);
	printf("%s: %s\n", options, result == 0 ? "ok" : error_name(errno));
	if (result == 0) {
		show_mount(TOP);
		umount(TOP);
	}
	/* What a volatile one leaves. */
	remove(WORK "/work/incompat/volatile/dirty");
	rmdir(WORK "/work/incompat/volatile");
	rmdir(WORK "/work/incompat");
}

static void old_way(void)
{
	const char *tried[] = {
		"", "lowerdir=" LOWER, "lowerdir=" LOWER ":" MIDDLE, "lowerdir=" LOWER ":", "lowerdir=:" LOWER,
		"lowerdir=" LOWER "::" MIDDLE, "lowerdir=/nowhere", "lowerdir=" LOWER "/file", "lowerdir=" LOWER ":" LOWER,
		"lowerdir=" LOWER ":" LOWER "/dir", "lowerdir=" LOWER "/dir:" LOWER, "lowerdir=", "lowerdir", "upperdir=" UPPER,
		ALL, "lowerdir=" LOWER ",upperdir=" UPPER, "lowerdir=" LOWER ",workdir=" WORK, "upperdir=" UPPER ",workdir=" WORK,
		"lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" UPPER, "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" UPPER "/in",
		"lowerdir=" LOWER ",upperdir=" UPPER "/in,workdir=" UPPER, "lowerdir=" LOWER ",upperdir=" LOWER ",workdir=" WORK,
		"lowerdir=" BASE ",upperdir=" UPPER ",workdir=" WORK, "lowerdir=" LOWER ",upperdir=/nowhere,workdir=" WORK,
		"lowerdir=" LOWER ",upperdir=" UPPER ",workdir=/nowhere", "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=/proc",
		"lowerdir=" LOWER ",upperdir=" LOWER "/file,workdir=" WORK, "lowerdir=" WORK ",upperdir=" UPPER ",workdir=" WORK,
		"lowerdir=" UPPER ",upperdir=" UPPER ",workdir=" WORK, "lowerdir=" LOWER ",upperdir=/proc,workdir=/proc",
		ALL ",redirect_dir=on", ALL ",redirect_dir=off", ALL ",redirect_dir=follow", ALL ",redirect_dir=nofollow",
		ALL ",redirect_dir=maybe", ALL ",redirect_dir", ALL ",index=off", ALL ",index=maybe", ALL ",nfs_export=off",
		ALL ",metacopy=off", ALL ",verity=off", ALL ",verity=maybe", ALL ",xino=off", ALL ",xino=on", ALL ",xino=auto",
		ALL ",xino=maybe", ALL ",volatile", ALL ",volatile=yes", ALL ",userxattr", ALL ",userxattr,redirect_dir=nofollow",
		ALL ",userxattr,redirect_dir=on", ALL ",userxattr,redirect_dir=follow", ALL ",default_permissions", ALL ",uuid=null",
		ALL ",uuid=off", ALL ",uuid=maybe", ALL ",nonsense", ALL ",nonsense=1", ALL ",,", "lowerdir=" LOWER ",volatile",
		"lowerdir=" LOWER ",xino=on", ALL ",ro", ALL ",lowerdir+=" MIDDLE, "lowerdir+=" LOWER ",lowerdir+=" MIDDLE,
		"lowerdir+=" MIDDLE ",lowerdir=" LOWER, "lowerdir=" MIDDLE ",lowerdir=" LOWER,
		"lowerdir=" BASE "/with\\:colon:" LOWER, "lowerdir=" BASE "/with\\,comma", "lowerdir=" BASE "/with space",
		"lowerdir=" BASE "/with\\\\slash", "lowerdir=" BASE "/missing\\:colon",
	};
	for (size_t i = 0; i < sizeof tried / sizeof *tried; i++)
		attempt(tried[i]);
	TRY(mount("overlay", TOP, "overlay", MS_RDONLY, ALL));
	show_mount(TOP);
	TRY(mount(NULL, TOP, NULL, MS_REMOUNT, "lowerdir=/nowhere,nonsense"));
	show_mount(TOP);
	put_file(TOP "/written", "", 0600);
	TRY(umount(TOP));
	TRY(mount(NULL, TOP, "overlay", MS_NOSUID | MS_NODEV | MS_NOATIME, ALL));
	show_mount(TOP);
	TRY(umount(TOP));
	SHOW(mount("overlay", TOP, "overlay", 0, NULL));
}

static int config(int fs, unsigned command, const char *key, const char *value)
{
	return (int)syscall(431, fs, command, key, value, 0);
}

#define SAY(command, key, value) printf("%s %s: %s\n", key, (const char *)(value) ? (const char *)(value) : "-", \
	config(fs, command, key, value) == 0 ? "ok" : error_name(errno))

static void new_way(void)
{
	int fs = (int)MUST(syscall(430, "overlay", 0));
	SAY(1, "lowerdir+", BASE "/with,comma");
	SAY(1, "lowerdir+", BASE "/with:colon");
	SAY(1, "lowerdir+", LOWER);
	SAY(1, "upperdir", UPPER);
	SAY(1, "workdir", WORK);
	SAY(0, "userxattr", NULL);
	SAY(1, "source", "mine");
	SHOW(config(fs, 6, NULL, NULL));
	int mounted = (int)MUST(syscall(432, fs, 0, 0));
	TRY(syscall(429, mounted, "", AT_FDCWD, TOP, 4));
	show_mount(TOP);
	close(mounted);
	close(fs);
	put_file(TOP "/made", "made\n", 0600);
	show_tree(UPPER);
	TRY(umount(TOP));
	fs = (int)MUST(syscall(430, "overlay", 0));
	SHOW(config(fs, 6, NULL, NULL));
	close(fs);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	begin_layers(0);
	put_file(LOWER "/file", "x", 0644);
	MUST(mkdir(LOWER "/dir", 0755));
	MUST(mkdir(UPPER "/in", 0755));
	MUST(mkdir(BASE "/with:colon", 0755));
	MUST(mkdir(BASE "/with,comma", 0755));
	MUST(mkdir(BASE "/with space", 0755));
	MUST(mkdir(BASE "/with\\slash", 0755));
	old_way();
	new_way();
	end_layers();
	return 0;
}
