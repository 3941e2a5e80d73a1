/* Shared mounts: peers, slaves, private and unbindable ones; mounting, unmounting, binding and moving among them. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

#define ROOT "/tmp/shared"

static int seen[64], seen_count;

/* Numbers of groups in the order in which they are first shown. */
static int rank(int number)
{
	for (int i = 0; i < seen_count; i++)
		if (seen[i] == number)
			return i + 1;
	seen[seen_count++] = number;
	return seen_count;
}

static void show(const char *when)
{
	char line[1024];
	FILE *file = fopen("/proc/self/mountinfo", "r");
	printf("-- %s\n", when);
	while (fgets(line, sizeof line, file)) {
		char *saved, *word = strtok_r(line, " ", &saved), *point = NULL;
		for (int i = 0; word && strcmp(word, "-"); i++, word = strtok_r(NULL, " ", &saved)) {
			int number;
			if (i == 4) {
				point = word;
				if (strncmp(point, ROOT, strlen(ROOT)))
					break;
				printf("%s:", point + strlen(ROOT));
			} else if (i > 5 && sscanf(word, "shared:%d", &number) == 1)
				printf(" shared %d", rank(number));
			else if (i > 5 && sscanf(word, "master:%d", &number) == 1)
				printf(" master %d", rank(number));
			else if (i > 5)
				printf(" %s", word);
		}
		if (point && !strncmp(point, ROOT, strlen(ROOT)))
			printf("\n");
	}
	fclose(file);
}

static int new_mount(const char *path, const char *mark)
{
	char name[256];
	int result = mount("none", path, "tmpfs", 0, NULL);
	if (result == 0) {
		snprintf(name, sizeof name, "%s/%s", path, mark);
		close((int)MUST(open(name, O_CREAT | O_WRONLY, 0600)));
	}
	return result;
}

#define CHANGE(path, flags) mount("none", ROOT path, NULL, flags, NULL)
#define BIND(source, target, flags) mount(ROOT source, ROOT target, NULL, MS_BIND | (flags), NULL)
#define MOVE(source, target) mount(ROOT source, ROOT target, NULL, MS_MOVE, NULL)
#define IS_THERE(path) printf("%s: %s\n", path, access(ROOT path, F_OK) == 0 ? "yes" : "no")

static void begin(void)
{
	static const char *names[] = {"", "/a", "/b", "/c", "/d"};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64];
		snprintf(path, sizeof path, ROOT "%s", names[i]);
		MUST(mkdir(path, 0755));
		if (i == 0)
			MUST(new_mount(ROOT, "top"));
	}
	MUST(new_mount(ROOT "/a", "first"));
	MUST(mkdir(ROOT "/a/x", 0755));
	MUST(mkdir(ROOT "/a/y", 0755));
	MUST(CHANGE("/a", MS_SHARED));
	MUST(BIND("/a", "/b", 0));
}

static void end(void)
{
	MUST(umount2(ROOT, MNT_DETACH));
	MUST(rmdir(ROOT));
	seen_count = 0;
}

static void peers(void)
{
	begin();
	show("peers");
	SHOW(new_mount(ROOT "/a/x", "one"));
	IS_THERE("/b/x/one");
	SHOW(new_mount(ROOT "/b/y", "two"));
	IS_THERE("/a/y/two");
	SHOW(new_mount(ROOT "/b/x", "three"));
	IS_THERE("/a/x/three");
	show("mounted");
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/b/x/three");
	IS_THERE("/b/x/one");
	SHOW(umount(ROOT "/b/x"));
	SHOW(umount(ROOT "/a/y"));
	show("unmounted");
	SHOW(umount(ROOT "/a/y"));
	int used = (int)MUST(open(ROOT "/a", O_RDONLY));
	SHOW(umount(ROOT "/a"));
	SHOW(umount(ROOT "/b"));
	close(used);
	end();
}

static void slaves(void)
{
	begin();
	SHOW(CHANGE("/b", MS_SLAVE));
	show("b is a slave");
	SHOW(new_mount(ROOT "/a/x", "one"));
	SHOW(new_mount(ROOT "/b/y", "two"));
	IS_THERE("/b/x/one");
	IS_THERE("/a/y/two");
	show("mounted");
	SHOW(BIND("/b", "/c", 0));
	SHOW(BIND("/b", "/d", MS_REC));
	show("c and d are like b");
	SHOW(CHANGE("/c", MS_SHARED));
	show("c is shared");
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/b/x/one");
	SHOW(new_mount(ROOT "/a/x", "three"));
	IS_THERE("/b/x/three");
	IS_THERE("/c/x/three");
	IS_THERE("/d/x/three");
	show("mounted again");
	SHOW(CHANGE("/a", MS_PRIVATE));
	show("a is private");
	SHOW(CHANGE("/b", MS_SLAVE));
	SHOW(CHANGE("/c", MS_SLAVE));
	show("slaves of nobody");
	end();
}

