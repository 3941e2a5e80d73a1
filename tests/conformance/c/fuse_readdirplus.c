/* Directories that are listed with what their names lead to: which requests come, what is kept, what is forgotten, lies. */
#define _GNU_SOURCE
#include "fuse_case.h"

enum lie { HONEST, NO_NODE, ROOT_NODE, NO_KIND, SLASH, EMPTY, LONG_NAME, CUT, MINUS_SIZE };

static struct dirent names[16];

static int plus(const struct fuse_in_header *in, const struct fuse_read_in *read)
{
	static char body[16384];
	size_t size = 0;
	int index = 0, with_nodes = in->opcode == FUSE_READDIRPLUS;
	memset(body, 0, sizeof body);
	for (int i = -2; i < NODES; i++) {
		char *place = body + size;
		struct fuse_direntplus *both = (void *)place;
		struct fuse_dirent *dirent = with_nodes ? &both->dirent : (void *)place;
		const char *name = i == -2 ? "." : i == -1 ? ".." : all->nodes[i].name;
		if (i == 0 || i == 1 || (i > 0 && (!all->nodes[i].used || all->nodes[i].parent != (int)in->nodeid)))
			continue;
		if (index++ < (int)read->offset)
			continue;
		dirent->off = (uint64_t)index, dirent->namelen = (uint32_t)strlen(name);
		dirent->ino = i < 0 ? 101 : 100 + (uint64_t)i;
		dirent->type = i < 0 ? DT_DIR : (uint32_t)all->nodes[i].mode >> 12;
		size_t length = with_nodes ? FUSE_DIRENTPLUS_SIZE(both) : FUSE_DIRENT_SIZE(dirent);
		if (size + length > read->size)
			break;
		memcpy(dirent->name, name, dirent->namelen);
		if (with_nodes && i > 0) {
			fill_entry(&both->entry_out, i);
			if (strcmp(name, "a") == 0)
				switch (all->lie) {
				case NO_NODE: both->entry_out.nodeid = 0, all->nodes[i].lookups--; break;
				case ROOT_NODE: both->entry_out.nodeid = 1, all->nodes[i].lookups--; break;
				case NO_KIND: both->entry_out.attr.mode = 0644; break;
				case MINUS_SIZE: both->entry_out.attr.size = -1ull; break;
				case SLASH: dirent->name[0] = '/', all->nodes[i].lookups--; break;
				case EMPTY: dirent->namelen = 0, all->nodes[i].lookups--; break;
				case LONG_NAME: dirent->namelen = 1025, all->nodes[i].lookups--; break;
				}
		}
		size += length;
		if ((all->lie == SLASH || all->lie == EMPTY || all->lie == LONG_NAME) && strcmp(name, "a") == 0)
			break; /* nobody reads on */
		if (all->lie == CUT && strcmp(name, "a") == 0) {
			size -= 8, all->nodes[i].lookups--;
			break;
		}
	}
	answer(in, 0, body, size);
	return 1;
}

static int plus_hook(const struct fuse_in_header *in, char *argument)
{
	switch (in->opcode) {
	case FUSE_READDIR: case FUSE_READDIRPLUS: {
		struct fuse_read_in *read = (void *)argument;
		note("%s from %d", in->opcode == FUSE_READDIR ? "READDIR" : "READDIRPLUS", (int)read->offset);
		return plus(in, read);
	}
	case FUSE_LOOKUP:
		note("LOOKUP %s", argument);
		return 0;
	case FUSE_GETATTR:
		if (in->nodeid != 1) {
			note("GETATTR of %d", (int)in->nodeid);
			return 0;
		}
		return 0;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dirent *)a)->d_name, ((const struct dirent *)b)->d_name);
}

static void list(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int count = 0;
	if (!directory) {
		printf("%s: %s\n", path, error_name(errno));
		return;
	}
	errno = 0;
	while ((entry = readdir(directory)))
		names[count++] = *entry;
	printf("%s: listed: %s\n", path, errno ? error_name(errno) : "to the end");
	closedir(directory);
	qsort(names, (size_t)count, sizeof *names, by_name);
	for (int i = 0; i < count; i++)
		printf("  %s type %d ino %ld\n", names[i].d_name, names[i].d_type, (long)names[i].d_ino);
	show_notes();
}

