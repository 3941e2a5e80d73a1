/* Keys of type encrypted, and of the other types that need no program of their own: what they take, and what they show. */
#include "keys_case.h"

static char text[8192];

static int sealed(const char *name, const char *words)
{
	return add("encrypted", name, words, strlen(words), SESSION);
}

/* What is read, without what is random. */
static void show(const char *what, int key)
{
	memset(text, 0, sizeof text);
	long size = CONTROL(READ, key, text, sizeof text, 0);
	char *last = strrchr(text, ' ');
	if (size < 0)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %ld, \"%.*s\" and %zu digits\n", what, size, (int)(last - text), text, strlen(last + 1));
}

static void sealing(void)
{
	MUST(add("user", "master", "0123456789abcdef", 16, SESSION));
	MUST(add("user", "other", "a longer secret that takes more than thirty-two bytes", 53, SESSION));
	int key = (int)TRY(sealed("one", "new user:master 32"));
	describe("one", key);
	listed("one", key);
	show("one", key);
	SHOW(CONTROL(READ, key, NULL, 0, 0));
	SHOW(CONTROL(READ, key, text, 100, 0));
	char blob[8192];
	memset(text, 0, sizeof text);
	MUST(CONTROL(READ, key, text, sizeof text, 0));
	snprintf(blob, sizeof blob, "load %s", strchr(text, ' ') + 1);
	int again = (int)TRY(sealed("two", blob));
	char first[8192];
	strcpy(first, text);
	memset(text, 0, sizeof text);
	SHOW(CONTROL(READ, again, text, sizeof text, 0));
	CHECK(!strcmp(first, text));
	snprintf(blob, sizeof blob, "load %s", first);
	TRY(sealed("three", blob));
	blob[strlen(blob) - 1] ^= 1;
	TRY(sealed("four", blob));
	blob[strlen(blob) - 1] = 'x';
	TRY(sealed("four", blob));
	blob[strlen(blob) - 1] = 0;
	TRY(sealed("four", blob));
	SHOW(CONTROL(UPDATE, key, "update user:other", 17, 0));
	show("updated", key);
	listed("updated", key);
	SHOW(CONTROL(UPDATE, key, "update user:none", 16, 0));
	show("of none", key);
	SHOW(CONTROL(READ, key, NULL, 0, 0));
	SHOW(CONTROL(UPDATE, key, "update user:master", 18, 0));
	memset(text, 0, sizeof text);
	SHOW(CONTROL(READ, key, text, sizeof text, 0));
	CHECK(!strcmp(first, text));
	SHOW(CONTROL(UPDATE, key, "update trusted:other", 20, 0));
	SHOW(CONTROL(UPDATE, key, "new user:other 32", 17, 0));
	SHOW(CONTROL(UPDATE, key, "load user:other 32 00", 21, 0));
	SHOW(CONTROL(UPDATE, key, "update", 6, 0));
	SHOW(CONTROL(UPDATE, key, "update default user:other", 25, 0));
	SHOW(CONTROL(UPDATE, key, "update user:other and more", 26, 0));
	SHOW(CONTROL(UPDATE, key, "", 0, 0));
	TRY(sealed("one", "update user:master"));
	TRY(sealed("one", "new user:master 32"));
	TRY(sealed("none so far", "update user:master"));
	CHECK(request("encrypted", "one", NULL, 0) == key);
	MUST(CONTROL(REVOKE, key, 0, 0, 0));
	listed("revoked", key);
	/* What is given, is given in the clear: the text is the same each time. */
	key = (int)TRY(sealed("given", "new user:master 32 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
	if (key > 0)
		show("given", key);
	TRY(sealed("given", "new user:master 32 00"));
	TRY(sealed("loaded", "load user:master 32 0"));
	/* Made once on Linux. */
	TRY(sealed("loaded", "load default user:master 32 00112233445566778899aabbccddeeff00ffeeddccbbaa99887766554433221100"));
}

static void words(void)
{
	static const char *each[] = {
		"", "new", "new ", "new default", "new default ", "new user:", "new user:master", "new user:master ", "new user:master 32 ",
		"new  user:master 32", " new user:master 32", "new\tuser:master\t32", "new user:master 32\n", "new user:master +32", "new user:master -32",
		"new user:master 0x20", "new user:master 032", "new user:master 19", "new user:master 20", "new user:master 4096", "new user:master 4097",
		"new user:master 99999999999999999999", "new user:master x", "new user:none 32", "new trusted:master 32", "new trusted: 32", "new logon:master 32",
		"new master 32", "new enc32 user:master 32", "new enc32 user:master 33", "new ecryptfs user:master 64", "new ecryptfs user:master 32",
		"new default user:master 33", "new default user:master 20", "new other user:master 32", "NEW user:master 32", "newer user:master 32",
		"new default default user:master 32", "new default user:master 32 and more", "load user:master 32", "load user:master 32 ", "load", "other user:master 32",
	};
	MUST(add("user", "master", "0123456789abcdef", 16, SESSION));
	for (unsigned i = 0; i < sizeof each / sizeof *each; i++)
		for (int hex = 0; hex < 2; hex++) {
			char name[32];
			snprintf(name, sizeof name, hex ? "%016x" : "name %u", i);
			printf("\"%s\": ", each[i]);
			int key = (int)TRY(sealed(name, each[i]));
			if (key < 0)
				continue;
			listed("it", key);
			show("it", key);
		}
	TRY(add("encrypted", "nul", "new user:master 32\0 00", 22, SESSION));
	TRY(add("encrypted", "none", NULL, 0, SESSION));
	TRY(add("encrypted", NULL, "new user:master 32", 18, SESSION));
	memset(text, ' ', sizeof text);
	TRY(add("encrypted", "blanks", text, sizeof text, SESSION));
	IN_CHILD({
		MUST(setgid(1006));
		MUST(setuid(1006));
		MUST(CONTROL(JOIN, NULL, 0, 0, 0));
		MUST(add("user", "master", "0123456789abcdef", 16, SESSION));
		quota("before");
		TRY(sealed("one", "new user:master 32"));
		quota("one");
		TRY(sealed("large", "new user:master 4096"));
		quota("large");
		TRY(sealed("larger", "new user:master 4096"));
		TRY(sealed("largest", "new user:master 4096"));
	});
}

static void others(void)
{
	static const char provisioning[][80] = {
		"\1\0\0\0\0\0\0\0" "0123456789abcdef", "\2\0\0\0\0\0\0\0" "0123456789abcdef", "\3\0\0\0\0\0\0\0" "0123456789abcdef",
		"\0\0\0\0\0\0\0\0" "0123456789abcdef", "\1\0\0\0\1\0\0\0" "0123456789abcdef",
	};
	for (int i = 0; i < 5; i++) {
		int key = (int)TRY(add("fscrypt-provisioning", "f", provisioning[i], 24, SESSION));
		listed("it", key);
	}
	TRY(add("fscrypt-provisioning", "f", provisioning[0], 23, SESSION));
	TRY(add("fscrypt-provisioning", "f", provisioning[0], 72, SESSION));
	TRY(add("fscrypt-provisioning", "f", provisioning[0], 73, SESSION));
	int key = (int)TRY(add("fscrypt-provisioning", "f", provisioning[0], 32, SESSION));
	describe("it", key);
	SHOW(CONTROL(READ, key, text, sizeof text, 0));
	SHOW(CONTROL(UPDATE, key, provisioning[0], 32, 0));
	CHECK(add("fscrypt-provisioning", "f", provisioning[0], 32, SESSION) != key);
	key = (int)TRY(add("psk", "NVMe0R01 one two", "secret", 6, SESSION));
	describe("it", key);
	listed("it", key);
	SHOW(CONTROL(READ, key, text, sizeof text, 0));
	SHOW(CONTROL(UPDATE, key, "other", 5, 0));
	SHOW(CONTROL(SEARCH, SESSION, "psk", "NVMe0R01 one two", 0) == key);
	SHOW(CONTROL(SEARCH, SESSION, "psk", "NVMe0R01 one", 0) == key);
	SHOW(CONTROL(SEARCH, SESSION, "psk", "NVMe0R01 one two three", 0) == key);
	SHOW(CONTROL(SEARCH, SESSION, "psk", "", 0) == key);
	SHOW(request("psk", "NVMe", NULL, 0) == key);
	SHOW(request("psk", "none", NULL, 0));
	CHECK(add("psk", "NVMe0R01 one two", "secret", 6, SESSION) != key);
	TRY(add("psk", "empty", NULL, 0, SESSION));
	static const char *hashes[] = {"tbs:00", "bin:0123456789abcdef", "bin:0", "bin:", "bin:0A", "bin:0g", "tbs", "tbs:", "x:00", "tbsx:00", "bi:00", "binn:00", ""};
	for (unsigned i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		printf("%s: ", hashes[i]);
		TRY(add("blacklist", hashes[i], NULL, 0, SESSION));
		printf("%s: ", hashes[i]);
		TRY(add("blacklist", hashes[i], "x", 1, SESSION));
	}
	memset(text, '0', 200);
	memcpy(text, "bin:", 4);
	text[4 + 128] = 0;
	TRY(add("blacklist", text, NULL, 0, SESSION));
	text[4 + 128] = '0';
	text[4 + 129] = 0;
	TRY(add("blacklist", text, NULL, 0, SESSION));
	text[4 + 129] = '0';
	text[4 + 130] = 0;
	TRY(add("blacklist", text, NULL, 0, SESSION));
	TRY(add("big_key", "b", "x", 1, SESSION));
	TRY(add("trusted", "t", "new 32", 6, SESSION));
	/* What is no keyring; the first of the two may not be written to either. */
	int others[] = {(int)MUST(add("psk", "kept", "secret", 6, SESSION)), (int)MUST(add("user", "kept", "secret", 6, SESSION))};
	for (int i = 0; i < 2; i++) {
		TRY(add("encrypted", "in no keyring", "x", 1, others[i]));
		TRY(add("user", NULL, "x", 1, others[i]));
		TRY(add("encrypted", NULL, "x", 1, others[i]));
		TRY(add("blacklist", "bad", "x", 1, others[i]));
		TRY(add("none such", "bad", "x", 1, others[i]));
	}
	SHOW(request("blacklist", "bin:00", "info", 0));
	SHOW(request("blacklist", "bad", "info", 0));
	SHOW(request("encrypted", "e", "info", 0));
	SHOW(request("psk", "p", "info", 0));
	SHOW(request("asymmetric", "p", "info", 0));
	SHOW(request("asymmetric", "", "info", 0));
	SHOW(request("asymmetric", "id:", "info", 0));
	SHOW(request("user", "", "info", 0));
	SHOW(request("user", "", NULL, 0));
	SHOW(request("keyring", "", "info", 0));
	SHOW(request("logon", "", "info", 0));
	SHOW(request("psk", "", "info", 0) > 0);
	SHOW(request("blacklist", "", "info", 0));
}

int main(void)
{
	void (*parts[])(void) = {sealing, words, others};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("== %u\n", i);
		IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); parts[i]());
	}
	return 0;
}
