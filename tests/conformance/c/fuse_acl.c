/* Access control lists of files that a program serves: passing them on, checking by them, the umask, and lies. */
#define _GNU_SOURCE
#include "fuse_case.h"

#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum lie { HONEST, SHORT, VERSION, NO_ENTRIES, BAD_TAG, HALF, UNKNOWN, TOO_LONG, REFUSED, WITHOUT_MASK };

struct value { int used, node; size_t size; char name[40], data[200]; };
static struct value *values;

/* A list as programs see it: pairs of a tag and rights, and numbers. */
struct entry { uint16_t tag, rights; uint32_t number; };
struct list { uint32_t version; struct entry entries[8]; };
#define NOBODY 0xffffffff
#define SIZE_OF(count) (4 + (count) * sizeof(struct entry))

/* The owner rw, user 1000 r, the group -, the mask r, others -. */
static const struct list usual = {2, {{1, 6, NOBODY}, {2, 4, 1000}, {4, 0, NOBODY}, {16, 4, NOBODY}, {32, 0, NOBODY}}};
static const struct list masked = {2, {{1, 6, NOBODY}, {2, 6, 1000}, {4, 0, NOBODY}, {16, 1, NOBODY}, {32, 4, NOBODY}}};
static const struct list by_group = {2, {{1, 6, NOBODY}, {4, 0, NOBODY}, {8, 6, 2000}, {16, 6, NOBODY}, {32, 0, NOBODY}}};
static const struct list simple = {2, {{1, 6, NOBODY}, {4, 4, NOBODY}, {32, 0, NOBODY}}};
static const struct list wrong = {2, {{1, 6, NOBODY}, {2, 4, 1000}, {4, 0, NOBODY}, {32, 0, NOBODY}}};
static const struct list old = {1, {{1, 6, NOBODY}, {4, 4, NOBODY}, {32, 0, NOBODY}}};

static struct value *value_of(int node, const char *name)
{
	for (int i = 0; i < 16; i++)
		if (values[i].used && values[i].node == node && strcmp(values[i].name, name) == 0)
			return &values[i];
	return NULL;
}

static int give(const struct fuse_in_header *in, const void *data, size_t size, uint32_t room)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)size};
	if (room == 0)
		answer(in, 0, &out, sizeof out);
	else if (room < size)
		answer(in, -ERANGE, NULL, 0);
	else
		answer(in, 0, data, size);
	return 1;
}

static int get(const struct fuse_in_header *in, char *argument)
{
	struct fuse_getxattr_in *get = (void *)argument;
	char *name = argument + sizeof *get;
	struct value *value = value_of((int)in->nodeid, name);
	static struct list list;
	static char many[70000];
	if (strncmp(name, "system.", 7))
		return answer(in, -ENODATA, NULL, 0), 1;
	list = usual;
	switch (all->lie) {
	case SHORT: return give(in, &list, 3, get->size);
	case VERSION: list.version = 7; return give(in, &list, SIZE_OF(5), get->size);
	case NO_ENTRIES: return give(in, &list, 4, get->size);
	case BAD_TAG: list.entries[1].tag = 64; return give(in, &list, SIZE_OF(5), get->size);
	case HALF: return give(in, &list, SIZE_OF(4) + 3, get->size);
	case UNKNOWN: return answer(in, -ENOSYS, NULL, 0), 1;
	case TOO_LONG: return give(in, many, 65000, get->size);
	case REFUSED: return answer(in, -ENOSPC, NULL, 0), 1;
	case WITHOUT_MASK: return give(in, &wrong, SIZE_OF(4), get->size);
	}
	if (!value)
		return answer(in, -ENODATA, NULL, 0), 1;
	return give(in, value->data, value->size, get->size);
}

