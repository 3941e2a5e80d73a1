/* KEYCTL_DH_COMPUTE: powers modulo a number, as they are and through a key derivation function. */
#include "keys_case.h"

enum { DIFFIE_HELLMAN = 23 };

struct parameters {
	int private, prime, base;
};

struct derivation {
	char *hash, *info;
	unsigned size, spare[8];
};

static unsigned char number[4096], result[4096];

/* A number of a size that begins with a byte; the rest follows from a seed. */
static int number_key(const char *name, size_t size, int first, unsigned seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1103515245 + 12345;
		number[i] = (unsigned char)(seed >> 16);
	}
	if (size)
		number[0] = (unsigned char)first;
	return (int)MUST(add("user", name, number, size, SESSION));
}

static int bytes_key(const char *name, const char *bytes, size_t size)
{
	return (int)MUST(add("user", name, bytes, size, SESSION));
}

static void show_bytes(const unsigned char *bytes, long size)
{
	unsigned long long sum = 1469598103934665603ull;
	for (long i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 1099511628211ull;
	for (long i = 0; i < size && i < 12; i++)
		printf("%02x", bytes[i]);
	printf("… %016llx\n", sum);
}

static void power(const char *what, int private, int prime, int base, size_t room)
{
	struct parameters numbers = {private, prime, base};
	memset(result, 0xee, sizeof result);
	errno = 0;
	long size = CONTROL(DIFFIE_HELLMAN, &numbers, result, room, 0);
	printf("%s: %s %ld ", what, size < 0 ? error_name(errno) : "ok", size);
	show_bytes(result, (long)sizeof result);
}

static void powers(void)
{
	int prime = number_key("p1536", 192, 0xd3, 1), base = bytes_key("two", "\2", 1), private = number_key("x", 32, 0x41, 2);
	power("1536 bits", private, prime, base, sizeof result);
	power("its size", private, prime, base, 0);
	power("no room", private, prime, base, 191);
	power("just room", private, prime, base, 192);
	power("large base", private, prime, number_key("g192", 192, 0xfe, 3), 192);
	power("base of zeros", private, prime, number_key("g0", 1, 0, 3), 192);
	power("base with zeros in front", private, prime, bytes_key("g002", "\0\0\2", 3), 192);
	power("base too long", private, prime, number_key("g193", 193, 0, 3), 192);
	power("large exponent", number_key("x192", 192, 0xff, 4), prime, base, 192);
	power("exponent too long", number_key("x193", 193, 0, 4), prime, base, 192);
	power("exponent 0", bytes_key("x0", "\0", 1), prime, base, 192);
	power("exponent 1", bytes_key("x1", "\1", 1), prime, base, 192);
	power("exponent 2", bytes_key("x2", "\2", 1), prime, base, 192);
	power("exponent 2 of a large base", bytes_key("x2", "\2", 1), prime, number_key("g192", 192, 0xfe, 3), 192);
	power("too short", private, number_key("p191", 191, 0xd3, 1), base, 192);
	power("193 bytes", private, number_key("p193", 193, 0xd3, 5), base, sizeof result);
	power("200 bytes", private, number_key("p200", 200, 0xd3, 6), base, sizeof result);
	power("one zero in front", private, number_key("p0", 193, 0, 7), base, sizeof result);
	memset(number, 0, 192);
	number[191] = 23;
	power("modulo 23", private, bytes_key("p23", (char *)number, 192), base, sizeof result);
	number[191] = 1;
	power("modulo 1", private, bytes_key("pone", (char *)number, 192), base, sizeof result);
	power("modulo 1, exponent 0", bytes_key("x0", "\0", 1), bytes_key("pone", (char *)number, 192), base, sizeof result);
	number[191] = 0;
	power("modulo 0", private, bytes_key("pzero", (char *)number, 192), base, sizeof result);
	number[191] = 64;
	power("modulo 64", private, bytes_key("p64", (char *)number, 192), base, sizeof result);
	number[0] = 0x80;
	number[191] = 0;
	int even = bytes_key("peven", (char *)number, 192);
	power("modulo an even number", private, even, number_key("g192", 192, 0x7e, 3), sizeof result);
	power("another", bytes_key("x3", "\3", 1), even, number_key("g192", 192, 0x7e, 3), sizeof result);
	prime = number_key("p2048", 256, 0xff, 8);
	power("2048 bits", number_key("x256", 256, 0xef, 9), prime, number_key("g256", 256, 0xff, 10), sizeof result);
	power("8192 bits", private, number_key("p8192", 1024, 0xff, 11), base, sizeof result);
	power("16384 bits", bytes_key("x65537", "\1\0\1", 3), number_key("p16384", 2048, 0xff, 12), base, sizeof result);
	power("16392 bits", bytes_key("x65537", "\1\0\1", 3), number_key("p16392", 2049, 0xff, 13), base, sizeof result);
	power("16385 bits", bytes_key("x65537", "\1\0\1", 3), number_key("p16385", 2049, 1, 13), base, sizeof result);
	power("2049 bytes, 16384 bits", bytes_key("x65537", "\1\0\1", 3), number_key("p2049", 2049, 0, 13), base, sizeof result);
}

static void refusals(void)
{
	int prime = number_key("p", 192, 0xd3, 1), base = bytes_key("g", "\2", 1), private = number_key("x", 32, 0x41, 2);
	int ring = (int)MUST(add("keyring", "r", NULL, 0, SESSION)), logon = (int)MUST(add("logon", "s:x", "x", 1, SESSION));
	int gone = bytes_key("gone", "\2", 1), hidden = bytes_key("hidden", "\2", 1);
	MUST(CONTROL(REVOKE, gone, 0, 0, 0));
	MUST(CONTROL(SETPERM, hidden, 0x01010101, 0, 0));
	struct parameters good = {private, prime, base}, none = {0, 0, 0};
	power("private missing", 1, prime, base, 192);
	power("prime missing", private, 1, base, 192);
	power("base missing", private, prime, 1, 192);
	power("a keyring", ring, prime, base, 192);
	power("a logon key", private, prime, logon, 192);
	power("a logon key first", 1, logon, base, 192);
	power("revoked", gone, prime, base, 192);
	power("not to be read", hidden, prime, base, 192);
	power("short of room, and missing", 1, prime, base, 1);
	power("too short, and no room", private, base, base, 1);
	SHOW(CONTROL(DIFFIE_HELLMAN, NULL, result, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, NULL, NULL, 0, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, NULL, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, NULL, 0, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, (char *)-100l, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, (char *)8, result, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, (char *)8, NULL, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 192, 0));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 192, 8));
	SHOW(CONTROL(DIFFIE_HELLMAN, NULL, result, 192, 8));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, -1l, 0));
	struct derivation bad = {"sha256", NULL, 0, {0, 0, 0, 0, 0, 0, 0, 1}}, long_info = {"none", (char *)8, 65, {0}};
	struct derivation no_hash = {"none", (char *)8, 64, {0}}, no_info = {"sha256", (char *)8, 64, {0}}, no_name = {0};
	struct derivation plain = {"sha256", NULL, 0, {0}}, keyed = {"hmac(sha256)", NULL, 0, {0}};
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 192, &bad));
	SHOW(CONTROL(DIFFIE_HELLMAN, (char *)8, result, 192, &bad));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 1024, &long_info));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 1024, &no_hash));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 1024, &no_name));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 1025, &no_hash));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 1024, &no_info));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 1024, &no_info));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, (char *)8, 1024, &plain));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, NULL, 0, &plain));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 0, &plain));
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 32, &keyed));
	SHOW(CONTROL(DIFFIE_HELLMAN, &none, result, 32, &keyed));
	char long_name[200];
	memset(long_name, 'h', sizeof long_name);
	long_name[199] = 0;
	struct derivation named = {long_name, NULL, 0, {0}};
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 32, &named));
	long_name[127] = 0;
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 32, &named));
	struct derivation unnamed = {"", NULL, 0, {0}};
	SHOW(CONTROL(DIFFIE_HELLMAN, &good, result, 32, &unnamed));
}

