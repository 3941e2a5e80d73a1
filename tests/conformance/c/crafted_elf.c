/*
 * Covers: execve of ELF files made by hand: segments that overlap, touch, come in any order, lie past the end of the file or hold
 * nothing; numbers of program headers; PT_INTERP of all lengths and contents, interpreters that are broken, foreign, scripts, or
 * have interpreters themselves; alignments, entries, stacks, read-only zeros; where such a program finds its break and its headers.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <sys/auxv.h>
#include "case.h"

/* The program: exit(a byte somewhere). */
static const unsigned char exit_42[] = { 0xb8, 60, 0, 0, 0, 0xbf, 42, 0, 0, 0, 0x0f, 0x05 };
#define BASE 0x400000UL
#define CODE_AT 0x800 /* in the file, from page 0 on */

static unsigned char image[1 << 18];
static size_t length;
static Elf64_Ehdr *const header = (Elf64_Ehdr *)image;
static Elf64_Phdr *const segments = (Elf64_Phdr *)(image + sizeof(Elf64_Ehdr));

/* One segment with the headers and the code, at BASE. */
static void fresh(int type)
{
	memset(image, 0, sizeof image);
	*header = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .e_type = (Elf64_Half)type, .e_machine = EM_X86_64, .e_version = 1,
		.e_entry = BASE + CODE_AT, .e_phoff = sizeof *header, .e_ehsize = sizeof *header, .e_phentsize = sizeof *segments, .e_phnum = 1 };
	segments[0] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_X, 0, BASE, BASE, 0x1000, 0x1000, 0x1000 };
	memcpy(image + CODE_AT, exit_42, sizeof exit_42);
	length = 0x4000;
}

/* Another segment: with code at its start that ends with `code`. */
static Elf64_Phdr *add(unsigned flags, unsigned long offset, unsigned long address, unsigned long file_size, unsigned long memory_size)
{
	Elf64_Phdr *segment = &segments[header->e_phnum++];
	*segment = (Elf64_Phdr){ PT_LOAD, flags, offset, address, address, file_size, memory_size, 0x1000 };
	return segment;
}

static void code(unsigned long offset, int result)
{
	memcpy(image + offset, exit_42, sizeof exit_42);
	image[offset + 6] = (unsigned char)result;
}

static void write_as(const char *path, mode_t mode)
{
	unlink(path);
	int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700));
	MUST(write(fd, image, length));
	MUST(fchmod(fd, mode));
	close(fd);
}

static void start(const char *what)
{
	printf("%s: ", what);
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		alarm(60);
		execl("./program", "program", NULL);
		printf("%s\n", error_name(errno));
		fflush(stdout);
		_exit(100);
	}
	show_end(child);
}

static void run(const char *what)
{
	write_as("program", 0755);
	start(what);
}

static void many_segments(int type)
{
	static const unsigned long places[] = { 0, 0x800, 0x1000, 0x1800, 0x2000, 0xffffffffffffe000, 0x100000, 0x600000000000, 0x7ffc00000000 };
	char what[80];
	/* Whether there is room for the last span, below where mappings begin, is chance for a program that may lie anywhere. */
	int count = (int)(sizeof places / sizeof *places) - (type == ET_DYN);
	for (int i = 0; i < count; i++)
		for (int size = 0; size < 4; size++) {
			static const unsigned long file_sizes[] = { 0x1000, 0, 0x800, 0x1000 }, memory_sizes[] = { 0x1000, 0x1000, 0x1000, 0x3000 };
			for (int last = 0; last < 2; last++) {
				fresh(type);
				code(0x1000, 43);
				code(0x1000 + CODE_AT, 44);
				add(PF_R | PF_W | PF_X, 0x1000 + (places[i] & 0xfff), BASE + places[i], file_sizes[size], memory_sizes[size]);
				if (last)
					header->e_entry = BASE + places[i];
				snprintf(what, sizeof what, "type %d, second at %lx, %lx of %lx, entry %d", type, places[i], file_sizes[size], memory_sizes[size], last);
				run(what);
			}
		}
}

