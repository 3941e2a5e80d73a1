/* Covers: calls on sessions, keys, queues and semaphores with arguments at the edges of their types, as root and as another user. */
#include "argument_sweep.h"

static const struct call calls[] = {
	CALL(setpgid, "nn"), CALL(getpgid, "n"), CALL(getsid, "n"), CALL(lsm_get_self_attr, "ippg"), CALL(lsm_set_self_attr, "ipzg"),
	CALL(lsm_list_modules, "ppg"), CALL(landlock_create_ruleset, "qzg"), CALL(landlock_add_rule, "fiqg"), CALL(landlock_restrict_self, "fg"),
	CALL(add_key, "ssqzi"), CALL(request_key, "sssi"), CALL(keyctl, "iiiii"), CALL(rseq, "pzgi"), CALL(map_shadow_stack, "azg"),
	CALL(mq_open, "sgmq"), CALL(mq_unlink, "s"), CALL(mq_getsetattr, "fqp"), CALL(mq_timedsend, "fqzit"), CALL(mq_timedreceive, "fpzpt"),
	CALL(shmget, "0yg"), CALL(shmat, "iag"), CALL(shmctl, "iip"), CALL(semget, "0ig"), CALL(semop, "iqz"), CALL(semctl, "iiip"),
	CALL(msgget, "0g"), CALL(msgctl, "iip"),
};

int main(void)
{
	MUST(unshare(CLONE_NEWIPC));
	sweep_all(calls, sizeof calls / sizeof *calls);
	return 0;
}
