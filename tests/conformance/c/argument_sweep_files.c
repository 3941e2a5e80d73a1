/* Covers: calls on files and names with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(read, "fpz"), CALL(write, "fqz"), CALL(pread64, "fpzo"), CALL(pwrite64, "fqzo"), CALL(readv, "fqn"), CALL(writev, "fqn"),
	CALL(preadv, "fqnoo"), CALL(pwritev, "fqnoo"), CALL(preadv2, "fq1o0g"), CALL(pwritev2, "fq1o0g"), CALL(lseek, "foi"), CALL(ftruncate, "fo"),
	CALL(truncate, "so"), CALL(fallocate, "fgoo"), CALL(fadvise64, "fooi"), CALL(readahead, "foz"), CALL(sync_file_range, "foog"), CALL(fsync, "f"),
	CALL(fdatasync, "f"), CALL(syncfs, "f"), CALL(copy_file_range, "fqfqzg"), CALL(splice, "fqfqzg"), CALL(tee, "ffzg"), CALL(vmsplice, "fqng"),
	CALL(sendfile, "ffqz"), CALL(dup3, "fNg"), CALL(dup2, "fN"), CALL(fcntl, "fii"), CALL(getdents64, "fpz"), CALL(getdents, "fpz"),
	CALL(fstat, "fp"), CALL(newfstatat, "dspg"), CALL(statx, "dsggp"), CALL(fstatfs, "fp"), CALL(statfs, "sp"), CALL(ustat, "ip"), CALL(access, "si"),
	CALL(faccessat, "dsi"), CALL(faccessat2, "dsig"), CALL(openat, "dsgm"), CALL(openat2, "dsqz"), CALL(creat, "sm"), CALL(mknodat, "dsmi"),
	CALL(mkdirat, "dsm"), CALL(symlinkat, "sds"), CALL(linkat, "dsdsg"), CALL(unlinkat, "dsg"), CALL(renameat2, "dsdsg"), CALL(readlinkat, "dspz"),
	CALL(fchmod, "fm"), CALL(fchmodat, "dsm"), CALL(fchmodat2, "dsmg"), CALL(fchown, "fuu"), CALL(fchownat, "dsuug"), CALL(utimensat, "dstg"),
	CALL(futimesat, "dst"), CALL(utimes, "st"), CALL(utime, "st"), CALL(name_to_handle_at, "dsppg"), CALL(open_by_handle_at, "dqg"),
	CALL(setxattr, "ssqzg"), CALL(fsetxattr, "fsqzg"), CALL(getxattr, "sspz"), CALL(fgetxattr, "fspz"), CALL(listxattr, "spz"), CALL(flistxattr, "fpz"),
	CALL(removexattr, "ss"), CALL(fremovexattr, "fs"), CALL(chdir, "s"), CALL(fchdir, "f"), CALL(getcwd, "pz"), CALL(close_range, "NNg"),
	CALL(pipe2, "pg"), CALL(eventfd2, "ig"), CALL(epoll_create, "i"), CALL(epoll_create1, "g"), CALL(epoll_ctl, "fifq"), CALL(epoll_wait, "fpi0"),
	CALL(epoll_pwait2, "fpitpz"), CALL(inotify_init1, "g"), CALL(inotify_add_watch, "fsg"), CALL(inotify_rm_watch, "fi"), CALL(signalfd4, "fqzg"),
	CALL(timerfd_create, "ig"), CALL(timerfd_settime, "fgpp"), CALL(timerfd_gettime, "fp"), CALL(memfd_create, "sg"), CALL(memfd_secret, "g"),
	CALL(fanotify_init, "gg"), CALL(fanotify_mark, "fggds"), CALL(quotactl_fd, "fiip"), CALL(cachestat, "fppg"), CALL(io_setup, "ip"),
	CALL(io_destroy, "p"), CALL(io_getevents, "piipt"), CALL(io_submit, "pip"), CALL(io_cancel, "ppp"), CALL(umount2, "sg"), CALL(open_tree, "dsg"),
	CALL(fsopen, "sg"), CALL(fspick, "dsg"), CALL(fsmount, "fgg"), CALL(fsconfig, "fisqi"), CALL(move_mount, "dsdsg"), CALL(mount_setattr, "dsgpz"),
	CALL(statmount, "ppzg"), CALL(listmount, "ppzg"), CALL(chroot, "s"), CALL(acct, "s"), CALL(swapon, "sg"), CALL(swapoff, "s"), CALL(pivot_root, "ss"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
