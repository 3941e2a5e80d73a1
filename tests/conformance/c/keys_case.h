/* What the cases about keys share. */
#ifndef KEYS_CASE_H
#define KEYS_CASE_H
#include "case.h"
#include <grp.h>

enum { THREAD = -1, PROCESS = -2, SESSION = -3, OF_USER = -4, USER_SESSION = -5, GROUP = -6, AUTHORITY = -7, REQUESTOR = -8 };
enum {
	GET_ID, JOIN, UPDATE, REVOKE, CHOWN, SETPERM, DESCRIBE, CLEAR, LINK, UNLINK, SEARCH, READ, INSTANTIATE, NEGATE,
	SET_DEFAULT, TIMEOUT, ASSUME, LABEL, TO_PARENT, REJECT, INSTANTIATE_IOV, INVALIDATE, PERSISTENT, RESTRICT = 29, MOVE,
	CAPABILITIES, WATCH
};

static inline int add(const char *type, const char *name, const void *data, size_t size, int keyring)
{
	return (int)syscall(SYS_add_key, type, name, data, size, keyring);
}

static inline int request(const char *type, const char *name, const char *callout, int keyring)
{
	return (int)syscall(SYS_request_key, type, name, callout, keyring);
}

static inline long control(int operation, ...)
{
	__builtin_va_list list;
	long words[4];
	__builtin_va_start(list, operation);
	for (int i = 0; i < 4; i++)
		words[i] = __builtin_va_arg(list, long);
	__builtin_va_end(list);
	return syscall(SYS_keyctl, operation, words[0], words[1], words[2], words[3]);
}
#define CONTROL(operation, first, second, third, fourth) \
	control(operation, (long)(first), (long)(second), (long)(third), (long)(fourth))

/* The description of a key, without numbers. */
static inline void describe(const char *what, int key)
{
	char text[256] = "";
	long length = CONTROL(DESCRIBE, key, text, sizeof text, 0);
	if (length < 0)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %s (%ld)\n", what, text, length);
}

/* How many keys a keyring links to, and whether each of some is among them. */
static inline void members(const char *what, int keyring)
{
	int serials[64];
	long size = CONTROL(READ, keyring, serials, sizeof serials, 0);
	if (size < 0)
		printf("%s: %s\n", what, error_name(errno));
	else
		printf("%s: %ld keys\n", what, size / 4);
}

/* What a user's keys take, as a difference to before. */
static inline void quota(const char *when)
{
	static int known[2];
	char line[256];
	int uid, usage, keys, instantiated, charged, most, bytes, most_bytes;
	FILE *file = fopen("/proc/key-users", "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "%d: %d %d/%d %d/%d %d/%d", &uid, &usage, &keys, &instantiated, &charged, &most, &bytes,
			&most_bytes) == 8 && uid == (int)getuid()) {
			printf("quota %s: %+d keys %+d bytes, %d not made, of %d/%d\n", when, charged - known[0], bytes - known[1],
				keys - instantiated, most, most_bytes);
			known[0] = charged;
			known[1] = bytes;
		}
	if (file)
		fclose(file);
}

/* The line of a key in /proc/keys, without its number and its count of references. */
static inline const char *line_of(int key)
{
	static char found[512];
	char line[512], number[16], flags[16], expiry[16], permissions[16], rest[400];
	int usage;
	FILE *file = fopen("/proc/keys", "r");
	strcpy(found, "not listed");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "%15s %15s %d %15s %15s %399[^\n]", number, flags, &usage, expiry, permissions, rest) == 6 &&
			(int)strtol(number, NULL, 16) == key) {
			snprintf(found, sizeof found, "%s %s %s %s", flags, expiry, permissions, rest);
			break;
		}
	if (file)
		fclose(file);
	return found;
}

static inline void listed(const char *what, int key)
{
	printf("%s: %s\n", what, line_of(key));
}

/* It changes with the second of either clock: the kernel may go by the one that stands between two ticks. */
static inline long seconds_now(void)
{
	struct timespec now, coarse;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
	return now.tv_sec + coarse.tv_sec;
}

/* The same, right after something gave the key its time: both in one second of the clock, which rounds what is left. */
#define LISTED_AFTER(what, key, giving) \
	do { \
		const char *line_; \
		long seconds_; \
		do { \
			seconds_ = seconds_now(); \
			MUST(giving); \
			line_ = line_of(key); \
		} while (seconds_now() != seconds_); \
		printf("%s: %s\n", what, line_); \
	} while (0)
#endif
