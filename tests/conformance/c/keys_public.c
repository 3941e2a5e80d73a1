/* Keys of type asymmetric: what certificates they are made from, how they are found, and what KEYCTL_PKEY_… does with them. */
#include "keys_case.h"
#include "keys_certificates.h"

enum { QUERY = 24, ENCRYPT, DECRYPT, SIGN, VERIFY };

struct query {
	unsigned operations, size;
	unsigned short most_data, most_signature, most_encrypted, most_decrypted;
	unsigned spare[10];
};

struct parameters {
	int key;
	unsigned size, second_size, spare[7];
};

#define CERTIFICATE(name) {#name, name##_certificate, sizeof name##_certificate}
static const struct certificate {
	const char *name;
	const unsigned char *bytes;
	size_t size;
} certificates[] = {
	CERTIFICATE(rsa1024), CERTIFICATE(rsa2048), CERTIFICATE(p192), CERTIFICATE(p256), CERTIFICATE(p384), CERTIFICATE(p521),
	CERTIFICATE(k256), CERTIFICATE(ed25519), CERTIFICATE(leaf_rsa), CERTIFICATE(leaf_p256), CERTIFICATE(plain),
};
enum { RSA1024, RSA2048, P192, P256, P384, P521, K256, ED25519, LEAF_RSA, LEAF_P256, PLAIN, COUNT };
static int keys[COUNT];
static unsigned char bytes[4096];

static int add_certificate(int index, const char *description, int ring)
{
	return add("asymmetric", description, certificates[index].bytes, certificates[index].size, ring);
}

static void add_all(void)
{
	for (int i = 0; i < COUNT; i++)
		keys[i] = add_certificate(i, certificates[i].name, SESSION);
}

static void adding(void)
{
	for (int i = 0; i < COUNT; i++) {
		printf("-- %s\n", certificates[i].name);
		int key = (int)TRY(add_certificate(i, NULL, SESSION));
		if (key < 0)
			continue;
		describe("without a description", key);
		listed("listed", key);
		key = (int)TRY(add_certificate(i, "with one", SESSION));
		describe("with one", key);
		listed("listed", key);
		SHOW(CONTROL(READ, key, bytes, sizeof bytes, 0));
		SHOW(CONTROL(UPDATE, key, certificates[i].bytes, certificates[i].size, 0));
	}
	int ring = (int)MUST(add("keyring", "ring", NULL, 0, SESSION));
	CHECK(add_certificate(0, "a", ring) != add_certificate(0, "a", ring));
	members("ring", ring);
	/* Where another answer begins. */
	char last[40] = "";
	for (unsigned i = 0; i < certificates[P256].size; i += 5) {
		memcpy(bytes, certificates[P256].bytes, certificates[P256].size);
		bytes[i] ^= 0x41;
		int key = add("asymmetric", "changed", bytes, certificates[P256].size, ring);
		const char *now = key < 0 ? error_name(errno) : "ok";
		if (strcmp(now, last)) {
			printf("byte %u changed: %s\n", i, now);
			strcpy(last, now);
		}
	}
	for (unsigned i = 0; i < certificates[P256].size; i += 7) {
		printf("%u bytes: ", i);
		TRY(add("asymmetric", "short", certificates[P256].bytes, i, ring));
	}
	memcpy(bytes, certificates[P256].bytes, certificates[P256].size);
	TRY(add("asymmetric", "long", bytes, certificates[P256].size + 1, ring));
	TRY(add("asymmetric", "nothing", NULL, 0, ring));
	TRY(add("asymmetric", "text", "text", 4, ring));
	SHOW(CONTROL(CLEAR, ring, 0, 0, 0));
}

/* The identifier in the extension of a certificate. */
static const unsigned char *identifier(int index)
{
	static const char head[] = "\x55\x1d\x0e\x04\x16\x04\x14";
	const unsigned char *at = memmem(certificates[index].bytes, certificates[index].size, head, sizeof head - 1);
	return at ? at + sizeof head - 1 : NULL;
}