static void one_segment(int type)
{
	static const struct { const char *name; unsigned long offset, address, file_size, memory_size, align; unsigned flags; } each[] = {
		{ "whole", 0, BASE, 0x1000, 0x1000, 0x1000, 5 }, { "not aligned with the file", 1, BASE, 0x1000, 0x1000, 0x1000, 5 }, { "in the middle", 0x400, BASE + 0x400, 0xc00, 0xc00, 0x1000, 5 },
		{ "no alignment", 0, BASE, 0x1000, 0x1000, 0, 5 }, { "alignment 3", 0, BASE, 0x1000, 0x1000, 3, 5 }, { "alignment 2 MiB", 0, BASE, 0x1000, 0x1000, 1 << 21, 5 },
		{ "alignment 2^40", 0, BASE, 0x1000, 0x1000, 1UL << 40, 5 }, { "alignment 2^63", 0, BASE, 0x1000, 0x1000, 1UL << 63, 5 }, { "nothing of the file", 0, BASE, 0, 0x1000, 0x1000, 5 },
		{ "nothing at all", 0, BASE, 0, 0, 0x1000, 5 }, { "file more than memory", 0, BASE, 0x1000, 0x800, 0x1000, 5 }, { "file and no memory", 0, BASE, 0x1000, 0, 0x1000, 5 },
		{ "past the end of the file", 0x8000, BASE, 0x1000, 0x1000, 0x1000, 5 }, { "longer than the file", 0, BASE, 0x10000, 0x10000, 0x1000, 5 }, { "zeros, read-only", 0, BASE, 0xf00, 0x1000, 0x1000, 5 },
		{ "zeros, read-only, more pages", 0, BASE, 0xf00, 0x3000, 0x1000, 5 }, { "whole zero pages, read-only", 0, BASE, 0x1000, 0x3000, 0x1000, 5 }, { "zeros", 0, BASE, 0xf00, 0x3000, 0x1000, 7 },
		{ "not readable", 0, BASE, 0x1000, 0x1000, 0x1000, 0 }, { "writable only", 0, BASE, 0x1000, 0x1000, 0x1000, 2 }, { "executable only", 0, BASE, 0x1000, 0x1000, 0x1000, 1 },
		{ "not executable", 0, BASE, 0x1000, 0x1000, 0x1000, 4 }, { "low", 0, 0, 0x1000, 0x1000, 0x1000, 5 }, { "at 64 KiB", 0, 0x10000, 0x1000, 0x1000, 0x1000, 5 },
		{ "at the top", 0, 0x7fffffffe000, 0x1000, 0x1000, 0x1000, 5 }, { "past the top", 0, 0x7ffffffff000, 0x1000, 0x1000, 0x1000, 5 }, { "negative", 0, 0xfffffffffffff000, 0x1000, 0x1000, 0x1000, 5 },
		{ "larger than any", 0, BASE, 0x1000, 0x7fffffffffff, 0x1000, 7 },
		{ "offset too large", 1UL << 62, BASE, 0x1000, 0x1000, 0x1000, 5 }, { "offset negative", 0x8000000000000000, BASE, 0x1000, 0x1000, 0x1000, 5 }, { "unknown flags", 0, BASE, 0x1000, 0x1000, 0x1000, 0xfffffffd },
	};
	for (unsigned i = 0; i < sizeof each / sizeof *each; i++) {
		char what[80];
		fresh(type);
		segments[0] = (Elf64_Phdr){ PT_LOAD, each[i].flags, each[i].offset, each[i].address, each[i].address, each[i].file_size, each[i].memory_size, each[i].align };
		header->e_entry = (each[i].address & ~0xfffUL) + CODE_AT;
		snprintf(what, sizeof what, "type %d, %s", type, each[i].name);
		run(what);
	}
}

