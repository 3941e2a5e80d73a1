/*
 * Programs about a subject: what tables cannot say, because attributes nest, instructions jump, and one call needs what
 * others have made. Each subject is a file with a start and a list of deeds; a deed is a few calls. Between them are calls
 * of the tables, so that subjects meet the rest.
 */

enum subject { NO_SUBJECT, FIREWALL, LINKS, GROUPS, FILTERS, TIMES, SUBJECTS };

static int chaos; /* how wrong a program's structures are: 0 never, 1 seldom, 2 often */
static int first_store; /* of the call that is being put together */
static uint8_t made_bytes[8192]; /* a message, before it is kept */
static int made_size, nests[12], nest_depth;

static int is_odd(void) { return chaos && one_in(chaos == 1 ? 100 : 16); }

/* One of the numbers, or seldom another. */
#define ONE_OF(...) (is_odd() ? edge() : ((const uint64_t[]){ __VA_ARGS__ })[pick(COUNT(((const uint64_t[]){ __VA_ARGS__ })))])

/* ---- Calls ---- */

/* A call with these arguments; its result. */
static struct value step_of(int number_of_call, int count, const struct value *arguments)
{
	int row = row_of(number_of_call);
	struct call *call = &made->call[made->calls];
	if (made->calls >= MOST_CALLS || excluded[row])
		return number(-1ull);
	memset(call, 0, sizeof *call);
	memcpy(call->arguments, arguments, count * sizeof *arguments);
	call->row = row;
	call->thread = pick(made->threads);
	call->first_store = first_store;
	call->stores = made->stores - first_store;
	if (made->fails && one_in(3))
		call->fails = 1 + pick(one_in(3) ? 60 : 8);
	first_store = made->stores;
	return tagged(RESULT, made->calls++);
}

#define STEP(number_of_call, ...) step_of(number_of_call, COUNT(((struct value[]){ __VA_ARGS__ })), (struct value[]){ __VA_ARGS__ })
#define N(n) number((uint64_t)(n))

/* Bytes in memory before the next call. */
static uint64_t keep_bytes(const void *bytes, int size)
{
	uint64_t address = place(size);
	if (size <= 0 || made->bytes_used + size > MOST_BYTES)
		return address;
	memcpy(made->bytes + made->bytes_used, bytes, size);
	keep_store(STORE_BYTES, address, number(made->bytes_used), size);
	made->bytes_used += size;
	return address;
}

static uint64_t keep_string(const char *text) { return keep_bytes(text, strlen(text) + 1); }

static struct value opened(const char *path, int flags, int kind)
{
	struct value fd = STEP(SYS_openat, N(-100), N(keep_string(path)), N(flags), N(0644));
	if (fd.tag == RESULT && resource_count < MOST_RESOURCES)
		resources[resource_count++] = (struct resource){ KIND_FD, kind, fd };
	return fd;
}

static void written(struct value fd, const char *text)
{
	STEP(SYS_write, fd, N(keep_string(text)), N(strlen(text) + one_in(4)));
}

/* ---- Attributes of netlink ---- */

static void put(const void *bytes, int size)
{
	int room = (int)sizeof made_bytes - 8 - made_size;
	if (size > room)
		size = room < 0 ? 0 : room;
	if (bytes)
		memcpy(made_bytes + made_size, bytes, size);
	else
		memset(made_bytes + made_size, 0, size);
	made_size += size;
	while (made_size & 3)
		made_bytes[made_size++] = 0;
}

static void put_head(int size, int kind)
{
	put((uint16_t[]){ size, kind }, 4);
}

static void attribute(int kind, const void *bytes, int size)
{
	if (is_odd())
		switch (pick(5)) {
		case 0: return;
		case 1: kind = pick(24); break;
		case 2: size = pick(size + 1); break;
		case 3: kind ^= 0x8000; break;
		default: put_head(pick(size + 6), kind), put(bytes, size); return;
		}
	put_head(4 + size, kind);
	put(bytes, size);
}

static void put_u8(int kind, uint8_t n) { attribute(kind, &n, 1); }
static void put_u16(int kind, uint16_t n) { attribute(kind, &n, 2); }
static void put_u32(int kind, uint32_t n) { attribute(kind, &n, 4); }
static void put_be16(int kind, uint16_t n) { n = be16(n); attribute(kind, &n, 2); }
static void put_be32(int kind, uint32_t n) { n = be32(n); attribute(kind, &n, 4); }
static void put_be64(int kind, uint64_t n) { n = __builtin_bswap64(n); attribute(kind, &n, 8); }
static void put_text(int kind, const char *text) { attribute(kind, text, strlen(text) + 1 - one_in(30)); }

static void begin_nest(int kind)
{
	if (nest_depth < (int)COUNT(nests))
		nests[nest_depth] = made_size;
	nest_depth++;
	put_head(4, kind | (one_in(30) ? 0 : 0x8000));
}

static void end_nest(void)
{
	if (--nest_depth >= (int)COUNT(nests))
		return;
	int start = nests[nest_depth], size = made_size - start;
	if (is_odd())
		size = one_in(2) ? pick(size + 9) : one_in(2) ? 0 : 0xffff;
	memcpy(made_bytes + start, &(uint16_t){ size }, 2);
}

static int message_start;

static void begin_message(int kind, int flags, const void *header, int size)
{
	uint32_t head[4] = { 0, (kind & 0xffff) | (flags | NLM_F_REQUEST) << 16, pick(100), 0 };
	nest_depth = 0;
	message_start = made_size;
	put(head, 16);
	put(header, size);
}

static void end_message(void)
{
	uint32_t size = made_size - message_start;
	if (is_odd())
		size = one_in(2) ? size + pick(8) - 4 : edge();
	memcpy(made_bytes + message_start, &size, 4);
}

/* What was put together, to a socket; sometimes its answers are read. */
static void send_made(struct value fd)
{
	uint64_t at = keep_bytes(made_bytes, made_size);
	STEP(SYS_sendto, fd, N(at), N(made_size), N(MSG_DONTWAIT), N(0), N(0));
	made_size = 0;
	for (int i = pick(3); i > 0; i--)
		STEP(SYS_recvfrom, fd, N(place(8192)), N(one_in(4) ? pick(300) : 8192), N(MSG_DONTWAIT), N(0), N(0));
}

static struct value netlink_socket(int protocol, uint32_t groups)
{
	struct sockaddr_nl at = { AF_NETLINK, 0, 0, groups };
	struct value fd = STEP(SYS_socket, N(AF_NETLINK), N(SOCK_RAW), N(protocol));
	STEP(SYS_bind, fd, N(keep_bytes(&at, sizeof at)), N(sizeof at));
	if (fd.tag == RESULT && resource_count < MOST_RESOURCES)
		resources[resource_count++] = (struct resource){ KIND_FD, FD_SOCKET, fd };
	return fd;
}

#include "traffic.h"
#include "firewall.h"
#include "links.h"
#include "groups.h"
#include "filters.h"

static void begin_subject(void)
{
	chaos = pick(3);
	made_size = 0;
	first_store = made->stores;
	switch (made->subject) {
	case FIREWALL: begin_firewall(); break;
	case LINKS: begin_links(); break;
	case GROUPS: begin_groups(); break;
	case FILTERS: begin_filters(); break;
	default: begin_times();
	}
}

static void do_deed(void)
{
	made_size = 0;
	first_store = made->stores;
	switch (made->subject) {
	case FIREWALL: firewall_deed(); break;
	case LINKS: links_deed(); break;
	case GROUPS: groups_deed(); break;
	case FILTERS: filters_deed(); break;
	default: times_deed();
	}
}
