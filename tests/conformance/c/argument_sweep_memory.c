/* Covers: calls on memory and identities with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(mprotect, "azg"), CALL(madvise, "azi"), CALL(msync, "azg"), CALL(mincore, "azp"), CALL(mlock, "az"), CALL(mlock2, "azg"),
	CALL(munlock, "az"), CALL(mlockall, "g"), CALL(mbind, "aziqzg"), CALL(set_mempolicy, "iqz"), CALL(get_mempolicy, "ppzag"),
	CALL(set_mempolicy_home_node, "azig"), CALL(migrate_pages, "izqq"), CALL(move_pages, "0zqqpg"), CALL(remap_file_pages, "azizg"),
	CALL(mseal, "0zg"), CALL(pkey_alloc, "gg"), CALL(pkey_free, "i"), CALL(pkey_mprotect, "azgi"), CALL(process_madvise, "fq1ig"),
	CALL(process_vm_readv, "iqnqng"), CALL(process_mrelease, "fg"), CALL(membarrier, "igi"), CALL(getcpu, "ppp"), CALL(setregid, "uu"),
	CALL(setreuid, "uu"), CALL(setresuid, "uuu"), CALL(setresgid, "uuu"), CALL(getresuid, "ppp"), CALL(getresgid, "ppp"), CALL(setgroups, "iq"),
	CALL(getgroups, "ip"), CALL(setfsuid, "u"), CALL(setfsgid, "u"), CALL(modify_ldt, "ipz"), CALL(set_robust_list, "pz"),
	CALL(get_robust_list, "0pp"),
};

int main(void)
{
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