static void header_counts(void)
{
	static const int counts[] = { 1, 2, 72, 73, 74, 146, 1000, 1169, 1170, 1171, 65535 };
	for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++)
		for (int place = 0; place < 2; place++) {
			char what[80];
			fresh(ET_EXEC);
			length = sizeof image;
			header->e_phoff = 0x4000;
			Elf64_Phdr *table = (Elf64_Phdr *)(image + 0x4000);
			header->e_phnum = (Elf64_Half)counts[i];
			if (0x4000 + counts[i] * 56 <= (int)sizeof image)
				table[place ? counts[i] - 1 : 0] = segments[0];
			snprintf(what, sizeof what, "%d program headers, the one %s", counts[i], place ? "last" : "first");
			run(what);
		}
	fresh(ET_EXEC);
	header->e_phoff = length - 56;
	memcpy(image + length - 56, segments, 56);
	run("headers at the end");
	length -= 1;
	run("headers cut off");
	fresh(ET_EXEC);
	header->e_phoff = 0;
	run("headers at 0");
	fresh(ET_EXEC);
	memmove(image + 65, segments, 56);
	header->e_phoff = 65;
	run("headers not aligned");
	fresh(ET_EXEC);
	header->e_phoff = 1UL << 63;
	run("headers at 2^63");
	fresh(ET_EXEC);
	header->e_version = 7;
	header->e_ident[EI_VERSION] = 9;
	header->e_ident[EI_DATA] = 2;
	header->e_ehsize = 1;
	header->e_flags = 0xffff;
	run("what nobody looks at");
	fresh(ET_EXEC);
	header->e_ident[EI_CLASS] = 1;
	run("a class of 32 bits, machine of 64");
	for (int k = 0; k < 5; k++) {
		static const unsigned long entries[] = { 0, 1, BASE - 1, BASE + 0xfff, 1UL << 46 };
		char what[80];
		for (int type = ET_EXEC; type <= ET_DYN; type++) {
			fresh(type);
			header->e_entry = entries[k];
			snprintf(what, sizeof what, "type %d, entry %lx", type, entries[k]);
			run(what);
		}
	}
	fresh(ET_EXEC);
	segments[1] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = 7 };
	segments[2] = (Elf64_Phdr){ .p_type = PT_GNU_STACK, .p_flags = 6 };
	segments[3] = (Elf64_Phdr){ .p_type = PT_PHDR, .p_vaddr = 0xdeadbeef, .p_offset = 1UL << 63 };
	segments[4] = (Elf64_Phdr){ .p_type = PT_TLS, .p_memsz = ~0UL };
	segments[5] = (Elf64_Phdr){ .p_type = PT_GNU_PROPERTY, .p_offset = ~0UL, .p_filesz = ~0UL, .p_align = 8 };
	segments[6] = (Elf64_Phdr){ .p_type = PT_DYNAMIC, .p_offset = ~0UL, .p_filesz = ~0UL };
	header->e_phnum = 5;
	run("headers that the kernel need not understand");
	header->e_phnum = 7;
	run("properties nowhere");
	segments[5].p_offset = 0;
	segments[5].p_filesz = 0x20;
	run("properties that are none");
	segments[5].p_filesz = 0x2000;
	run("properties too long");
}

/* ---- Interpreters ---- */

/* A program with an interpreter of that name, of `size` bytes in the file. */
static void asks_for(const char *what, const char *name, size_t size)
{
	fresh(ET_EXEC);
	segments[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x2000, .p_filesz = size, .p_memsz = size };
	header->e_phnum = 2;
	memcpy(image + 0x2000, name, strlen(name) + 1);
	run(what);
}