/* Whether a key was found, or another one with its identifier: which of several comes first is not said. */
static int answers(long found, int index)
{
	for (int i = 0; i < COUNT; i++)
		if (keys[i] == found && (i == index || (identifier(i) && identifier(index) && !memcmp(identifier(i), identifier(index), 20))))
			return 1;
	return 0;
}

/* The identifiers that a key is listed with. */
static void searching(void)
{
	static const char *texts[] = {
		"id:", "id:0", "id:zz", "id:01", "id:00", "ex:", "ex:01", "dn:", "dn:4b65", "dn:zz", "rsa1024", "p256", "p", "", "id", "ID:01",
	};
	add_all();
	for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
		printf("\"%s\": ", texts[i]);
		SHOW(CONTROL(SEARCH, SESSION, "asymmetric", texts[i], 0) > 0);
		SHOW(request("asymmetric", texts[i], NULL, 0) > 0);
	}
	for (int i = 0; i < COUNT; i++) {
		char line[512], text[600];
		if (keys[i] < 0)
			continue;
		strcpy(line, line_of(keys[i]));
		char *id = strstr(line, ": X509.");
		if (!id)
			continue;
		id = strchr(id + 2, ' ');
		char *end = strchr(++id, 0x20);
		if (!end)
			continue;
		*end = 0;
		snprintf(text, sizeof text, "id:%s", id);
		printf("%s: ", text);
		CHECK(answers(CONTROL(SEARCH, SESSION, "asymmetric", text, 0), i));
		snprintf(text, sizeof text, "ex:%s", id);
		SHOW(answers(CONTROL(SEARCH, SESSION, "asymmetric", text, 0), i));
	}
	/* The whole identifier of the key: that of the certificate's extension. */
	for (int i = 0; i < COUNT; i++) {
		const unsigned char *at = identifier(i);
		if (!at || keys[i] < 0)
			continue;
		char text[64] = "id:";
		for (int j = 0; j < 20; j++)
			sprintf(text + 3 + 2 * j, "%02x", at[j]);
		printf("%s: ", certificates[i].name);
		CHECK(answers(CONTROL(SEARCH, SESSION, "asymmetric", text, 0), i));
		memcpy(text, "ex:", 3);
		CHECK(answers(CONTROL(SEARCH, SESSION, "asymmetric", text, 0), i));
		text[3 + 20] = 0;
		SHOW(CONTROL(SEARCH, SESSION, "asymmetric", text, 0) > 0);
		memcpy(text, "id:", 3);
		SHOW(CONTROL(SEARCH, SESSION, "asymmetric", text, 0) > 0);
	}
}

static void query(int key, const char *information)
{
	struct query found;
	memset(&found, 0xee, sizeof found);
	printf("\"%s\": ", information ? information : "(none)");
	if (CONTROL(QUERY, key, 0, information, &found) < 0)
		puts(error_name(errno));
	else
		printf("operations %x, %u bits, at most %u %u %u %u, spare %x\n", found.operations, found.size, found.most_data,
			found.most_signature, found.most_encrypted, found.most_decrypted, found.spare[9]);
}

