/* add_key(2), request_key(2), keyctl(2): each operation, its errors and their order. */
#include "keys_case.h"

static char big[1 << 20];

static void adding(void)
{
	char longest[5000];
	memset(longest, 'n', sizeof longest);
	longest[4999] = 0;
	memset(big, 'b', sizeof big);
	TRY(add("user", "a", "x", 1, SESSION));
	TRY(add("user", "a", "x", 0, SESSION));
	TRY(add("user", "a", NULL, 0, SESSION));
	TRY(add("user", "a", NULL, 1, SESSION));
	TRY(add("user", "", "x", 1, SESSION));
	TRY(add("user", NULL, "x", 1, SESSION));
	TRY(add("", "a", "x", 1, SESSION));
	TRY(add(NULL, "a", "x", 1, SESSION));
	TRY(add("none", "a", "x", 1, SESSION));
	TRY(add("none", "a", "x", 1, 0));
	TRY(add(".none", "a", "x", 1, SESSION));
	TRY(add("abcdefghijabcdefghijabcdefghij1", "a", "x", 1, SESSION));
	TRY(add("abcdefghijabcdefghijabcdefghij12", "a", "x", 1, SESSION));
	TRY(add("keyring", "k", NULL, 0, SESSION));
	TRY(add("keyring", "k", "x", 1, SESSION));
	TRY(add("keyring", ".k", NULL, 0, SESSION));
	TRY(add("keyring", "", NULL, 0, SESSION));
	TRY(add("user", ".u", "x", 1, SESSION));
	TRY(add("logon", "a", "x", 1, SESSION));
	TRY(add("logon", ":a", "x", 1, SESSION));
	TRY(add("logon", "s:", "x", 1, SESSION));
	TRY(add("logon", "s:a", "x", 1, SESSION));
	TRY(add("logon", "s:a", "y", 1, SESSION));
	TRY(add("user", longest, "x", 1, SESSION));
	longest[4095] = 0;
	TRY(add("user", longest, "x", 1, SESSION));
	longest[4096 - 1] = 'n';
	longest[4096] = 0;
	TRY(add("user", longest, "x", 1, SESSION));
	TRY(add("user", "a", big, 32767, SESSION));
	TRY(add("user", "a", big, 32768, SESSION));
	TRY(add("user", "a", big, (1 << 20) - 1, SESSION));
	TRY(add("user", "a", big, 1 << 20, SESSION));
	TRY(add(NULL, "a", big, 1 << 20, SESSION));
	TRY(add("user", "a", big, -1, SESSION));
	TRY(add("user", "a", "x", 1, 0));
	TRY(add("user", "a", "x", 1, 1));
	TRY(add("user", "a", "x", 1, GROUP));
	TRY(add("user", "a", "x", 1, AUTHORITY));
	TRY(add("user", "a", "x", 1, REQUESTOR));
	TRY(add("user", "a", "x", 1, -9));
	TRY(add("user", "a", "x", 1, -2147483647));
	int key = add("user", "a", "x", 1, SESSION);
	TRY(add("user", "in a key", "x", 1, key));
	CHECK(key == add("user", "a", "other", 5, SESSION));
	CHECK(key == add("user", "a", "other", 5, USER_SESSION) ? 0 : 1);
	int ring = add("keyring", "k", NULL, 0, SESSION);
	CHECK(ring != add("keyring", "k", NULL, 0, SESSION));
	settle_for(300);
	describe("the first", ring);
	TRY(add("user", "in an old keyring", "x", 1, ring));
}

static void special(void)
{
	int ids[] = {THREAD, PROCESS, SESSION, OF_USER, USER_SESSION, GROUP, AUTHORITY, REQUESTOR, -9, 0, 1, 0x7fffffff};
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		printf("%d: ", ids[i]);
		TRY(CONTROL(GET_ID, ids[i], 0, 0, 0));
	}
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		printf("%d: ", ids[i]);
		TRY(CONTROL(GET_ID, ids[i], 1, 0, 0));
		describe("it", ids[i]);
	}
	CHECK(CONTROL(GET_ID, THREAD, 0, 0, 0) == CONTROL(GET_ID, THREAD, 1, 0, 0));
	CHECK(CONTROL(GET_ID, OF_USER, 0, 0, 0) != CONTROL(GET_ID, USER_SESSION, 0, 0, 0));
	members("of the user's session", USER_SESSION);
}