static int acl_hook(const struct fuse_in_header *in, char *argument)
{
	switch (in->opcode) {
	case FUSE_GETXATTR:
		return get(in, argument);
	case FUSE_SETXATTR: {
		struct fuse_setxattr_in *set = (void *)argument;
		char *name = argument + 8; /* the short form: nothing was said of the long one */
		struct value *value = value_of((int)in->nodeid, name);
		note("SETXATTR %s, %d bytes, flags %x", name, (int)set->size, set->flags);
		for (int i = 0; !value && i < 16; i++)
			if (!values[i].used)
				value = &values[i];
		value->used = 1, value->node = (int)in->nodeid, value->size = set->size;
		strcpy(value->name, name);
		memcpy(value->data, name + strlen(name) + 1, set->size);
		answer(in, 0, NULL, 0);
		return 1;
	}
	case FUSE_REMOVEXATTR: {
		struct value *value = value_of((int)in->nodeid, argument);
		note("REMOVEXATTR %s", argument);
		if (value)
			value->used = 0;
		answer(in, value ? 0 : -ENODATA, NULL, 0);
		return 1;
	}
	case FUSE_LISTXATTR: {
		static char text[1000];
		struct fuse_getxattr_in *get = (void *)argument;
		size_t size = 0;
		for (int i = 0; i < 16; i++)
			if (values[i].used && values[i].node == (int)in->nodeid)
				size += (size_t)sprintf(text + size, "%s", values[i].name) + 1;
		return give(in, text, size, get->size);
	}
	case FUSE_SETATTR: {
		struct fuse_setattr_in *set = (void *)argument;
		note("SETATTR valid %x mode %o", set->valid & FATTR_MODE, set->valid & FATTR_MODE ? set->mode : 0);
		return 0;
	}
	case FUSE_MKDIR: {
		struct fuse_mkdir_in *make = (void *)argument;
		note("MKDIR mode %o umask %o", make->mode, make->umask);
		return 0;
	}
	case FUSE_MKNOD: {
		struct fuse_mknod_in *make = (void *)argument;
		struct fuse_entry_out entry;
		note("MKNOD mode %o umask %o", make->mode, make->umask);
		fill_entry(&entry, new_node((int)in->nodeid, argument + sizeof *make, (int)make->mode));
		answer(in, 0, &entry, sizeof entry);
		return 1;
	}
	case FUSE_ACCESS:
		return answer(in, 0, NULL, 0), 1;
	}
	return 0;
}

static void show_list(const char *path, const char *name)
{
	struct list list;
	ssize_t size = getxattr(path, name, &list, sizeof list);
	printf("%s of %s: ", strrchr(name, '_') + 1, path);
	if (size < 0) {
		printf("%s\n", error_name(errno));
		return;
	}
	printf("%zd bytes", size);
	for (size_t i = 0; SIZE_OF(i) < (size_t)size; i++)
		printf(", %x:%o:%d", list.entries[i].tag, list.entries[i].rights, (int)list.entries[i].number);
	printf("\n");
}

static void show_open(const char *path)
{
	int file = open(path, O_RDONLY), error = errno;
	printf("reading %s: %s, ", path, file < 0 ? error_name(error) : "ok");
	close(file);
	file = open(path, O_WRONLY), error = errno;
	printf("writing: %s\n", file < 0 ? error_name(error) : "ok");
	close(file);
}

static void as(int user, int group, const char *path)
{
	IN_CHILD(
		MUST(setgid((gid_t)group));
		MUST(setuid((uid_t)user));
		show_open(path);
	);
}

