/* Covers: calls on attributes, descriptors and mounts with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(fchmod, "fm"), CALL(fchmodat, "dsm"), CALL(fchmodat2, "dsmg"), CALL(fchown, "fuu"), CALL(fchownat, "dsuug"), CALL(utimensat, "dstg"),
	CALL(futimesat, "dst"), CALL(utimes, "st"), CALL(utime, "st"), CALL(name_to_handle_at, "dsppg"), CALL(open_by_handle_at, "dqg"),
	CALL(setxattr, "ssqzg"), CALL(fsetxattr, "fsqzg"), CALL(getxattr, "sspz"), CALL(fgetxattr, "fspz"), CALL(listxattr, "spz"),
	CALL(flistxattr, "fpz"), CALL(removexattr, "ss"), CALL(fremovexattr, "fs"), CALL(chdir, "s"), CALL(fchdir, "f"), CALL(getcwd, "pz"),
	CALL(close_range, "NNg"), CALL(pipe2, "pg"), CALL(eventfd2, "ig"), CALL(epoll_create, "i"), CALL(epoll_create1, "g"), CALL(epoll_ctl, "fifq"),
	CALL(epoll_wait, "fpi0"), CALL(epoll_pwait2, "fpitpz"), CALL(inotify_init1, "g"), CALL(inotify_add_watch, "fsg"), CALL(inotify_rm_watch, "fi"),
	CALL(signalfd4, "fqzg"), CALL(timerfd_create, "ig"), CALL(timerfd_settime, "fgpp"), CALL(timerfd_gettime, "fp"), CALL(memfd_create, "sg"),
	CALL(memfd_secret, "g"), CALL(fanotify_init, "gg"), CALL(fanotify_mark, "fggds"), CALL(quotactl_fd, "fiip"), CALL(cachestat, "fppg"),
	CALL(io_setup, "ip"), CALL(io_destroy, "p"), CALL(io_getevents, "piipt"), CALL(io_submit, "pip"), CALL(io_cancel, "ppp"), CALL(umount2, "sg"),
	CALL(open_tree, "dsg"), CALL(fsopen, "sg"), CALL(fspick, "dsg"), CALL(fsmount, "fgg"), CALL(fsconfig, "fisqi"), CALL(move_mount, "dsdsg"),
	CALL(mount_setattr, "dsgpz"), CALL(statmount, "ppzg"), CALL(listmount, "ppzg"), CALL(chroot, "s"), CALL(acct, "s"), CALL(swapon, "sg"),
	CALL(swapoff, "s"), CALL(pivot_root, "ss"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	int event = (int)MUST(eventfd(0, 0)); /* its inode is that of all such descriptors, and shows what fchmod and fchown did */
	MUST(fchmod(event, 0600));
	MUST(fchown(event, 0, 0));
	return 0;
}
