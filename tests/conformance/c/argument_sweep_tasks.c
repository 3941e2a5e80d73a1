/* Covers: calls on memory, tasks, signals and times with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(mprotect, "azg"), CALL(madvise, "azi"), CALL(msync, "azg"), CALL(mincore, "azp"), CALL(mlock, "az"), CALL(mlock2, "azg"),
	CALL(munlock, "az"), CALL(mlockall, "g"), CALL(mbind, "aziqzg"), CALL(set_mempolicy, "iqz"), CALL(get_mempolicy, "ppzag"),
	CALL(set_mempolicy_home_node, "azig"), CALL(migrate_pages, "izqq"), CALL(move_pages, "0zqqpg"), CALL(remap_file_pages, "azizg"), CALL(mseal, "0zg"),
	CALL(pkey_alloc, "gg"), CALL(pkey_free, "i"), CALL(pkey_mprotect, "azgi"), CALL(process_madvise, "fq1ig"), CALL(process_vm_readv, "iqnqng"),
	CALL(process_mrelease, "fg"), CALL(membarrier, "igi"), CALL(getcpu, "ppp"), CALL(setregid, "uu"), CALL(setreuid, "uu"), CALL(setresuid, "uuu"),
	CALL(setresgid, "uuu"), CALL(getresuid, "ppp"), CALL(getresgid, "ppp"), CALL(setgroups, "iq"), CALL(getgroups, "ip"), CALL(setfsuid, "u"),
	CALL(setfsgid, "u"), CALL(modify_ldt, "ipz"), CALL(set_robust_list, "pz"), CALL(get_robust_list, "0pp"),
	CALL(rt_sigaction, "iqpz"), CALL(rt_sigprocmask, "iqpz"), CALL(rt_sigpending, "pz"), CALL(rt_sigtimedwait, "qptz"), CALL(sigaltstack, "qp"),
	CALL(rt_sigqueueinfo, "nip"), CALL(rt_tgsigqueueinfo, "nnip"), CALL(tgkill, "nn0"), CALL(tkill, "n0"), CALL(kill, "n0"),
	CALL(pidfd_open, "ng"), CALL(pidfd_getfd, "fig"), CALL(pidfd_send_signal, "fipg"), CALL(waitid, "inpgp"), CALL(wait4, "npgp"),
	CALL(sched_setscheduler, "0ip"), CALL(sched_getscheduler, "n"), CALL(sched_setparam, "0p"), CALL(sched_getparam, "np"), CALL(sched_setattr, "0pg"),
	CALL(sched_getattr, "npzg"), CALL(sched_get_priority_max, "i"), CALL(sched_get_priority_min, "i"), CALL(sched_rr_get_interval, "np"),
	CALL(sched_setaffinity, "0zq"), CALL(sched_getaffinity, "nzp"), CALL(getpriority, "in"), CALL(setpriority, "i0i"), CALL(ioprio_get, "in"),
	CALL(ioprio_set, "i0i"), CALL(getrlimit, "ip"), CALL(prlimit64, "ni0p"), CALL(getrusage, "ip"), 
	CALL(clock_getres, "ip"), CALL(clock_gettime, "ip"), CALL(clock_nanosleep, "igtp"), CALL(nanosleep, "tp"),
	CALL(gettimeofday, "pp"), CALL(getitimer, "ip"), CALL(setitimer, "iqp"),
	CALL(timer_create, "ipp"), CALL(timer_settime, "igqp"), CALL(timer_gettime, "ip"), CALL(timer_getoverrun, "i"), CALL(timer_delete, "i"),
	CALL(futex, "piitpi"), CALL(futex_wake, "pzig"), CALL(futex_wait, "pzzgti"), CALL(futex_waitv, "qigti"), CALL(futex_requeue, "qgii"),
	CALL(poll, "qn0"), CALL(ppoll, "qntpz"), CALL(pselect6, "ipppt"), CALL(getrandom, "pzg"), CALL(personality, "z"),
	CALL(prctl, "iiiii"), CALL(arch_prctl, "ip"), CALL(kcmp, "00iii"), CALL(capget, "qp"), CALL(capset, "qq"),
	CALL(setns, "fg"), CALL(unshare, "g"), CALL(sethostname, "qz"), CALL(setdomainname, "qz"), CALL(uname, "p"), CALL(sysinfo, "p"), 
	CALL(setpgid, "nn"), CALL(getpgid, "n"), CALL(getsid, "n"), CALL(lsm_get_self_attr, "ippg"), CALL(lsm_set_self_attr, "ipzg"),
	CALL(lsm_list_modules, "ppg"), CALL(landlock_create_ruleset, "qzg"), CALL(landlock_add_rule, "fiqg"), CALL(landlock_restrict_self, "fg"),
	CALL(add_key, "ssqzi"), CALL(request_key, "sssi"), CALL(keyctl, "iiiii"), CALL(rseq, "pzgi"), CALL(map_shadow_stack, "azg"),
	CALL(mq_open, "sgmq"), CALL(mq_unlink, "s"), CALL(mq_getsetattr, "fqp"), CALL(mq_timedsend, "fqzit"), CALL(mq_timedreceive, "fpzpt"),
	CALL(shmget, "0zg"), CALL(shmat, "iag"), CALL(shmctl, "iip"), CALL(semget, "0ig"), CALL(semop, "iqz"), CALL(semctl, "iiip"), CALL(msgget, "0g"),
	CALL(msgctl, "iip"), CALL(socket, "iii"), CALL(socketpair, "iiip"), CALL(bind, "fqi"),
	CALL(connect, "fqi"), CALL(listen, "fi"), CALL(accept4, "fppg"), CALL(getsockname, "fpp"), CALL(getpeername, "fpp"), CALL(shutdown, "fi"),
	CALL(sendto, "fqzgqi"), CALL(recvfrom, "fpzgpp"), CALL(sendmsg, "fqg"), CALL(recvmsg, "fpg"), CALL(sendmmsg, "fqig"), CALL(recvmmsg, "fpigt"),
	CALL(setsockopt, "fiiqi"), CALL(getsockopt, "fiipp"),
};

int main(void)
{
	MUST(unshare(CLONE_NEWIPC | CLONE_NEWUTS));
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