static void passing(const char *options)
{
	char text[300];
	printf("\npassed on, options \"%s\"\n", options);
	begin(options);
	CHECK((all->offered & FUSE_POSIX_ACL) != 0);
	CHECK((all->offered & FUSE_DONT_MASK) != 0);
	show_list("/f/a", ACCESS);
	TRY(setxattr("/f/a", ACCESS, &usual, SIZE_OF(5), 0));
	show_notes();
	show_list("/f/a", ACCESS);
	TRY(setxattr("/f/a", ACCESS, &usual, SIZE_OF(5), XATTR_CREATE));
	TRY(setxattr("/f/b", ACCESS, &simple, SIZE_OF(3), XATTR_REPLACE));
	TRY(setxattr("/f/a", ACCESS, &wrong, SIZE_OF(4), 0));
	TRY(setxattr("/f/a", ACCESS, &old, SIZE_OF(3), 0));
	TRY(setxattr("/f/a", ACCESS, &usual, 3, 0));
	TRY(setxattr("/f/a", DEFAULT, &usual, SIZE_OF(5), 0));
	TRY(setxattr("/f", DEFAULT, &usual, SIZE_OF(5), 0));
	show_notes();
	show_list("/f", DEFAULT);
	SHOW(listxattr("/f/a", text, sizeof text));
	printf("%s\n", text);
	TRY(removexattr("/f/b", ACCESS));
	TRY(removexattr("/f/b", ACCESS));
	TRY(removexattr("/f/b", DEFAULT));
	show_notes();
	TRY(chmod("/f/a", 0600));
	show_notes();
	show_list("/f/a", ACCESS);
	IN_CHILD(
		MUST(setgid(1000));
		MUST(setuid(1000));
		show_list("/f/a", ACCESS);
		TRY(setxattr("/f/a", ACCESS, &usual, SIZE_OF(5), 0));
		TRY(removexattr("/f/a", ACCESS));
		show_notes();
	);
	as(1000, 1000, "/f/a");
	as(3000, 3000, "/f/a");
	umask(027);
	TRY(mkdir("/f/d", 0777));
	TRY(mknod("/f/n", S_IFREG | 0666, 0));
	show_notes();
	umask(0);
	end();
	memset(values, 0, 16 * sizeof *values);
}

static void checks(uint32_t flags)
{
	printf("\nchecked, flags %x\n", flags);
	all->flags = flags;
	begin(",allow_other");
	/* The mode follows the list, as the server's business. */
	all->nodes[2].mode = S_IFREG | 0640;
	MUST(setxattr("/f/a", ACCESS, &usual, SIZE_OF(5), 0));
	as(1000, 1000, "/f/a");
	as(1001, 1000, "/f/a");
	as(1001, 0, "/f/a");
	all->nodes[2].mode = S_IFREG | 0614;
	MUST(setxattr("/f/a", ACCESS, &masked, SIZE_OF(5), 0));
	as(1000, 1000, "/f/a");
	as(1001, 1000, "/f/a");
	all->nodes[2].mode = S_IFREG | 0660;
	MUST(setxattr("/f/a", ACCESS, &by_group, SIZE_OF(5), 0));
	as(1000, 2000, "/f/a");
	as(1000, 0, "/f/a");
	as(0, 0, "/f/a");
	/* What the server says by itself counts, too. */
	value_of(2, ACCESS)->used = 0;
	as(1000, 0, "/f/a");
	as(1000, 2000, "/f/a");
	IN_CHILD(
		MUST(setuid(1000));
		TRY(chmod("/f/a", 0777));
		TRY(setxattr("/f/a", ACCESS, &usual, SIZE_OF(5), 0));
	);
	all->count = 0;
	MUST(setxattr("/f", DEFAULT, &usual, SIZE_OF(5), 0));
	umask(027);
	TRY(mkdir("/f/d", 0777));
	TRY(mknod("/f/n", S_IFREG | 0666, 0));
	umask(0);
	show_notes();
	show_list("/f/d", DEFAULT);
	TRY(chmod("/f/a", 0604));
	show_notes();
	end();
	memset(values, 0, 16 * sizeof *values);
}

static void lies(void)
{
	for (uint32_t flags = 0; flags <= FUSE_POSIX_ACL; flags += FUSE_POSIX_ACL)
		for (int lie = SHORT; lie <= WITHOUT_MASK; lie++) {
			printf("\nlie %d, flags %x\n", lie, flags);
			all->flags = flags;
			begin(",allow_other");
			all->nodes[2].mode = S_IFREG | 0640;
			all->lie = lie;
			show_list("/f/a", ACCESS);
			as(1000, 1000, "/f/a");
			end();
		}
}

int main(void)
{
	prepare();
	umask(0);
	values = mmap(NULL, 16 * sizeof *values, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hook = acl_hook;
	passing(",allow_other");
	passing(",allow_other,default_permissions");
	checks(FUSE_POSIX_ACL);
	checks(FUSE_POSIX_ACL | FUSE_DONT_MASK);
	lies();
	rmdir("/f");
	return 0;
}