static void interpreters(void)
{
	char name[5000];
	fresh(ET_DYN);
	code(CODE_AT, 7);
	write_as("loader", 0755);
	asks_for("an interpreter", "loader", 7);
	asks_for("by path", "./loader", 9);
	asks_for("more after the name", "loader\0rest", 12);
	asks_for("not terminated", "loader", 6);
	asks_for("of one byte", "", 1);
	asks_for("of two bytes, empty", "", 2);
	asks_for("of no bytes", "loader", 0);
	asks_for("too long a name", "loader", 4097);
	memset(name, 0, sizeof name);
	memset(name, '/', 4089);
	strcpy(name, ".");
	memset(name + 1, '/', 4088);
	strcpy(name + 4089, "loader");
	asks_for("4096 bytes", name, 4096);
	asks_for("of huge size", "loader", ~0UL);
	asks_for("missing", "missing", 8);
	asks_for("a directory", ".", 2);
	asks_for("not a directory", "program/x", 10);
	put_file("text", "text", 0755);
	asks_for("a text", "text", 5);
	put_file("script", "#!loader\n", 0755);
	asks_for("a script", "script", 7);
	put_file("empty", "", 0755);
	asks_for("empty file", "empty", 6);
	asks_for("itself", "program", 8);
	asks_for("a device", "/dev/null", 10);
	MUST(mkfifo("fifo", 0755));
	asks_for("a FIFO", "fifo", 5);
	fresh(ET_EXEC);
	segments[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 1UL << 40, .p_filesz = 7 };
	header->e_phnum = 2;
	run("a name past the end of the file");
	segments[1].p_offset = 1UL << 63;
	run("a name at 2^63");
	segments[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x2000, .p_filesz = 7 };
	segments[2] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x2100, .p_filesz = 8 };
	header->e_phnum = 3;
	strcpy((char *)image + 0x2000, "loader");
	strcpy((char *)image + 0x2100, "missing");
	run("two names, the second missing");
	strcpy((char *)image + 0x2000, "missin");
	run("two names, the first missing");

	static const struct { const char *name; int type, machine, class, count; unsigned long address; int entry_size; } loaders[] = {
		{ "fixed", ET_EXEC, EM_X86_64, 2, 1, 0x800000, 56 }, { "fixed, where the program lies", ET_EXEC, EM_X86_64, 2, 1, BASE, 56 }, { "foreign", ET_DYN, EM_AARCH64, 2, 1, BASE, 56 },
		{ "of another class", ET_DYN, EM_X86_64, 1, 1, BASE, 56 }, { "without headers", ET_DYN, EM_X86_64, 2, 0, BASE, 56 }, { "relocatable at 0", ET_DYN, EM_X86_64, 2, 1, 0, 56 },
		{ "an object", ET_REL, EM_X86_64, 2, 1, BASE, 56 }, { "odd headers", ET_DYN, EM_X86_64, 2, 1, BASE, 55 }, { "fixed past the top", ET_EXEC, EM_X86_64, 2, 1, 0x7ffffffff000, 56 },
		{ "fixed, low", ET_EXEC, EM_X86_64, 2, 1, 0, 56 },
	};
	for (unsigned i = 0; i < sizeof loaders / sizeof *loaders; i++) {
		fresh(loaders[i].type);
		header->e_machine = (Elf64_Half)loaders[i].machine;
		header->e_ident[EI_CLASS] = (unsigned char)loaders[i].class;
		header->e_phnum = (Elf64_Half)loaders[i].count;
		header->e_phentsize = (Elf64_Half)loaders[i].entry_size;
		segments[0].p_vaddr = loaders[i].address;
		header->e_entry = loaders[i].address + CODE_AT;
		code(CODE_AT, 7);
		write_as("loader", 0755);
		asks_for(loaders[i].name, "loader", 7);
	}
	fresh(ET_DYN);
	code(CODE_AT, 7);
	segments[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x2000, .p_filesz = 8 };
	strcpy((char *)image + 0x2000, "missing");
	header->e_phnum = 2;
	write_as("loader", 0755);
	asks_for("that asks for another", "loader", 7);
	fresh(ET_DYN);
	code(CODE_AT, 7);
	segments[0].p_type = PT_NOTE;
	write_as("loader", 0755);
	asks_for("that loads nothing", "loader", 7);
	static const size_t lengths[] = { 1, 4, 63, 64, 100, 120, 0x900, 0x1000 };
	for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		fresh(ET_DYN);
		code(CODE_AT, 7);
		length = lengths[i];
		snprintf(name, sizeof name, "cut off after %zu", lengths[i]);
		write_as("loader", 0755);
		asks_for(name, "loader", 7);
	}
	fresh(ET_DYN);
	code(CODE_AT, 7);
	write_as("loader", 0644);
	asks_for("that is not executable", "loader", 7);
	write_as("loader", 0755);
	fresh(ET_DYN);
	code(CODE_AT, 7);
	segments[0].p_memsz = 1UL << 47;
	segments[0].p_flags = 7;
	write_as("loader", 0755);
	asks_for("too large", "loader", 7);
	fresh(ET_DYN);
	code(CODE_AT, 7);
	add(5, 0x1000, BASE, 0x1000, 0x1000);
	code(0x1000 + CODE_AT, 8);
	write_as("loader", 0755);
	asks_for("that overlaps itself", "loader", 7);
	fresh(ET_DYN);
	code(CODE_AT, 7);
	add(5, 0x1000, BASE - 0x1000, 0x1000, 0x1000);
	code(0x1000 + CODE_AT, 8);
	write_as("loader", 0755);
	asks_for("of descending segments", "loader", 7);
	int fd = (int)MUST(open("loader", O_RDWR));
	asks_for("open for writing", "loader", 7);
	close(fd);
	fd = (int)MUST(open("program", O_RDWR));
	start("the program open for writing");
	close(fd);
}

int main(void)
{
	one_segment(ET_EXEC);
	one_segment(ET_DYN);
	many_segments(ET_EXEC);
	many_segments(ET_DYN);
	header_counts();
	interpreters();
	return 0;
}