static void show_size(const char *path)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		printf("%s: %s\n", path, error_name(errno));
	else
		printf("%s: size %ld mode %o ino %ld\n", path, (long)st.st_size, st.st_mode, (long)st.st_ino);
	show_notes();
}

/* The directory's files go: then the server must have been told of each look-up. */
static void forget_all(const char *directory)
{
	char path[100];
	for (int i = 2; i < NODES; i++)
		if (all->nodes[i].used && all->nodes[i].parent == 1 && !S_ISDIR(all->nodes[i].mode)) {
			snprintf(path, sizeof path, "%s/%s", directory, all->nodes[i].name);
			unlink(path);
		}
	for (int i = 2; i < NODES; i++) {
		for (int j = 0; j < 20000 && all->nodes[i].lookups != 0 && !S_ISDIR(all->nodes[i].mode); j++)
			sleep_ms(1);
		if (all->nodes[i].lookups != 0 && !S_ISDIR(all->nodes[i].mode))
			printf("node %d: %ld look-ups are left\n", i, all->nodes[i].lookups);
	}
	all->count = 0;
}

static void kept(uint64_t valid)
{
	printf("\nalways, valid for %d s\n", (int)valid);
	all->flags = FUSE_DO_READDIRPLUS;
	all->entry_valid = all->attr_valid = valid;
	begin("");
	CHECK((all->offered & FUSE_DO_READDIRPLUS) != 0);
	CHECK((all->offered & FUSE_READDIRPLUS_AUTO) != 0);
	list("/f");
	show_size("/f/a");
	show_size("/f/b");
	all->nodes[2].size = 9;
	show_size("/f/a");
	/* What is listed anew is known anew. */
	list("/f");
	show_size("/f/a");
	TRY(mkdir("/f/d", 0755));
	all->count = 0;
	list("/f/d");
	list("/f");
	show_size("/f/d");
	int file = (int)MUST(open("/f/a", O_RDONLY));
	all->count = 0;
	list("/f");
	close(file);
	forget_all("/f");
	end();
}

static void automatic(void)
{
	struct stat st;
	printf("\nas the kernel likes\n");
	all->flags = FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
	all->entry_valid = all->attr_valid = 1000;
	begin("");
	char space[2000];
	int directory = (int)MUST(open("/f", O_RDONLY | O_DIRECTORY));
	MUST(syscall(SYS_getdents64, directory, space, 48)); /* room for "." and ".." */
	show_notes();
	MUST(syscall(SYS_getdents64, directory, space, 24));
	show_notes();
	MUST(stat("/f/b", &st));
	show_notes();
	MUST(syscall(SYS_getdents64, directory, space, sizeof space));
	show_notes();
	MUST(syscall(SYS_getdents64, directory, space, sizeof space));
	show_notes();
	MUST(lseek(directory, 0, SEEK_SET));
	MUST(syscall(SYS_getdents64, directory, space, sizeof space));
	show_notes();
	close(directory);
	forget_all("/f");
	end();
	printf("\nnever\n");
	begin("");
	list("/f");
	show_size("/f/a");
	end();
}

static void lies(void)
{
	for (int lie = NO_NODE; lie <= MINUS_SIZE; lie++) {
		printf("\nlie %d\n", lie);
		all->flags = FUSE_DO_READDIRPLUS;
		all->entry_valid = all->attr_valid = 1000;
		all->lie = lie;
		begin("");
		list("/f");
		all->lie = HONEST;
		show_size("/f/a");
		show_size("/f/b");
		forget_all("/f");
		if (lie == ROOT_NODE)
			all->wrong = 0; /* whether the root is forgotten, too */
		end();
	}
}

int main(void)
{
	prepare();
	hook = plus_hook;
	kept(1000);
	kept(0);
	automatic();
	lies();
	rmdir("/f");
	return 0;
}