static void querying(void)
{
	static const char *texts[] = {
		"", "enc=pkcs1", "enc=raw", "enc=pkcs1 hash=sha1", "enc=pkcs1 hash=sha256", "enc=pkcs1 hash=sha512", "hash=sha256", "enc=pkcs1 hash=none",
		"enc=x962 hash=sha256", "enc=x962 hash=sha384", "enc=x962", "enc=oaep", "enc=pss hash=sha256", "enc=raw hash=sha256", "enc=pkcs1 hash=md5",
		"enc=pkcs1 hash=sha224", "enc=pkcs1 hash=sha384", "enc=pkcs1 hash=sha3-256", "enc=x962 hash=sha1", "enc=x962 hash=sha512",
		"enc=x962 hash=sha3-256", "enc=x962 hash=md5", "enc=p1363", "other=1", "enc", "enc=", "=x", "enc=raw enc=raw", "hash=a hash=b", " enc=raw", "enc=raw ",
		"\tenc=raw", "enc=raw\thash=sha1", "enc=raw  hash=sha1",
	};
	add_all();
	for (int i = 0; i < COUNT; i++) {
		printf("-- %s\n", certificates[i].name);
		if (keys[i] < 0)
			continue;
		for (unsigned j = 0; j < sizeof texts / sizeof *texts; j++)
			query(keys[i], texts[j]);
	}
	struct query found;
	int key = keys[RSA1024], user = (int)MUST(add("user", "u", "x", 1, SESSION));
	query(key, NULL);
	query(user, "");
	query(user, "other");
	query(1, "");
	query(1, "other");
	query(0, "");
	SHOW(CONTROL(QUERY, key, 1, "", &found));
	SHOW(CONTROL(QUERY, key, 0, "", NULL));
	SHOW(CONTROL(QUERY, key, 0, (char *)8, &found));
	SHOW(CONTROL(QUERY, 1, 0, (char *)8, &found));
	memset(bytes, ' ', sizeof bytes - 1);
	bytes[sizeof bytes - 1] = 0;
	SHOW(CONTROL(QUERY, key, 0, bytes, &found));
	MUST(CONTROL(SETPERM, key, 0x37000000, 0, 0));
	query(key, "");
	MUST(CONTROL(SETPERM, key, 0x08000000, 0, 0));
	query(key, "");
	MUST(CONTROL(SETPERM, key, 0x3f3f0000, 0, 0));
	MUST(CONTROL(REVOKE, key, 0, 0, 0));
	query(key, "");
}