static void reading(void)
{
	char buffer[8192];
	int key = add("user", "r", "payload", 7, SESSION), logon = add("logon", "s:r", "secret", 6, SESSION);
	int ring = add("keyring", "r", NULL, 0, SESSION), serials[4];
	size_t sizes[] = {0, 1, 6, 7, 8, 4096, 8192};
	for (unsigned i = 0; i < 7; i++) {
		memset(buffer, '-', sizeof buffer);
		printf("%zu: ", sizes[i]);
		SHOW(CONTROL(READ, key, buffer, sizes[i], 0));
		printf("%.9s\n", buffer);
	}
	SHOW(CONTROL(READ, key, NULL, 100, 0));
	SHOW(CONTROL(READ, key, (char *)-100l, 100, 0));
	SHOW(CONTROL(READ, logon, buffer, 100, 0));
	SHOW(CONTROL(READ, 1, buffer, 100, 0));
	SHOW(CONTROL(READ, -77, buffer, 100, 0));
	SHOW(CONTROL(READ, 0, buffer, 100, 0));
	int first = add("user", "1", "x", 1, ring);
	add("user", "2", "x", 1, ring);
	for (unsigned i = 0; i < 10; i++) {
		printf("%u: ", i);
		memset(serials, 0, sizeof serials);
		SHOW(CONTROL(READ, ring, serials, i, 0));
		CHECK((serials[0] != 0) == (i == 8 || i == 9));
	}
	SHOW(CONTROL(READ, ring, buffer, 8191, 0));
	SHOW(CONTROL(READ, ring, buffer, 4095, 0));
	CONTROL(UNLINK, first, ring, 0, 0);
	members("one is left", ring);
	for (int i = 0; i < 40; i += 13) {
		memset(buffer, '-', sizeof buffer);
		printf("%d: ", i);
		SHOW(CONTROL(DESCRIBE, key, buffer, i, 0));
		printf("%.40s\n", buffer);
	}
	SHOW(CONTROL(DESCRIBE, key, NULL, 100, 0));
	SHOW(CONTROL(DESCRIBE, key, (char *)-100l, 100, 0));
	describe("logon", logon);
	SHOW(CONTROL(LABEL, key, buffer, 100, 0));
	SHOW(CONTROL(LABEL, key, NULL, 0, 0));
	SHOW(CONTROL(LABEL, key, (char *)-1l, 1, 0));
	SHOW(CONTROL(LABEL, 1, buffer, 100, 0));
}

