/* Whose keyrings there are: threads, processes, sessions, users; who inherits them; permissions, quotas, what is listed. */
#include "keys_case.h"
#include <pthread.h>
#include <sched.h>

static int serial(int keyring)
{
	return (int)CONTROL(GET_ID, keyring, 0, 0, 0);
}

static void *in_thread(void *argument)
{
	int *known = argument;
	CHECK(serial(PROCESS) == known[0]);
	CHECK(serial(SESSION) == known[1]);
	CHECK(serial(THREAD) != known[2]);
	SHOW(CONTROL(SEARCH, PROCESS, "user", "p", 0) > 0);
	SHOW(CONTROL(SEARCH, THREAD, "user", "t", 0));
	SHOW(request("user", "t", NULL, 0));
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	CHECK(serial(SESSION) != known[1]);
	return NULL;
}

static void sharing(const char *self)
{
	int known[3];
	TRY(serial(THREAD));
	TRY(serial(PROCESS));
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	MUST(add("user", "t", "x", 1, THREAD));
	MUST(add("user", "p", "x", 1, PROCESS));
	int key = (int)MUST(add("user", "s", "x", 1, SESSION));
	known[0] = serial(PROCESS);
	known[1] = serial(SESSION);
	known[2] = serial(THREAD);
	listed("thread's", known[2]);
	listed("process's", known[0]);
	listed("session's", known[1]);
	pthread_t thread;
	pthread_create(&thread, NULL, in_thread, known);
	pthread_join(thread, NULL);
	CHECK(serial(SESSION) == known[1]);
	IN_CHILD({
		TRY(serial(THREAD));
		TRY(serial(PROCESS));
		CHECK(serial(SESSION) == known[1]);
		CHECK(request("user", "s", NULL, 0) == key);
		SHOW(request("user", "p", NULL, 0));
		SHOW(CONTROL(READ, known[0], NULL, 0, 0));
		MUST(add("user", "p", "x", 1, PROCESS));
		char number[16];
		char second[16];
		snprintf(number, sizeof number, "%d", known[1]);
		snprintf(second, sizeof second, "%d", key);
		execl(self, self, number, second, (char *)NULL);
	});
	IN_CHILD({
		MUST(setgid(1000));
		MUST(setuid(1000));
		CHECK(serial(SESSION) == known[1]);
		SHOW(CONTROL(SEARCH, SESSION, "user", "s", 0) == key);
		describe("root's", key);
		SHOW(CONTROL(UPDATE, key, "y", 1, 0));
		SHOW(CONTROL(SETPERM, key, 0x3f3f3f3f, 0, 0));
		TRY(add("user", "mine", "x", 1, SESSION));
		describe("of the user", OF_USER);
	});
	IN_CHILD({
		MUST(add("user", "x", "x", 1, THREAD));
		describe("before", THREAD);
		MUST(setgid(1000));
		MUST(setuid(1000));
		describe("after", THREAD);
	});
}

static void sessions(void)
{
	int first = (int)MUST(CONTROL(JOIN, "named", 0, 0, 0));
	describe("named", SESSION);
	TRY(CONTROL(JOIN, "named", 0, 0, 0));
	CHECK(serial(SESSION) == first);
	int second = (int)MUST(CONTROL(JOIN, "another", 0, 0, 0));
	CHECK(second != first);
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	describe("without a name", SESSION);
	SHOW(CONTROL(JOIN, ".x", 0, 0, 0));
	SHOW(CONTROL(JOIN, (char *)-1l, 0, 0, 0));
	TRY(CONTROL(JOIN, "", 0, 0, 0));
	MUST(CONTROL(JOIN, "shared", 0, 0, 0));
	int shared = serial(SESSION);
	IN_CHILD({
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		int joined = (int)MUST(CONTROL(JOIN, "shared", 0, 0, 0));
		CHECK(joined != shared);
	});
	MUST(CONTROL(SETPERM, shared, 0x3f3f0000, 0, 0));
	IN_CHILD({
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		CHECK(CONTROL(JOIN, "shared", 0, 0, 0) == shared);
	});
	IN_CHILD({
		MUST(setuid(1000));
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		int joined = (int)MUST(CONTROL(JOIN, "shared", 0, 0, 0));
		CHECK(joined != shared);
	});
}

static void to_parent(void)
{
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	int before = serial(SESSION), ends[2];
	MUST(pipe(ends));
	SHOW(CONTROL(TO_PARENT, 0, 0, 0, 0));
	IN_CHILD({
		SHOW(CONTROL(TO_PARENT, 0, 0, 0, 0));
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		int fresh = serial(SESSION);
		SHOW(CONTROL(TO_PARENT, 0, 0, 0, 0));
		MUST(write(ends[1], &fresh, sizeof fresh));
	});
	int fresh;
	MUST(read(ends[0], &fresh, sizeof fresh));
	CHECK(serial(SESSION) == fresh && fresh != before);
	IN_CHILD({
		MUST(setuid(1000));
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		SHOW(CONTROL(TO_PARENT, 0, 0, 0, 0));
	});
	CHECK(serial(SESSION) == fresh);
}