static void verify(const char *what, int key, const char *information, const void *digest, unsigned size, const void *signature, unsigned length)
{
	struct parameters numbers = {key, size, length, {0}};
	printf("%s, \"%s\": ", what, information);
	SHOW(CONTROL(VERIFY, &numbers, information, digest, signature));
}
#define CHECK_SIGNATURE(key, information, digest, signature) \
	verify(#digest ", " #signature, keys[key], information, digest, sizeof digest, signature, sizeof signature)

static void verifying(void)
{
	add_all();
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha1", sha1_digest, rsa1024_sha1_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha512", sha512_digest, rsa1024_sha512_signature);
	CHECK_SIGNATURE(RSA2048, "enc=pkcs1 hash=sha256", sha256_digest, rsa2048_sha256_signature);
	CHECK_SIGNATURE(RSA2048, "enc=pkcs1 hash=sha1", sha1_digest, rsa2048_sha1_signature);
	CHECK_SIGNATURE(RSA2048, "enc=pkcs1 hash=sha512", sha512_digest, rsa2048_sha512_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha256", sha256_digest, rsa1024_sha1_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha1", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha256", sha1_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1 hash=sha256", sha256_digest, rsa2048_sha256_signature);
	CHECK_SIGNATURE(RSA2048, "enc=pkcs1 hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(LEAF_RSA, "enc=pkcs1 hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=raw hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=raw", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=pkcs1", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(RSA1024, "enc=x962 hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(P192, "enc=x962 hash=sha1", sha1_digest, p192_sha1_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha256", sha256_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P384, "enc=x962 hash=sha384", sha384_digest, p384_sha384_signature);
	CHECK_SIGNATURE(P521, "enc=x962 hash=sha512", sha512_digest, p521_sha512_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha256", sha1_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha512", sha256_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha512", sha512_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962", sha256_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=raw hash=sha256", sha256_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha256", sha256_digest, p384_sha384_signature);
	CHECK_SIGNATURE(P384, "enc=x962 hash=sha384", sha384_digest, p256_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=sha256", sha256_digest, rsa1024_sha256_signature);
	CHECK_SIGNATURE(P256, "enc=x962 hash=md5", sha256_digest, p256_sha256_signature);
	CHECK_SIGNATURE(K256, "enc=x962 hash=sha256", sha256_digest, p256_sha256_signature);
	char last[40] = "";
	for (unsigned i = 0; i < sizeof p256_sha256_signature; i += 3) {
		memcpy(bytes, p256_sha256_signature, sizeof p256_sha256_signature);
		bytes[i] ^= 0x20;
		struct parameters numbers = {keys[P256], sizeof sha256_digest, sizeof p256_sha256_signature, {0}};
		long result = CONTROL(VERIFY, &numbers, "enc=x962 hash=sha256", sha256_digest, bytes);
		const char *now = result < 0 ? error_name(errno) : "ok";
		if (strcmp(now, last)) {
			printf("byte %u changed: %s\n", i, now);
			strcpy(last, now);
		}
	}
	/* r or s is nothing, or as large as the order. */
	memset(bytes, 0xff, 80);
	memcpy(bytes, "\x30\x06\x02\x01\x00\x02\x01\x01", 8);
	verify("r is 0", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 8);
	memcpy(bytes, "\x30\x06\x02\x01\x01\x02\x01\x00", 8);
	verify("s is 0", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 8);
	memcpy(bytes, "\x30\x06\x02\x01\x01\x02\x01\x01", 8);
	verify("both are 1", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 8);
	memcpy(bytes, "\x30\x06\x02\x01\x81\x02\x01\x01", 8);
	verify("r is negative", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 8);
	verify("one byte more", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 9);
	verify("no signature", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 0);
	verify("no digest", keys[P256], "enc=x962 hash=sha256", sha256_digest, 0, p256_sha256_signature, sizeof p256_sha256_signature);
	verify("long digest", keys[P256], "enc=x962 hash=sha256", bytes, 64, p256_sha256_signature, sizeof p256_sha256_signature);
	verify("longer", keys[P256], "enc=x962 hash=sha256", bytes, 65, p256_sha256_signature, sizeof p256_sha256_signature);
	verify("much longer", keys[P256], "enc=x962 hash=sha256", bytes, 256, p256_sha256_signature, sizeof p256_sha256_signature);
	verify("long signature", keys[P256], "enc=x962 hash=sha256", sha256_digest, 32, bytes, 200);
	verify("no RSA signature", keys[RSA1024], "enc=pkcs1 hash=sha256", sha256_digest, 32, bytes, 0);
	verify("a short RSA signature", keys[RSA1024], "enc=pkcs1 hash=sha256", sha256_digest, 32, rsa1024_sha256_signature, 127);
	verify("a large RSA signature", keys[RSA1024], "enc=pkcs1 hash=sha256", sha256_digest, 32, memset(bytes, 0xff, 128), 128);
	verify("a long RSA signature", keys[RSA1024], "enc=pkcs1 hash=sha256", sha256_digest, 32, bytes, 129);
}

static void transform(const char *what, int operation, int key, const char *information, unsigned size, unsigned room, int shows)
{
	struct parameters numbers = {key, size, room, {0}};
	unsigned char input[512], output[512];
	memset(output, 0, sizeof output);
	memset(input, 1, sizeof input);
	printf("%s, \"%s\", %u, %u: ", what, information, size, room);
	long result = SHOW(CONTROL(operation, &numbers, information, input, output));
	if (shows && result > 0) {
		for (int i = 0; i < 8; i++)
			printf("%02x", output[i]);
		printf("…%02x\n", output[result - 1]);
	}
}

static void transforming(void)
{
	add_all();
	int key = keys[RSA1024];
	transform("encrypt", ENCRYPT, key, "enc=raw", 128, 128, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 127, 128, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 1, 128, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 0, 128, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 129, 128, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 16, 127, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 16, 129, 1);
	transform("encrypt", ENCRYPT, key, "enc=raw", 16, 0, 1);
	transform("encrypt", ENCRYPT, key, "enc=pkcs1", 16, 128, 0);
	transform("encrypt", ENCRYPT, key, "enc=pkcs1", 117, 128, 0);
	transform("encrypt", ENCRYPT, key, "enc=pkcs1", 118, 128, 0);
	transform("encrypt", ENCRYPT, key, "enc=pkcs1", 0, 128, 0);
	transform("encrypt", ENCRYPT, key, "enc=pkcs1 hash=sha256", 16, 128, 0);
	transform("encrypt", ENCRYPT, key, "", 16, 128, 0);
	transform("encrypt", ENCRYPT, key, "enc=oaep", 16, 128, 0);
	transform("encrypt", ENCRYPT, key, "other", 16, 128, 0);
	transform("encrypt", ENCRYPT, keys[RSA2048], "enc=raw", 256, 256, 1);
	transform("encrypt", ENCRYPT, keys[P256], "enc=raw", 16, 128, 0);
	transform("encrypt", ENCRYPT, keys[P256], "enc=x962", 16, 128, 0);
	transform("encrypt", ENCRYPT, keys[P256], "enc=x962 hash=sha256", 16, 128, 0);
	transform("decrypt", DECRYPT, key, "enc=raw", 128, 128, 0);
	transform("decrypt", DECRYPT, key, "enc=pkcs1", 128, 128, 0);
	transform("decrypt", DECRYPT, key, "enc=pkcs1", 16, 128, 0);
	transform("decrypt", DECRYPT, key, "enc=pkcs1", 128, 16, 0);
	transform("decrypt", DECRYPT, key, "enc=pkcs1", 129, 128, 0);
	transform("decrypt", DECRYPT, keys[P256], "enc=raw", 16, 128, 0);
	transform("sign", SIGN, key, "enc=pkcs1 hash=sha256", 32, 128, 0);
	transform("sign", SIGN, key, "enc=pkcs1 hash=sha256", 33, 128, 0);
	transform("sign", SIGN, key, "enc=pkcs1", 32, 128, 0);
	transform("sign", SIGN, key, "enc=raw", 32, 128, 0);
	transform("sign", SIGN, key, "enc=raw", 32, 16, 0);
	transform("sign", SIGN, keys[P256], "enc=x962 hash=sha256", 32, 128, 0);
	transform("sign", SIGN, keys[P256], "enc=x962 hash=sha256", 65, 128, 0);
	struct parameters bad = {key, 16, 128, {0, 0, 0, 0, 0, 0, 1}}, good = {key, 16, 128, {0}};
	int user = (int)MUST(add("user", "u", "x", 1, SESSION));
	SHOW(CONTROL(ENCRYPT, &bad, "enc=raw", bytes, bytes));
	SHOW(CONTROL(VERIFY, &bad, "enc=raw", bytes, bytes));
	SHOW(CONTROL(ENCRYPT, 8, "enc=raw", bytes, bytes));
	SHOW(CONTROL(ENCRYPT, &good, 8, bytes, bytes));
	SHOW(CONTROL(ENCRYPT, &good, "enc=raw", 8, bytes));
	SHOW(CONTROL(ENCRYPT, &good, "enc=raw", bytes, 8));
	SHOW(CONTROL(DECRYPT, &good, "enc=raw", 8, bytes));
	good.key = user;
	SHOW(CONTROL(ENCRYPT, &good, "enc=raw", bytes, bytes));
	SHOW(CONTROL(VERIFY, &good, "enc=raw", bytes, bytes));
	SHOW(CONTROL(ENCRYPT, &good, "bad", bytes, bytes));
	good.key = 1;
	SHOW(CONTROL(ENCRYPT, &good, "bad", bytes, bytes));
	SHOW(CONTROL(VERIFY, &good, "enc=raw", bytes, bytes));
	SHOW(CONTROL(SIGN, &good, 8, bytes, bytes));
}

static void restrict_by(int signer, const char *format, int number)
{
	char text[128];
	snprintf(text, sizeof text, format, number);
	int ring = (int)MUST(add("keyring", "restricted", NULL, 0, SESSION));
	printf("-- %s\n", format);
	if (TRY(CONTROL(RESTRICT, ring, "asymmetric", text, 0)) < 0)
		return;
	SHOW(CONTROL(RESTRICT, ring, "asymmetric", text, 0));
	SHOW(CONTROL(RESTRICT, ring, NULL, NULL, 0));
	TRY(add("user", "u", "x", 1, ring));
	TRY(add("keyring", "k", NULL, 0, ring));
	for (int i = 0; i < COUNT; i++) {
		printf("%s: ", certificates[i].name);
		TRY(add_certificate(i, certificates[i].name, ring));
	}
	SHOW(CONTROL(LINK, keys[signer], ring, 0, 0));
	SHOW(CONTROL(LINK, keys[LEAF_RSA], ring, 0, 0));
	SHOW(CONTROL(LINK, keys[LEAF_P256], ring, 0, 0));
	SHOW(CONTROL(MOVE, keys[LEAF_RSA], SESSION, ring, 0));
	keys[LEAF_RSA] = add_certificate(LEAF_RSA, certificates[LEAF_RSA].name, SESSION);
	members("ring", ring);
	SHOW(CONTROL(CLEAR, ring, 0, 0, 0));
}

static void restricting(void)
{
	add_all();
	int ring = (int)MUST(add("keyring", "trusted", NULL, 0, SESSION)), user = (int)MUST(add("user", "u", "x", 1, SESSION));
	MUST(CONTROL(LINK, keys[RSA1024], ring, 0, 0));
	MUST(CONTROL(LINK, keys[P256], ring, 0, 0));
	restrict_by(RSA1024, "builtin_trusted", 0);
	restrict_by(RSA1024, "builtin_and_secondary_trusted", 0);
	restrict_by(RSA1024, "key_or_keyring:%d", keys[RSA1024]);
	restrict_by(P256, "key_or_keyring:%d", keys[P256]);
	restrict_by(P256, "key_or_keyring:%d", ring);
	restrict_by(P256, "key_or_keyring:%d:chain", ring);
	restrict_by(P256, "key_or_keyring:0:chain", 0);
	restrict_by(P256, "key_or_keyring:0", 0);
	restrict_by(P256, "key_or_keyring:%d:", ring);
	restrict_by(P256, "key_or_keyring:%d:other", ring);
	restrict_by(P256, "key_or_keyring:%d", user);
	restrict_by(P256, "key_or_keyring:1", 0);
	restrict_by(P256, "key_or_keyring:-1", 0);
	restrict_by(P256, "key_or_keyring:", 0);
	restrict_by(P256, "key_or_keyring", 0);
	restrict_by(P256, "key_or_keyring:0x%x", ring);
	restrict_by(P256, "none", 0);
	restrict_by(P256, "", 0);
	MUST(CONTROL(REVOKE, keys[P256], 0, 0, 0));
	restrict_by(P256, "key_or_keyring:%d", keys[P256]);
	restrict_by(P256, "key_or_keyring:%d", ring);
	int closed = (int)MUST(add("keyring", "cycle", NULL, 0, SESSION));
	char text[64];
	snprintf(text, sizeof text, "key_or_keyring:%d", closed);
	SHOW(CONTROL(RESTRICT, closed, "asymmetric", text, 0));
	SHOW(CONTROL(RESTRICT, closed, "encrypted", "x", 0));
	SHOW(CONTROL(RESTRICT, closed, "keyring", "x", 0));
}

int main(void)
{
	void (*parts[])(void) = {adding, searching, querying, verifying, transforming, restricting};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("== %u\n", i);
		IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); parts[i]());
	}
	return 0;
}