static void changing(void)
{
	char buffer[64];
	int key = add("user", "c", "one", 3, SESSION), ring = add("keyring", "c", NULL, 0, SESSION);
	int logon = add("logon", "s:c", "secret", 6, SESSION);
	SHOW(CONTROL(UPDATE, key, "second", 6, 0));
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	SHOW(CONTROL(UPDATE, key, "", 0, 0));
	SHOW(CONTROL(UPDATE, key, NULL, 1, 0));
	SHOW(CONTROL(UPDATE, key, big, 4096, 0));
	SHOW(CONTROL(UPDATE, key, big, 4097, 0));
	SHOW(CONTROL(UPDATE, 1, big, 4097, 0));
	SHOW(CONTROL(UPDATE, ring, "x", 1, 0));
	SHOW(CONTROL(UPDATE, ring, "", 0, 0));
	SHOW(CONTROL(UPDATE, logon, "x", 1, 0));
	SHOW(CONTROL(SETPERM, key, 0x3f3f3f3f, 0, 0));
	describe("all", key);
	SHOW(CONTROL(SETPERM, key, 0x40000000, 0, 0));
	SHOW(CONTROL(SETPERM, key, 0x3f3f3f40, 0, 0));
	SHOW(CONTROL(SETPERM, 1, 0x80, 0, 0));
	SHOW(CONTROL(SETPERM, 1, 0, 0, 0));
	SHOW(CONTROL(CHOWN, key, -1, -1, 0));
	SHOW(CONTROL(CHOWN, 1, -1, -1, 0));
	SHOW(CONTROL(CHOWN, 1, 0, -1, 0));
	SHOW(CONTROL(CHOWN, key, 1001, 1002, 0));
	describe("given away", key);
	SHOW(CONTROL(CHOWN, key, 0, 0, 0));
	SHOW(CONTROL(TIMEOUT, key, 1000, 0, 0));
	SHOW(CONTROL(TIMEOUT, key, 0, 0, 0));
	SHOW(CONTROL(TIMEOUT, key, 0xffffffff, 0, 0));
	SHOW(CONTROL(TIMEOUT, 1, 0, 0, 0));
	SHOW(CONTROL(REVOKE, 1, 0, 0, 0));
	SHOW(CONTROL(REVOKE, key, 0, 0, 0));
	SHOW(CONTROL(REVOKE, key, 0, 0, 0));
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	SHOW(CONTROL(UPDATE, key, "x", 1, 0));
	describe("revoked", key);
	listed("revoked", key);
	SHOW(CONTROL(SEARCH, SESSION, "user", "c", 0));
	SHOW(CONTROL(LINK, key, ring, 0, 0));
	TRY(add("user", "c", "new", 3, SESSION));
	settle_for(300);
	SHOW(CONTROL(UNLINK, key, SESSION, 0, 0));
	key = add("user", "i", "one", 3, ring);
	SHOW(CONTROL(INVALIDATE, key, 0, 0, 0));
	settle_for(200);
	SHOW(CONTROL(INVALIDATE, key, 0, 0, 0));
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	members("after the end", ring);
	key = add("user", "i", "one", 3, ring);
	SHOW(CONTROL(REVOKE, ring, 0, 0, 0));
	settle_for(300);
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	TRY(add("user", "in a revoked keyring", "one", 3, ring));
	members("revoked", ring);
	SHOW(CONTROL(CLEAR, ring, 0, 0, 0));
	ring = add("keyring", "cleared", NULL, 0, SESSION);
	add("user", "i", "one", 3, ring);
	SHOW(CONTROL(CLEAR, ring, 0, 0, 0));
	members("cleared", ring);
	SHOW(CONTROL(CLEAR, logon, 0, 0, 0));
	SHOW(CONTROL(CLEAR, 1, 0, 0, 0));
}

static void expiring(void)
{
	char buffer[16];
	int key = add("user", "e", "one", 3, SESSION);
	SHOW(CONTROL(TIMEOUT, key, 100, 0, 0));
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	SHOW(CONTROL(TIMEOUT, key, 1, 0, 0));
	usleep(2100000);
	SHOW(CONTROL(READ, key, buffer, sizeof buffer, 0));
	SHOW(CONTROL(SEARCH, SESSION, "user", "e", 0));
	SHOW(request("user", "e", NULL, 0));
	describe("expired", key);
	listed("expired", key);
	SHOW(CONTROL(TIMEOUT, key, 0, 0, 0));
	SHOW(CONTROL(LINK, key, SESSION, 0, 0));
	SHOW(CONTROL(UNLINK, key, SESSION, 0, 0));
	int fresh = add("user", "f", "one", 3, SESSION);
	SHOW(CONTROL(TIMEOUT, fresh, 1, 0, 0));
	usleep(2100000);
	CHECK(add("user", "f", "two", 3, SESSION) == fresh);
	SHOW(CONTROL(READ, fresh, buffer, sizeof buffer, 0));
}