static void both(void)
{
	begin();
	SHOW(CHANGE("/b", MS_SLAVE));
	SHOW(CHANGE("/b", MS_SHARED));
	SHOW(BIND("/b", "/c", 0));
	SHOW(BIND("/c", "/d", 0));
	SHOW(CHANGE("/d", MS_SLAVE));
	show("a gives to b and c, these to d");
	SHOW(new_mount(ROOT "/a/x", "one"));
	IS_THERE("/b/x/one");
	IS_THERE("/c/x/one");
	IS_THERE("/d/x/one");
	SHOW(new_mount(ROOT "/c/y", "two"));
	IS_THERE("/a/y/two");
	IS_THERE("/b/y/two");
	IS_THERE("/d/y/two");
	show("mounted");
	SHOW(CHANGE("/b", MS_PRIVATE));
	SHOW(CHANGE("/c", MS_PRIVATE));
	show("d has a as its master");
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/b/x/one");
	IS_THERE("/d/x/one");
	end();
}

static void parts(void)
{
	begin();
	MUST(mkdir(ROOT "/a/x/inner", 0755));
	SHOW(BIND("/a/x", "/c", 0));
	SHOW(new_mount(ROOT "/a/y", "one"));
	SHOW(new_mount(ROOT "/c/inner", "two"));
	IS_THERE("/a/x/inner/two");
	IS_THERE("/b/x/inner/two");
	show("c shows a part of a");
	end();
}

static void trees(void)
{
	begin();
	MUST(new_mount(ROOT "/c", "one"));
	MUST(mkdir(ROOT "/c/inner", 0755));
	MUST(new_mount(ROOT "/c/inner", "two"));
	SHOW(BIND("/c", "/a/x", MS_REC));
	IS_THERE("/b/x/inner/two");
	show("bound");
	SHOW(MOVE("/c", "/b/y"));
	IS_THERE("/a/y/inner/two");
	IS_THERE("/c/one");
	show("moved");
	SHOW(MOVE("/b/y", "/c"));
	SHOW(umount(ROOT "/a/x"));
	SHOW(umount2(ROOT "/a/x", MNT_DETACH));
	show("detached");
	MUST(new_mount(ROOT "/d", "three"));
	SHOW(CHANGE("/d", MS_UNBINDABLE));
	SHOW(BIND("/d", "/c", 0));
	SHOW(MOVE("/d", "/b/x"));
	SHOW(CHANGE("/d", MS_SHARED));
	show("unbindable, and then shared");
	SHOW(MOVE("/d", "/b/x"));
	SHOW(CHANGE("/d", MS_SHARED | MS_SLAVE));
	SHOW(CHANGE("/d", MS_SHARED | MS_RDONLY));
	SHOW(CHANGE("/a/x/none", MS_SHARED));
	SHOW(mount(NULL, ROOT, NULL, MS_REC | MS_SLAVE, NULL));
	show("all are slaves");
	end();
}

static void covered(void)
{
	begin();
	SHOW(CHANGE("/b", MS_SLAVE));
	SHOW(new_mount(ROOT "/b/x", "upper"));
	SHOW(new_mount(ROOT "/a/x", "lower"));
	IS_THERE("/b/x/upper");
	show("below");
	SHOW(umount(ROOT "/b/x"));
	IS_THERE("/b/x/lower");
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/b/x/lower");
	end();
}

static void busy(void)
{
	begin();
	SHOW(new_mount(ROOT "/a/x", "one"));
	int used = (int)MUST(open(ROOT "/b/x/one", O_RDONLY));
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/a/x/one");
	close(used);
	MUST(mkdir(ROOT "/b/x/inner", 0755));
	SHOW(CHANGE("/b/x", MS_PRIVATE));
	SHOW(new_mount(ROOT "/b/x/inner", "two"));
	SHOW(umount(ROOT "/a/x"));
	IS_THERE("/b/x/inner/two");
	show("what has something on it stays");
	end();
}

static void namespaces(void)
{
	int there[2], back[2];
	char byte;
	begin();
	MUST(pipe(there));
	MUST(pipe(back));
	fflush(stdout);
	pid_t child = (pid_t)MUST(fork());
	if (child == 0) {
		MUST(unshare(CLONE_NEWNS));
		show("copied");
		SHOW(CHANGE("/b", MS_SLAVE));
		MUST(write(there[1], "", 1));
		MUST(read(back[0], &byte, 1));
		IS_THERE("/a/x/one");
		IS_THERE("/b/x/one");
		SHOW(new_mount(ROOT "/a/y", "two"));
		SHOW(umount(ROOT "/b/x"));
		show("inside");
		fflush(stdout);
		_exit(0);
	}
	MUST(read(there[0], &byte, 1));
	MUST(new_mount(ROOT "/a/x", "one"));
	MUST(write(back[1], "", 1));
	show_end(child);
	IS_THERE("/a/y/two");
	IS_THERE("/b/y/two");
	IS_THERE("/a/x/one");
	IS_THERE("/b/x/one");
	show("outside");
	end();
}

int main(void)
{
	peers();
	slaves();
	both();
	parts();
	trees();
	covered();
	busy();
	namespaces();
	return 0;
}
