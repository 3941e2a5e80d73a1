/*
 * The agent: process 1 of `krait run`. It prepares the machine, starts programs, and carries their streams to the host.
 *
 * Each session is one program at one port of the virtio console. Both sides send frames: a kind, a length, that many
 * bytes. tools/agent.py is the other side, and has the same constants.
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HEADER = 8,          /* kind, three zeros, length (little-endian) */
	LONGEST = 65536,     /* bytes of a frame */
	WINDOW = 262144,     /* bytes of input that the host may send before it gets more credit */
	SESSIONS = 9,        /* ports 1 … 9; the first is the main program's */
	SETTINGS = 4096,     /* of a request */
	EXIT_NOT_RUN = 126,  /* as shells and docker have it */
	EXIT_NOT_FOUND = 127,
	EXIT_AGENT = 125,
};

/* From the host. */
enum {
	REQUEST = 'Q', INPUT = 'I', INPUT_END = 'E', SIGNAL = 'K', WINDOW_SIZE = 'W', READER_GONE = 'B', DONE = 'D',
};

/* To the host. */
enum { HELLO = 'H', OUTPUT = 'O', ERRORS = 'R', CREDIT = 'C', STARTED = 'S', EXITED = 'X', FAILED = 'F' };

enum state { IDLE, RUNNING, ENDED, FINISHED };

/* What the host asks for: strings of the form KEY=VALUE, which lie in `text`. */
struct request {
	char text[LONGEST + 1];
	size_t length;
};

struct session {
	int port;            /* -1: there is no such port */
	bool is_main;
	enum state state;
	pid_t pid;
	int status;          /* as wait(2) has it, in state ENDED */
	bool tty;
	int input;           /* where the program's input goes, or -1 */
	int output[2];       /* where its output and its errors come from, or -1 */
	bool input_ended;    /* the host sends no more */
	uint32_t credit;     /* to be given to the host */
	size_t ring_start, ring_used;
	size_t have;         /* of `frame` */
	size_t queued, sent; /* of `out` */
	char ring[WINDOW];   /* input that the program has not taken yet */
	unsigned char frame[HEADER + LONGEST];
	unsigned char out[HEADER + LONGEST + 512];
};

extern struct session sessions[SESSIONS];
extern int tools; /* a busybox that no path leads to, or -1 */

/* session.c */
void session_reset(struct session *session);
void session_failed(struct session *session, int status, const char *text);
void session_readable(struct session *session);   /* the port has something, or the host has hung up */
void session_pump(struct session *session);       /* move what can be moved */
void session_ended(struct session *session, int status);
bool session_wants_output(const struct session *session);

/* program.c */
const char *setting(const struct request *request, const char *key, size_t *place);
void reset_signals(void);
void program_start(struct session *session, const struct request *request);

/*
 * disks.c: the path of the disk that `wanted` names, which may be `place`; or NULL, and then `others` lists the disks that
 * there are.
 */
const char *find_disk(const char *wanted, char *place, size_t size, char *others, size_t others_size);

/* prepare.c */
void prepare_devices(void);
const char *prepare_machine(const struct request *request); /* NULL, or what went wrong */
void end_programs(void); /* all but the agent */
_Noreturn void power_off(void);

/* main.c */
void session_idle(struct session *session);

#endif