static void linking(void)
{
	int a = add("keyring", "la", NULL, 0, SESSION), b = add("keyring", "lb", NULL, 0, a), c = add("keyring", "lc", NULL, 0, b);
	int key = add("user", "l", "one", 3, c), other;
	SHOW(CONTROL(LINK, key, a, 0, 0));
	SHOW(CONTROL(LINK, key, a, 0, 0));
	members("a", a);
	SHOW(CONTROL(LINK, a, c, 0, 0));
	SHOW(CONTROL(LINK, a, a, 0, 0));
	SHOW(CONTROL(LINK, b, a, 0, 0));
	SHOW(CONTROL(LINK, key, key, 0, 0));
	SHOW(CONTROL(LINK, 1, a, 0, 0));
	SHOW(CONTROL(LINK, key, 1, 0, 0));
	SHOW(CONTROL(LINK, 1, 1, 0, 0));
	SHOW(CONTROL(UNLINK, key, b, 0, 0));
	SHOW(CONTROL(UNLINK, key, a, 0, 0));
	SHOW(CONTROL(UNLINK, key, a, 0, 0));
	SHOW(CONTROL(UNLINK, key, key, 0, 0));
	SHOW(CONTROL(UNLINK, 1, a, 0, 0));
	other = add("user", "l", "two", 3, a);
	CHECK(other != key);
	int by_name = add("keyring", "by name", NULL, 0, SESSION);
	add("user", "l", "three", 5, by_name);
	SHOW(CONTROL(UNLINK, key, by_name, 0, 0));
	members("what had another of the name", by_name);
	SHOW(CONTROL(LINK, key, a, 0, 0));
	members("a, with the other's name", a);
	SHOW(CONTROL(MOVE, key, a, b, 0));
	SHOW(CONTROL(MOVE, key, a, b, 0));
	SHOW(CONTROL(MOVE, key, b, b, 0));
	SHOW(CONTROL(MOVE, key, b, c, 1));
	SHOW(CONTROL(MOVE, key, b, c, 2));
	SHOW(CONTROL(MOVE, key, b, c, 0));
	SHOW(CONTROL(MOVE, key, b, key, 0));
	SHOW(CONTROL(MOVE, key, key, b, 0));
	SHOW(CONTROL(MOVE, 1, b, a, 0));
	SHOW(CONTROL(MOVE, b, a, c, 0));
	members("b", b);
	members("c", c);
	/* Deeper than a search goes. */
	int ring = a;
	for (int i = 0; i < 9; i++) {
		char name[8];
		snprintf(name, sizeof name, "deep%d", i);
		ring = add("keyring", name, NULL, 0, ring);
		snprintf(name, sizeof name, "key%d", i);
		add("user", name, "x", 1, ring);
		SHOW(CONTROL(SEARCH, a, "user", name, 0) > 0);
		SHOW(CONTROL(LINK, a, ring, 0, 0));
	}
	int top = add("keyring", "top", NULL, 0, SESSION);
	SHOW(CONTROL(LINK, a, top, 0, 0));
	SHOW(CONTROL(LINK, SESSION, top, 0, 0));
	SHOW(CONTROL(SEARCH, a, "user", "missing", 0));
}

static void searching(void)
{
	int a = add("keyring", "sa", NULL, 0, SESSION), b = add("keyring", "sb", NULL, 0, a);
	int key = add("user", "s", "one", 3, b);
	CHECK(CONTROL(SEARCH, a, "user", "s", 0) == key);
	CHECK(CONTROL(SEARCH, SESSION, "user", "s", 0) == key);
	CHECK(CONTROL(SEARCH, a, "keyring", "sb", 0) == b);
	CHECK(CONTROL(SEARCH, a, "keyring", "sa", 0) == a);
	SHOW(CONTROL(SEARCH, a, "user", "none", 0));
	SHOW(CONTROL(SEARCH, a, "logon", "s", 0));
	SHOW(CONTROL(SEARCH, a, "bad", "s", 0));
	SHOW(CONTROL(SEARCH, a, ".bad", "s", 0));
	SHOW(CONTROL(SEARCH, 1, ".bad", "s", 0));
	SHOW(CONTROL(SEARCH, 1, "bad", "s", 0));
	SHOW(CONTROL(SEARCH, key, "user", "s", 0));
	SHOW(CONTROL(SEARCH, a, "user", NULL, 0));
	SHOW(CONTROL(SEARCH, a, NULL, "s", 0));
	SHOW(CONTROL(SEARCH, a, "user", "", 0));
	CHECK(CONTROL(SEARCH, a, "user", "s", a) == key);
	members("a", a);
	SHOW(CONTROL(SEARCH, a, "user", "s", 1));
	SHOW(CONTROL(SEARCH, a, "user", "s", key));
	CHECK(request("user", "s", NULL, 0) == key);
	CHECK(request("user", "s", "info", PROCESS) == key);
	members("the process's", PROCESS);
	SHOW(request("user", "none", NULL, 0));
	SHOW(request("user", "none", NULL, SESSION));
	SHOW(request("bad", "none", NULL, 0));
	SHOW(request(".bad", "none", NULL, 0));
	SHOW(request("user", NULL, NULL, 0));
	SHOW(request("user", "none", (char *)-1l, 0));
	SHOW(request("user", "s", NULL, 1));
	SHOW(request("user", "s", NULL, key));
	SHOW(request("keyring", "none", "info", 0));
	SHOW(request("user", "made", "info", a));
	SHOW(request("user", "made", "info", a));
	SHOW(request("user", "made", NULL, 0));
	int missing = (int)CONTROL(SEARCH, a, "user", "made", 0);
	CHECK(missing == -1 && errno == 126);
	SHOW(request("logon", "bad", "info", a));
	CHECK(add("user", "made", "x", 1, a) > 0);
	SHOW(CONTROL(SEARCH, a, "user", "made", 0) > 0);
}