static void permissions(void)
{
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION)), key = (int)MUST(add("user", "k", "x", 1, ring));
	char buffer[16];
	unsigned rights[] = {0x3f000000, 0x01000000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x003f0000,
		0x00003f00, 0x0000003f, 0, 0x01003e00};
	for (unsigned i = 0; i < sizeof rights / sizeof *rights; i++) {
		printf("-- %08x\n", rights[i]);
		IN_CHILD({
			int each = (int)MUST(add("user", "each", "x", 1, SESSION));
			MUST(CONTROL(SETPERM, each, rights[i], 0, 0));
			for (int who = 0; who < 3; who++) {
				char name[32];
				snprintf(name, sizeof name, "victim %u %d", i, who);
				int victim = (int)MUST(add("user", name, "x", 1, SESSION));
				MUST(CONTROL(SETPERM, victim, rights[i], 0, 0));
				IN_CHILD({
					if (who == 1) {
						gid_t groups[] = {0};
						MUST(setgroups(1, groups));
						MUST(setgid(1000));
						MUST(setuid(1000));
					} else if (who == 2) {
						MUST(setgroups(0, NULL));
						MUST(setgid(1000));
						MUST(setuid(1000));
					}
					describe("view", each);
					SHOW(CONTROL(READ, each, buffer, sizeof buffer, 0));
					SHOW(CONTROL(UPDATE, each, "y", 1, 0));
					SHOW(CONTROL(SEARCH, SESSION, "user", "each", 0) == each);
					SHOW(CONTROL(LINK, each, PROCESS, 0, 0));
					SHOW(CONTROL(TIMEOUT, each, 100, 0, 0));
					SHOW(CONTROL(CHOWN, each, -1, 0, 0));
					SHOW(CONTROL(CHOWN, each, -1, 77, 0));
					SHOW(CONTROL(CHOWN, each, 77, -1, 0));
					SHOW(CONTROL(SETPERM, each, rights[i], 0, 0));
					SHOW(CONTROL(INVALIDATE, victim, 0, 0, 0));
					SHOW(CONTROL(INVALIDATE, victim, 0, 0, 0));
					MUST(CONTROL(JOIN, NULL, 0, 0, 0));
					puts("without possession");
					describe("view", each);
					SHOW(CONTROL(READ, each, buffer, sizeof buffer, 0));
					SHOW(CONTROL(UPDATE, each, "y", 1, 0));
					SHOW(CONTROL(LINK, each, PROCESS, 0, 0));
					SHOW(CONTROL(UNLINK, each, PROCESS, 0, 0));
				});
			}
			SHOW(CONTROL(REVOKE, each, 0, 0, 0));
		});
	}
	puts("-- a keyring that may not be searched");
	MUST(CONTROL(SETPERM, ring, 0x37000000, 0, 0));
	SHOW(CONTROL(SEARCH, SESSION, "user", "k", 0));
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	SHOW(CONTROL(SEARCH, ring, "user", "k", 0));
	SHOW(CONTROL(GET_ID, ring, 0, 0, 0));
}

static void quotas(void)
{
	char name[64], buffer[20001];
	memset(buffer, 'q', sizeof buffer);
	MUST(setgid(1003));
	MUST(setuid(1003));
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	quota("at first");
	int key = (int)MUST(add("user", "one", "12345", 5, SESSION));
	quota("a key");
	MUST(CONTROL(UPDATE, key, "123456789", 9, 0));
	quota("a longer one");
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION));
	quota("a keyring");
	MUST(CONTROL(LINK, key, ring, 0, 0));
	quota("a link");
	MUST(CONTROL(UNLINK, key, ring, 0, 0));
	quota("no link");
	MUST(CONTROL(REVOKE, key, 0, 0, 0));
	quota("revoked");
	MUST(CONTROL(UNLINK, key, SESSION, 0, 0));
	settle_for(100);
	quota("gone");
	SHOW(add("user", "large", buffer, 20000, SESSION));
	SHOW(request("user", "made", "info", 0));
	settle_for(100);
	int count = 0;
	for (;; count++) {
		snprintf(name, sizeof name, "n%d", count);
		if (add("user", name, "x", 1, SESSION) < 0)
			break;
	}
	printf("%s after %d\n", error_name(errno), count < 150 ? count : 150);
	TRY(add("keyring", "no room", NULL, 0, SESSION));
	TRY(CONTROL(JOIN, NULL, 0, 0, 0));
	TRY(CONTROL(GET_ID, THREAD, 1, 0, 0));
	TRY(CONTROL(GET_ID, PROCESS, 1, 0, 0));
	TRY(CONTROL(CLEAR, SESSION, 0, 0, 0));
	settle_for(100);
	TRY(add("user", "again", "x", 1, SESSION));
	SHOW(add("user", "large", buffer, 19000, SESSION) > 0);
	SHOW(add("user", "larger", buffer, 2000, SESSION));
	TRY(CONTROL(UPDATE, add("user", "small", "x", 1, SESSION), buffer, 2000, 0));
}

