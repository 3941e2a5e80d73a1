/*
 * Covers: vm.mmap_min_addr: mmap with MAP_FIXED, MAP_FIXED_NOREPLACE and hints, mremap, shmat, areas that grow down, programs that are
 * linked to low addresses; as root, as root without CAP_SYS_RAWIO, as a user; the setting itself.
 */
#include <elf.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include "case.h"

#define SETTING "/proc/sys/vm/mmap_min_addr"
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define WRITABLE (PROT_READ | PROT_WRITE)

static int file;

static void report(const char *what, unsigned long at, void *got)
{
	int error = errno;
	if (got == MAP_FAILED)
		printf("%s at %#lx: %s\n", what, at, error_name(error));
	else if ((unsigned long)got < 0x100000)
		printf("%s at %#lx: is at %#lx\n", what, at, (unsigned long)got);
	else
		printf("%s at %#lx: is elsewhere\n", what, at);
}

static void try_map(const char *what, unsigned long at, int protection, int flags, int fd)
{
	errno = 0;
	void *got = mmap((void *)at, PAGE, protection, flags, fd, 0);
	report(what, at, got);
	if (got != MAP_FAILED)
		munmap(got, PAGE);
}

static void maps(void)
{
	static const unsigned long places[] = { 0, 1, 0x1000, 0x2000, 0x8000, 0xf000, 0xf001, 0x10000, 0x11000 };
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		try_map("fixed", places[i], WRITABLE, ANONYMOUS | MAP_FIXED, -1);
		try_map("fixed, no replacement", places[i], PROT_NONE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
		if (places[i] != 0)
			try_map("hint", places[i], WRITABLE, ANONYMOUS, -1);
	}
	try_map("shared", 0x3000, WRITABLE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1);
	try_map("grows down", 0x8000, WRITABLE, ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1);
	try_map("file", 0x3000, PROT_READ, MAP_PRIVATE | MAP_FIXED, file);
	try_map("file that cannot be written", 0x3000, WRITABLE, MAP_SHARED | MAP_FIXED, file);
	try_map("no file", 0x3000, PROT_READ, MAP_PRIVATE | MAP_FIXED, 99);
	try_map("neither private nor shared", 0x3000, PROT_READ, MAP_ANONYMOUS | MAP_FIXED, -1);
	errno = 0;
	report("no length", 0x3000, mmap((void *)0x3000, 0, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0));
}

static void moves(void)
{
	static const unsigned long places[] = { 0, 0x1000, 0xf000, 0x10000 };
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		char *area = mmap(NULL, PAGE, WRITABLE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		errno = 0;
		report("second mapping", places[i], mremap(area, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, places[i]));
		munmap((void *)places[i], PAGE);
		errno = 0;
		report("kept and moved", places[i], mremap(area, PAGE, PAGE, MREMAP_MAYMOVE | 4, places[i]));
		munmap(area, PAGE);
		area = mmap(NULL, PAGE, WRITABLE, ANONYMOUS, -1, 0);
		errno = 0;
		report("moved", places[i], mremap(area, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, places[i]));
		munmap((void *)places[i], PAGE);
		munmap(area, PAGE);
	}
}

static void attaches(void)
{
	int segment = shmget(IPC_PRIVATE, PAGE, 0600);
	static const struct { unsigned long at; int flags; } tries[] = {
		{ 0, SHM_REMAP }, { 1, 0 }, { 1, SHM_RND }, { 1, SHM_RND | SHM_REMAP }, { 0x1000, 0 }, { 0xf123, SHM_RND }, { 0x10000, 0 },
	};
	for (unsigned i = 0; i < sizeof tries / sizeof *tries; i++) {
		errno = 0;
		void *got = shmat(segment, (void *)tries[i].at, tries[i].flags);
		report("attached", tries[i].at, got);
		if (got != MAP_FAILED)
			shmdt(got);
	}
	shmctl(segment, IPC_RMID, NULL);
}

static void grows(void)
{
	IN_CHILD(
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		volatile char *area = mmap((void *)0x12000, PAGE, WRITABLE, ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
		report("area that grows", 0x12000, (void *)area);
		area[-1] = 1;
		area[-0x2000] = 1;
		printf("has grown to 0x10000\n");
		fflush(stdout);
		area[-0x2001] = 1;
		printf("has grown below\n"));
}

/* A program at an address of our choice that exits with 42. */
static void make_program(const char *path, unsigned long at)
{
	static const unsigned char code[] = { 0xbf, 42, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05 };
	struct { Elf64_Ehdr head; Elf64_Phdr segment; unsigned char code[sizeof code]; } image = {
		.head = { .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1, .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = PAGE },
	};
	memcpy(image.head.e_ident, ELFMAG "\2\1\1", 7);
	memcpy(image.code, code, sizeof code);
	image.head.e_entry = at + (unsigned long)((char *)image.code - (char *)&image);
	image.segment.p_vaddr = at;
	image.segment.p_filesz = image.segment.p_memsz = sizeof image;
	int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	MUST(write(fd, &image, sizeof image));
	MUST(fchmod(fd, 0755));
	close(fd);
}

static void programs(void)
{
	static const char *paths[] = { "at-10000", "at-f000", "at-1000" };
	for (int i = 0; i < 3; i++) {
		printf("%s: ", paths[i]);
		IN_CHILD(execl(paths[i], paths[i], NULL); printf("%s\n", error_name(errno)));
	}
}

static void all(const char *who)
{
	printf("--- %s\n", who);
	maps();
	moves();
	attaches();
	grows();
	programs();
}

static void user(void)
{
	MUST(setgroups(0, 0));
	MUST(setgid(1000));
	MUST(setuid(1000));
}

static void drop_raw_io(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	MUST(prctl(PR_CAPBSET_DROP, 17));
	MUST(syscall(SYS_capget, &h, d));
	d[0].effective &= ~(1U << 17);
	d[0].permitted &= ~(1U << 17);
	MUST(syscall(SYS_capset, &h, d));
}

static void put(const char *text)
{
	int fd = open(SETTING, O_WRONLY);
	if (fd < 0) {
		printf("open the setting: %s\n", error_name(errno));
		return;
	}
	printf("%s: ", text);
	SHOW(write(fd, text, strlen(text)));
	close(fd);
}

int main(void)
{
	put_file("file", "contents", 0644);
	file = (int)MUST(open("file", O_RDONLY));
	make_program("at-10000", 0x10000);
	make_program("at-f000", 0xf000);
	make_program("at-1000", 0x1000);
	show_file(SETTING);
	all("root");
	IN_CHILD(user(); all("user"));
	IN_CHILD(drop_raw_io(); all("root without CAP_SYS_RAWIO"));
	IN_CHILD(user(); put("0"));
	IN_CHILD(drop_raw_io(); put("0"); put("x"));
	put("x");
	put("-1");
	put("8192");
	show_file(SETTING);
	IN_CHILD(user(); all("user, from 8192"));
	put("0");
	show_file(SETTING);
	IN_CHILD(user(); all("user, from 0"));
	put("131072");
	show_file(SETTING);
	IN_CHILD(user(); all("user, from 131072"));
	put("65536");
	show_file(SETTING);
	return 0;
}
