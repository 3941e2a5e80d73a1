/*
 * Calls about memory, and those of System V, of POSIX queues and of keys, with several bad arguments at once: which error wins.
 */
#include "orders_case.h"
#include <sys/uio.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

static void memory(void)
{
	char *m = (char *)MUST(mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)), *hole = m + 8 * PAGE;
	char *s = (char *)MUST(mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	char *odd = m + 1, *top = (char *)-4096L;
	static unsigned char result[64];
	MUST(munmap(hole, PAGE));
	in("");
	static const int flags[] = { 0, 1, 2, 4, 5, 6, 8, 3, 7, -1 };
	for (int i = 0; i < 10; i++) {
		in("flags %d: ", flags[i]);
		C(msync, odd, 1L, flags[i]);
		C(msync, m, -1L, flags[i]);
		C(msync, m, 0L, flags[i]);
		C(msync, hole, 0L, flags[i]);
		C(msync, hole, 1L, flags[i]);
		C(msync, m, 16L * PAGE, flags[i]);
		C(msync, top, 1L, flags[i]);
		C(msync, top, 8192L, flags[i]);
		C(msync, KERNEL, 1L, flags[i]);
		C(mlock2, odd, 0L, flags[i]);
		C(mlock2, hole, 1L, flags[i]);
		C(mlock2, m, -1L, flags[i]);
		C(munlockall);
		C(mlockall, flags[i] & ~7 ? flags[i] : flags[i] == 4 ? 4 : 0);
		C(mremap, odd, (long)PAGE, (long)PAGE, flags[i] & ~1, m);
		C(mremap, m, (long)PAGE, 0L, flags[i] & ~1, m);
		C(mremap, hole, (long)PAGE, (long)PAGE, flags[i] & ~1, m);
		C(mremap, hole, (long)PAGE, -1L, flags[i] & ~1, m);
		C(mremap, hole, 0L, (long)PAGE, flags[i] & ~1, m);
		C(mremap, m, 0L, (long)PAGE, flags[i] & ~1, m);
		C(mremap, m, 0L, (long)PAGE, flags[i] | 1, m);
		C(mremap, m, (long)PAGE, 2L * PAGE, flags[i] | 3, odd);
		C(mremap, m, (long)PAGE, 2L * PAGE, flags[i] | 3, m);
		C(mremap, m, (long)PAGE, 2L * PAGE, flags[i] | 3, top);
		C(mremap, m, -4096L, 2L * PAGE, flags[i] | 3, top);
		C(mremap, top, (long)PAGE, 2L * PAGE, flags[i] | 1, top);
		C(mremap, top, (long)PAGE, (long)PAGE, 0, 0L);
		C(mremap, m + 7 * PAGE, 2L * PAGE, 3L * PAGE, 1, 0L);
		C(mseal, odd, 1L, flags[i] ? flags[i] : 9);
		C(getrandom, hole, 1, flags[i]);
		/* To move nothing to where it is removes it. */
		MUST(mmap(m, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	}
	in("");
	C(mseal, odd, 1L, 0L);
	C(mseal, hole, 1L, 0L);
	C(mseal, m, -1L, 0L);
	C(mseal, odd, 0L, 0L);
	C(mseal, top, 8192L, 0L);
	C(munmap, odd, 1L);
	C(munmap, m, 0L);
	C(munmap, top, 1L);
	C(munmap, top, 8192L);
	C(munmap, m, -1L);
	C(mprotect, odd, 0L, 0x100);
	C(mprotect, m, 0L, 0x100);
	C(mprotect, m, 1L, 0x100);
	C(mprotect, hole, 1L, 0x100);
	C(mprotect, hole, 1L, 1);
	C(mprotect, m, -1L, 0x100);
	C(mprotect, m, 1L, 0x3000000);
	C(mprotect, m, 1L, 0x1000000);
	C(mprotect, m, 1L, 0x2000000);
	C(mprotect, hole, 1L, 0x1000000);
	C(mprotect, top, 1L, 1);
	C(pkey_mprotect, odd, 0L, 0x100, 99);
	C(pkey_mprotect, m, 1L, 1, 99);
	C(pkey_mprotect, hole, 1L, 1, 99);
	C(pkey_alloc, 1, 99);
	C(pkey_alloc, 0, 99);
	C(pkey_free, -1);
	C(pkey_free, 99);
	C(mincore, odd, 1L, BAD);
	C(mincore, m, 1L, BAD);
	C(mincore, hole, 1L, BAD);
	C(mincore, hole, 1L, result);
	C(mincore, hole, 0L, BAD);
	C(mincore, m, -1L, BAD);
	C(mincore, top, 1L, BAD);
	memset(result, 0x77, sizeof result);
	MUST(syscall(SYS_getrandom, m, 1L, 0));
	C(mincore, m, 10L * PAGE, result);
	printf("%x %x\n", result[0], result[9]);
	for (int a = -1; a < 27; a++) {
		if (a == 25)
			continue; /* MADV_COLLAPSE is about huge pages */
		in("advice %d: ", a);
		C(madvise, odd, 0L, a);
		C(madvise, odd, 1L, a);
		C(madvise, m, 0L, a);
		C(madvise, hole, 0L, a);
		C(madvise, hole, 1L, a);
		C(madvise, m, -1L, a);
		C(madvise, top, 1L, a);
		C(madvise, top, 8192L, a);
		C(madvise, KERNEL, 0L, a);
		C(madvise, s, 1L, a);
	}
	in("advice 1000: ");
	C(madvise, m, 0L, 1000);
	C(madvise, odd, 0L, 1000);
	in("");
	MUST(syscall(SYS_madvise, s, 4 * PAGE, 0));
	C(remap_file_pages, s, (long)PAGE, 1, 0L, 0);
	C(remap_file_pages, s, 0L, 0, 0L, 0);
	C(remap_file_pages, m, (long)PAGE, 0, 0L, 0);
	C(remap_file_pages, hole, (long)PAGE, 0, 0L, 0);
	C(remap_file_pages, s, 5L * PAGE, 0, 0L, 0);
	C(remap_file_pages, s, -4096L, 0, 0L, 0);
	C(remap_file_pages, s, (long)PAGE, 0, -1L, 0);
	C(remap_file_pages, s, (long)PAGE, 0, 1L << 51, 0);
	C(remap_file_pages, m, (long)PAGE, 0, 1L << 51, 0);
	C(remap_file_pages, s, 100L, 0, 0L, 0);
	T(brk, -1L);
	C(mbind, odd, 1L, 99, 0L, 0L, 0);
	C(mbind, m, 1L, 99, BAD, 64L, 0);
	C(mbind, m, 1L, 0, BAD, 64L, 8);
	C(mbind, m, 1L, 2, BAD, 64L, 0);
	C(mbind, m, 1L, 2, BAD, 1L << 40, 0);
	C(set_mempolicy, 99, BAD, 64L);
	C(set_mempolicy, 2, BAD, 64L);
	C(set_mempolicy, 2, BAD, 1L << 40);
	C(set_mempolicy, 2, 0L, 0L);
	C(get_mempolicy, BAD, BAD, 64L, 0L, 8);
	C(get_mempolicy, BAD, 0L, 0L, 0L, 0);
	C(get_mempolicy, 0L, BAD, 1024L, 0L, 0);
	C(get_mempolicy, 0L, BAD, 0L, 0L, 0);
	C(get_mempolicy, 0L, 0L, 0L, m, 0);
	C(get_mempolicy, result, 0L, 0L, hole, 2);
	C(set_mempolicy_home_node, m, 1L, 0L, 1);
	C(set_mempolicy_home_node, odd, 1L, 0L, 0);
	C(set_mempolicy_home_node, m, 1L, 99L, 0);
	C(migrate_pages, 0, 1L << 40, BAD, BAD);
	C(migrate_pages, 0, 64L, BAD, BAD);
	C(migrate_pages, NOBODY, 64L, BAD, BAD);
	C(migrate_pages, NOBODY, 64L, result, result);
	C(move_pages, 0, 1L, BAD, BAD, BAD, 8);
	C(move_pages, 0, 1L, BAD, BAD, BAD, 4);
	C(move_pages, NOBODY, 1L, BAD, BAD, BAD, 2);
	C(move_pages, 0, 1L, BAD, 0L, BAD, 2);
	C(move_pages, 0, 0L, BAD, BAD, BAD, 2);
	struct iovec wrong[2] = { { KERNEL, 1 }, { 0, -1UL } }, none[1] = { { 0, 0 } };
	C(process_vm_readv, NOBODY, BAD, 1L, BAD, 1L, 1);
	C(process_vm_readv, NOBODY, BAD, 1L, BAD, 1L, 0);
	C(process_vm_readv, NOBODY, BAD, 1025L, BAD, 1L, 0);
	C(process_vm_readv, NOBODY, wrong, 2L, BAD, 1L, 0);
	C(process_vm_readv, NOBODY, wrong, 1L, BAD, 1L, 0);
	C(process_vm_readv, NOBODY, none, 1L, BAD, 1L, 0);
	C(process_vm_readv, NOBODY, none, 1L, wrong, 2L, 0);
	C(process_vm_readv, NOBODY, none, 0L, BAD, 1025L, 0);
	C(process_vm_writev, NOBODY, wrong, 1L, wrong, 2L, 0);
	C(process_vm_writev, NOBODY, wrong, 1L, wrong, 1L, 0);
	C(process_vm_writev, getpid(), wrong, 1L, wrong, 1L, 0);
	C(userfaultfd, 0x100);
	C(memfd_secret, 1);
	C(shmget, 0, 0L, 0);
	C(shmget, 0, -1L, 0);
	C(shmat, -1, odd, 0);
	C(shmat, 999, odd, 0);
	C(shmdt, odd);
	C(shmdt, m);
	C(shmctl, -1, 2, BAD);
	C(shmctl, 999, 2, BAD);
	C(shmctl, 999, 99, BAD);
	C(shmctl, 999, 1, BAD);
	C(semget, 0, -1, 0);
	C(semop, 999, BAD, 0);
	C(semop, 999, BAD, 501);
	C(semop, -1, BAD, 1);
	C(semop, 999, BAD, 1);
	C(semtimedop, 999, BAD, 1, BAD);
	C(semctl, 999, 0, 99, BAD);
	C(semctl, 999, -1, 12, BAD);
	C(semctl, -1, 0, 12, BAD);
	C(msgsnd, -1, BAD, 0L, 0);
	C(msgsnd, 999, BAD, -1L, 0);
	C(msgsnd, 999, BAD, 1L, 0);
	C(msgrcv, -1, BAD, 1L, 0L, 0);
	C(msgrcv, 999, BAD, -1L, 0L, 0);
	C(msgrcv, 999, BAD, 1L, 0L, 020000);
	C(msgctl, 999, 99, BAD);
	C(msgctl, 999, 1, BAD);
	C(mq_open, BAD, 0x40, 0, BAD);
	C(mq_open, "x", 0x40, 0, BAD);
	C(mq_unlink, BAD);
	C(mq_timedsend, 999, BAD, 1L, 40000, 0L);
	C(mq_timedsend, 999, BAD, 1L, 1, BAD);
	C(mq_timedreceive, 999, BAD, 1L, BAD, BAD);
	C(mq_notify, 999, BAD);
	C(mq_notify, 999, 0L);
	C(mq_getsetattr, 999, BAD, BAD);
	C(add_key, BAD, BAD, BAD, 1L, 0);
	C(add_key, BAD, BAD, BAD, 1L << 30, 0);
	C(add_key, ".x", BAD, BAD, 1L, 0);
	C(add_key, "none", "x", BAD, 0L, 0);
	C(add_key, "user", "x", BAD, 1L, 0);
	C(add_key, "user", "x", "y", 1L, NOBODY);
	C(add_key, "user", "", "y", 1L, NOBODY);
	C(request_key, BAD, BAD, BAD, 0);
	C(request_key, "none", BAD, BAD, 0);
	C(request_key, "user", "x", BAD, 0);
	C(request_key, "user", "none", 0L, NOBODY);
	C(keyctl, 99, 0L, 0L, 0L, 0L);
	C(keyctl, 2, NOBODY, BAD, 1L << 30, 0L);
	C(keyctl, 2, NOBODY, BAD, 1L, 0L);
	C(keyctl, 5, NOBODY, -1L, 0L, 0L);
	C(keyctl, 6, NOBODY, BAD, 0L, 0L);
	C(keyctl, 10, NOBODY, BAD, BAD, 0L);
	C(keyctl, 15, NOBODY, 5L, 0L, 0L);
	C(bpf, 99, BAD, 5000);
	C(bpf, 99, BAD, 8);
	C(perf_event_open, BAD, 0, -1, -1, 0x100L);
	C(perf_event_open, BAD, 0, -1, -1, 0L);
	C(io_setup, 0, BAD);
	C(io_setup, 1, BAD);
	C(io_submit, 999L, -1L, BAD);
	C(io_submit, 999L, 1L, BAD);
	C(io_getevents, 999L, 2L, 1L, BAD, BAD);
	C(io_destroy, 999L);
	C(io_cancel, 999L, BAD, BAD);
	C(io_uring_setup, 0, BAD);
	C(io_uring_enter, 999, 0, 0, 0x8000, BAD, 0L);
	C(io_uring_enter, 999, 0, 0, 0, BAD, 0L);
	C(io_uring_register, 999, 99, BAD, 0);
	C(quotactl, 0, BAD, 0, BAD);
	C(quotactl, 0x80000700, BAD, 0, BAD);
	C(arch_prctl, 0x9999, BAD);
	C(arch_prctl, 0x1003, BAD);
	C(arch_prctl, 0x1002, KERNEL);
	C(modify_ldt, 99, BAD, 0L);
	C(modify_ldt, 1, BAD, 15L);
	C(modify_ldt, 1, BAD, 16L);
}

int main(void)
{
	IN_CHILD({ memory(); });
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		memory();
	});
	return 0;
}
