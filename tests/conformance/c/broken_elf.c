/* Covers: execve of truncated, lying and foreign ELF files: each must give an error or kill the new program, and nothing else. */
#include <elf.h>
#include <sys/time.h>
#include "case.h"

static unsigned char image[1 << 20];
static size_t length;
static Elf64_Ehdr *const header = (Elf64_Ehdr *)image;

static Elf64_Phdr *segment(int type)
{
	Elf64_Phdr *segments = (Elf64_Phdr *)(image + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == (Elf64_Word)type)
			return &segments[i];
	return segments;
}

static void load(void)
{
	int fd = (int)MUST(open("/proc/self/exe", O_RDONLY));
	length = (size_t)MUST(read(fd, image, sizeof image));
	close(fd);
}

static void run(const char *what, size_t size)
{
	unlink("program");
	int fd = (int)MUST(open("program", O_WRONLY | O_CREAT | O_TRUNC, 0755));
	MUST(write(fd, image, size));
	close(fd);
	printf("%s: ", what);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		execl("./program", "program", "fine", NULL);
		printf("%s\n", error_name(errno));
		fflush(stdout);
		_exit(100);
	}
	show_end(child);
	load();
}

#define BREAK(change) do { change; run(#change, length); } while (0)

int main(int argc, char **argv)
{
	if (argc > 1) {
		printf("the program runs; ");
		return 42;
	}
	load();
	run("whole", length);
	run("magic only", 4);
	run("half a header", 32);
	run("header without segments", 64);
	run("half the segments", 64 + 56 + 20);
	run("without contents", 64 + 56 * header->e_phnum);
	BREAK(image[0] = 0);
	BREAK(image[EI_CLASS] = ELFCLASS32);
	BREAK(image[EI_CLASS] = 77);
	BREAK(header->e_machine = EM_AARCH64);
	BREAK(header->e_type = ET_REL);
	BREAK(header->e_type = ET_CORE);
	BREAK(header->e_phnum = 0);
	BREAK(header->e_phnum = 65535);
	BREAK(header->e_phentsize = 1);
	BREAK(header->e_phentsize = 65535);
	BREAK(header->e_phoff = (Elf64_Off)-1);
	BREAK(header->e_phoff = (Elf64_Off)1 << 40);
	BREAK(header->e_phoff = length - 8);
	BREAK(header->e_entry = 0);
	BREAK(header->e_entry = 0xffffffff80000000);
	BREAK(header->e_entry = 0x8000000000000000);
	BREAK(segment(PT_LOAD)->p_vaddr = 0xffffffff80000000);
	BREAK(segment(PT_LOAD)->p_vaddr = 0x7ffffffff000);
	BREAK(segment(PT_LOAD)->p_vaddr += 1);
	BREAK(segment(PT_LOAD)->p_memsz = (Elf64_Xword)-1);
	BREAK(segment(PT_LOAD)->p_memsz = (Elf64_Xword)1 << 50);
	BREAK(segment(PT_LOAD)->p_filesz = (Elf64_Xword)-1);
	BREAK(segment(PT_LOAD)->p_filesz = segment(PT_LOAD)->p_memsz + 100000);
	BREAK(segment(PT_LOAD)->p_offset = (Elf64_Off)-PAGE);
	BREAK(segment(PT_LOAD)->p_flags = 0);
	BREAK(segment(PT_LOAD)->p_type = PT_NULL);
	BREAK(segment(PT_LOAD)->p_type = PT_INTERP);
	BREAK(segment(PT_TLS)->p_type = PT_INTERP);
	for (int fill = 0; fill < 256; fill += 51) {
		memset(image + 16, fill, 112);
		run("header of one byte value", length);
	}
	/* Every single byte of the header and the segments made wrong: whatever happens, we go on. */
	int survived = 0;
	for (size_t at = 4; at < 64 + 56u * 4; at++) {
		image[at] ^= 0xff;
		unlink("program");
		int fd = (int)MUST(open("program", O_WRONLY | O_CREAT | O_TRUNC, 0755));
		MUST(write(fd, image, length));
		close(fd);
		image[at] ^= 0xff;
		pid_t child = (pid_t)MUST(fork());
		if (child == 0) {
			int null = open("/dev/null", O_WRONLY);
			dup2(null, 1);
			setitimer(ITIMER_REAL, &(struct itimerval){ .it_value.tv_usec = 200000 }, NULL); /* some would run for ever */
			execl("./program", "program", "fine", NULL);
			_exit(100);
		}
		int status;
		survived += waitpid(child, &status, 0) == child;
	}
	printf("%d broken programs tried\n", survived);
	return 0;
}