static void others(void)
{
	unsigned char buffer[8];
	int key = add("user", "o", "one", 3, SESSION), ring = add("keyring", "o", NULL, 0, SESSION);
	SHOW(CONTROL(CAPABILITIES, NULL, 0, 0, 0));
	SHOW(CONTROL(CAPABILITIES, NULL, 1, 0, 0));
	memset(buffer, 0xee, sizeof buffer);
	SHOW(CONTROL(CAPABILITIES, buffer, 8, 0, 0));
	printf("%02x %02x %02x %02x\n", buffer[0], buffer[1], buffer[2], buffer[7]);
	buffer[1] = 0xee;
	SHOW(CONTROL(CAPABILITIES, buffer, 1, 0, 0));
	printf("%02x\n", buffer[1]);
	SHOW(CONTROL(RESTRICT, ring, NULL, "x", 0));
	SHOW(CONTROL(RESTRICT, ring, "user", NULL, 0));
	SHOW(CONTROL(RESTRICT, ring, "user", "x", 0));
	SHOW(CONTROL(RESTRICT, ring, "bad", "x", 0));
	SHOW(CONTROL(RESTRICT, ring, ".bad", "x", 0));
	SHOW(CONTROL(RESTRICT, key, NULL, NULL, 0));
	SHOW(CONTROL(RESTRICT, key, "user", "x", 0));
	SHOW(CONTROL(RESTRICT, 1, NULL, "x", 0));
	SHOW(CONTROL(RESTRICT, ring, NULL, NULL, 0));
	SHOW(CONTROL(RESTRICT, ring, NULL, NULL, 0));
	TRY(add("user", "o", "one", 3, ring));
	SHOW(CONTROL(LINK, key, ring, 0, 0));
	SHOW(CONTROL(MOVE, key, SESSION, ring, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1, 0));
	SHOW(CONTROL(INSTANTIATE, key, "x", 1 << 20, 0));
	SHOW(CONTROL(INSTANTIATE_IOV, key, NULL, 0, 0));
	SHOW(CONTROL(NEGATE, key, 1, 0, 0));
	SHOW(CONTROL(REJECT, key, 1, 5, 0));
	SHOW(CONTROL(REJECT, key, 1, 0, 0));
	SHOW(CONTROL(REJECT, key, 1, 4095, 0));
	SHOW(CONTROL(REJECT, key, 1, 4094, 0));
	SHOW(CONTROL(REJECT, key, 1, 512, 0));
	SHOW(CONTROL(ASSUME, 0, 0, 0, 0));
	SHOW(CONTROL(ASSUME, -1, 0, 0, 0));
	SHOW(CONTROL(ASSUME, key, 0, 0, 0));
	for (int i = -2; i < 10; i++) {
		printf("%d: ", i);
		SHOW(CONTROL(SET_DEFAULT, i, 0, 0, 0));
	}
	TRY(CONTROL(GET_ID, THREAD, 0, 0, 0));
	SHOW(CONTROL(WATCH, key, -1, 0, 0));
	SHOW(CONTROL(33, key, 0, 0, 0));
	SHOW(CONTROL(-1, key, 0, 0, 0));
	SHOW(CONTROL(1000, key, 0, 0, 0));
}

int main(void)
{
	void (*parts[])(void) = {adding, special, reading, changing, expiring, linking, searching, others};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("== %u\n", i);
		IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); parts[i]());
	}
	return 0;
}