static void persistent(void)
{
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	int first = (int)MUST(CONTROL(PERSISTENT, -1, SESSION, 0, 0));
	describe("persistent", first);
	CHECK(CONTROL(PERSISTENT, 0, SESSION, 0, 0) == first);
	int other = (int)MUST(CONTROL(PERSISTENT, 1004, SESSION, 0, 0));
	CHECK(other != first);
	members("the session", SESSION);
	SHOW(CONTROL(PERSISTENT, -1, 1, 0, 0));
	SHOW(CONTROL(PERSISTENT, -1, add("user", "no keyring", "x", 1, SESSION), 0, 0));
	LISTED_AFTER("persistent", first, CONTROL(PERSISTENT, 0, SESSION, 0, 0));
	IN_CHILD({
		MUST(setuid(1004));
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		TRY(CONTROL(PERSISTENT, -1, SESSION, 0, 0));
		TRY(CONTROL(PERSISTENT, 1004, PROCESS, 0, 0));
		SHOW(CONTROL(PERSISTENT, 0, SESSION, 0, 0));
		SHOW(CONTROL(PERSISTENT, 1005, SESSION, 0, 0));
		SHOW(CONTROL(PERSISTENT, 1005, 1, 0, 0));
	});
}

/* Where a key goes that nobody made. */
static void defaults(void)
{
	MUST(setuid(1010));
	for (int own = 0; own < 4; own++)
		for (int chosen = 0; chosen < 8; chosen++)
			IN_CHILD({
				printf("-- own keyrings %d, chosen %d\n", own, chosen);
				MUST(CONTROL(JOIN, NULL, 0, 0, 0));
				MUST(CONTROL(CLEAR, USER_SESSION, 0, 0, 0));
				MUST(CONTROL(CLEAR, OF_USER, 0, 0, 0));
				if (own & 1)
					MUST(CONTROL(GET_ID, THREAD, 1, 0, 0));
				if (own & 2)
					MUST(CONTROL(GET_ID, PROCESS, 1, 0, 0));
				SHOW(CONTROL(SET_DEFAULT, chosen, 0, 0, 0));
				SHOW(request("user", "missing", "info", 0));
				members("thread's", THREAD);
				members("process's", PROCESS);
				members("session's", SESSION);
				members("user's", OF_USER);
				members("user session's", USER_SESSION);
			});
}

static void listing(void)
{
	MUST(CONTROL(JOIN, NULL, 0, 0, 0));
	int key = (int)MUST(add("user", "with space", "12345", 5, SESSION)), ring = (int)MUST(add("keyring", "r", NULL, 0, SESSION));
	int logon = (int)MUST(add("logon", "s:l", "123", 3, ring));
	int hidden = (int)MUST(add("user", "hidden", "12345", 5, SESSION));
	MUST(CONTROL(SETPERM, hidden, 0x3e3e0000, 0, 0));
	listed("user", key);
	listed("keyring", ring);
	listed("logon", logon);
	listed("hidden", hidden);
	LISTED_AFTER("seconds", key, CONTROL(TIMEOUT, key, 30, 0, 0));
	MUST(CONTROL(TIMEOUT, key, 130, 0, 0));
	listed("minutes", key);
	MUST(CONTROL(TIMEOUT, key, 7300, 0, 0));
	listed("hours", key);
	MUST(CONTROL(TIMEOUT, key, 180000, 0, 0));
	listed("days", key);
	MUST(CONTROL(TIMEOUT, key, 1300000, 0, 0));
	listed("weeks", key);
	MUST(CONTROL(CHOWN, key, 1001, 1002, 0));
	listed("owner", key);
	SHOW(request("user", "negative", "info", ring));
	members("with a negative key", ring);
	IN_CHILD({
		MUST(setuid(1000));
		listed("possessed", ring);
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		listed("not possessed", ring);
		listed("another's", key);
	});
	show_file("/proc/sys/kernel/keys/maxkeys");
	show_file("/proc/sys/kernel/keys/maxbytes");
	show_file("/proc/sys/kernel/keys/root_maxkeys");
	show_file("/proc/sys/kernel/keys/root_maxbytes");
	show_file("/proc/sys/kernel/keys/gc_delay");
	show_file("/proc/sys/kernel/keys/persistent_keyring_expiry");
}

int main(int count, char **arguments)
{
	char self[512] = "";
	MUST(readlink("/proc/self/exe", self, sizeof self - 1));
	if (count > 2) {
		TRY(serial(PROCESS));
		CHECK(serial(SESSION) == atoi(arguments[1]));
		CHECK(request("user", "s", NULL, 0) == atoi(arguments[2]));
		return 0;
	}
	puts("== sharing");
	IN_CHILD(sharing(self));
	puts("== sessions");
	IN_CHILD(sessions());
	puts("== to the parent");
	IN_CHILD(to_parent());
	puts("== permissions");
	IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); permissions());
	puts("== quotas");
	IN_CHILD(quotas());
	puts("== persistent");
	IN_CHILD(persistent());
	puts("== defaults");
	IN_CHILD(defaults());
	puts("== listing");
	IN_CHILD(listing());
	return 0;
}
