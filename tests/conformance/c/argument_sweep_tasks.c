/* Covers: calls on tasks, signals and times with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(rt_sigaction, "iqpz"), CALL(rt_sigprocmask, "iqpz"), CALL(rt_sigpending, "pz"), CALL(rt_sigtimedwait, "qptz"), CALL(sigaltstack, "qp"),
	CALL(rt_sigqueueinfo, "nip"), CALL(rt_tgsigqueueinfo, "nnip"), CALL(tgkill, "nn0"), CALL(tkill, "n0"), CALL(kill, "n0"),
	CALL(pidfd_open, "ng"), CALL(pidfd_getfd, "fig"), CALL(pidfd_send_signal, "fipg"), CALL(waitid, "inpgp"), CALL(wait4, "npgp"),
	CALL(sched_setscheduler, "0ip"), CALL(sched_getscheduler, "n"), CALL(sched_setparam, "0p"), CALL(sched_getparam, "np"),
	CALL(sched_setattr, "0pg"), CALL(sched_getattr, "npzg"), CALL(sched_get_priority_max, "i"), CALL(sched_get_priority_min, "i"),
	CALL(sched_rr_get_interval, "np"), CALL(sched_setaffinity, "0zq"), CALL(sched_getaffinity, "nzp"), CALL(getpriority, "in"),
	CALL(setpriority, "i0i"), CALL(ioprio_get, "in"), CALL(ioprio_set, "i0i"), CALL(getrlimit, "ip"), CALL(prlimit64, "ni0p"),
	CALL(getrusage, "ip"), CALL(clock_getres, "ip"), CALL(clock_gettime, "ip"), CALL(clock_nanosleep, "cgtp"), CALL(nanosleep, "tp"),
	CALL(gettimeofday, "pp"), CALL(getitimer, "ip"), CALL(setitimer, "iqp"), CALL(timer_create, "ipp"), CALL(timer_settime, "igqp"),
	CALL(timer_gettime, "ip"), CALL(timer_getoverrun, "i"), CALL(timer_delete, "i"), CALL(futex, "piitpi"), CALL(futex_wake, "pzig"),
	CALL(futex_wait, "pzzgti"), CALL(futex_waitv, "qigti"), CALL(futex_requeue, "qgii"), CALL(poll, "qn0"), CALL(ppoll, "qntpz"),
	CALL(pselect6, "ipppt"), CALL(getrandom, "pzg"), CALL(personality, "z"), CALL(prctl, "iiiii"), CALL(arch_prctl, "ip"), CALL(kcmp, "00iii"),
	CALL(capget, "qp"), CALL(capset, "qq"), CALL(setns, "fg"), CALL(unshare, "g"), CALL(sethostname, "qz"), CALL(setdomainname, "qz"),
	CALL(uname, "p"), CALL(sysinfo, "p"),
};

int main(void)
{
	MUST(unshare(CLONE_NEWUTS));
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