static void derivations(void)
{
	const char *hashes[] = {
		"sha1", "sha224", "sha256", "sha384", "sha512", "sha3-224", "sha3-256", "sha3-384", "sha3-512", "md4", "md5", "sha1-generic",
		"sha256-generic", "sha224-generic", "sha384-generic", "sha512-generic", "sha3-256-generic", "md5-generic", "sha256-ni",
		"sha256-ssse3", "sha512-ssse3", "crc32c", "crc32c-generic", "crc32", "crct10dif", "crc64-rocksoft", "ghash", "poly1305",
		"xxhash64", "blake2b-256", "sm3", "digest_null", "cmac(aes)", "hmac(sha1)", "xcbc(aes)", "rmd160", "streebog256",
		"michael_mic", "vmac64(aes)", "aes", "cbc(aes)", "rsa", "wp512", "hmac()", "hmac(none)", "SHA256", "sha256 ", "blake2b-512",
	};
	size_t sizes[] = {1, 16, 20, 32, 33, 64, 100, 1024};
	int prime = number_key("p", 192, 0xd3, 1), base = bytes_key("g", "\3", 1), private = bytes_key("x", "\4\1", 2);
	struct parameters numbers = {private, prime, base};
	for (unsigned i = 0; i < sizeof hashes / sizeof *hashes; i++)
		for (unsigned j = 0; j < sizeof sizes / sizeof *sizes; j++) {
			struct derivation each = {(char *)hashes[i], "some more information that counts as well: and goes on to 64 byte", j * 9, {0}};
			memset(result, 0, sizeof result);
			long size = CONTROL(DIFFIE_HELLMAN, &numbers, result, sizes[j], &each);
			printf("%s, %zu: ", hashes[i], sizes[j]);
			if (size < 0) {
				puts(error_name(errno));
				break;
			}
			printf("%ld ", size);
			show_bytes(result, 1024);
		}
}

int main(void)
{
	void (*parts[])(void) = {powers, refusals, derivations};
	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		printf("== %u\n", i);
		IN_CHILD(MUST(CONTROL(JOIN, NULL, 0, 0, 0)); parts[i]());
	}
	return 0;
}
