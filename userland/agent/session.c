/* A session's frames and streams. Nothing here waits: what cannot be moved now is moved when there is room. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_end(int *descriptor)
{
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
}

void session_reset(struct session *session)
{
	close_end(&session->input);
	close_end(&session->output[0]);
	close_end(&session->output[1]);
	session->state = IDLE;
	session->pid = 0;
	session->tty = session->input_ended = false;
	session->credit = 0;
	session->ring_start = session->ring_used = session->have = session->queued = session->sent = 0;
}

static void put_header(unsigned char *at, int kind, uint32_t length)
{
	memset(at, 0, HEADER);
	at[0] = (unsigned char)kind;
	memcpy(at + 4, &length, sizeof length);
}

/* Append a short frame; there is room for a few after a full one. */
static bool queue_frame(struct session *session, int kind, const void *data, size_t length)
{
	if (session->queued + HEADER + length > sizeof session->out)
		return false;
	put_header(session->out + session->queued, kind, (uint32_t)length);
	memcpy(session->out + session->queued + HEADER, data, length);
	session->queued += HEADER + length;
	return true;
}

void session_failed(struct session *session, int status, const char *text)
{
	char data[260];
	uint32_t number = (uint32_t)status;

	memcpy(data, &number, sizeof number);
	int length = snprintf(data + 4, sizeof data - 4, "%s", text);
	if (length > (int)sizeof data - 5)
		length = sizeof data - 5;
	queue_frame(session, FAILED, data, 4 + (size_t)length);
	session->state = FINISHED;
}

/* ---- From the host ---- */

static void take_input(struct session *session, const unsigned char *data, size_t length)
{
	if (session->input < 0) { /* the program has closed its end: what comes is lost, as in a pipe */
		session->credit += (uint32_t)length;
		return;
	}
	if (length > WINDOW - session->ring_used)
		length = WINDOW - session->ring_used; /* more than we gave credit for */
	for (size_t done = 0; done < length;) {
		size_t at = (session->ring_start + session->ring_used) % WINDOW;
		size_t part = WINDOW - at < length - done ? WINDOW - at : length - done;
		memcpy(session->ring + at, data + done, part);
		session->ring_used += part;
		done += part;
	}
}

static void take_frame(struct session *session, int kind, const unsigned char *data, size_t length)
{
	static struct request request;
	uint32_t number = 0;

	if (length >= 4)
		memcpy(&number, data, 4);
	if (kind == REQUEST && !session->is_main && session->state != IDLE) {
		/* Another client, and we did not notice that the one before has left. */
		if (session->state == RUNNING)
			kill(-session->pid, SIGKILL);
		session_reset(session);
	}
	if (kind == REQUEST && session->state == IDLE) {
		memcpy(request.text, data, length);
		request.text[length] = 0;
		request.length = length;
		const char *nonce = setting(&request, "nonce", NULL);
		if (nonce)
			queue_frame(session, HELLO, nonce, strnlen(nonce, 64));
		const char *problem = session->is_main ? prepare_machine(&request) : NULL;
		if (problem)
			session_failed(session, EXIT_AGENT, problem);
		else
			program_start(session, &request);
		if (session->state == RUNNING)
			queue_frame(session, STARTED, &session->pid, 4);
	} else if (kind == INPUT) {
		take_input(session, data, length);
	} else if (kind == INPUT_END) {
		if (session->tty)
			take_input(session, (const unsigned char *)"\4", 1); /* what Ctrl-D sends */
		else
			session->input_ended = true;
	} else if (kind == SIGNAL && length >= 4) {
		if (session->state == RUNNING && number > 0 && number < 65)
			kill(-session->pid, (int)number);
	} else if (kind == WINDOW_SIZE && length >= 4 && session->tty && session->input >= 0) {
		struct winsize size = {.ws_row = (unsigned short)(number & 0xFFFF), .ws_col = (unsigned short)(number >> 16)};
		ioctl(session->input, TIOCSWINSZ, &size);
	} else if (kind == READER_GONE && length >= 1 && (data[0] == 1 || data[0] == 2)) {
		if (!session->tty)
			close_end(&session->output[data[0] - 1]);
	} else if (kind == DONE) {
		if (session->is_main)
			power_off();
		session_reset(session);
	}
}

/* Nobody listens any more. */
static void host_left(struct session *session)
{
	if (session->is_main)
		power_off();
	if (session->state == RUNNING)
		kill(-session->pid, SIGKILL);
	session_idle(session);
}

void session_readable(struct session *session)
{
	size_t have = session->have;

	for (;;) {
		ssize_t got = read(session->port, session->frame + have, sizeof session->frame - have);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got <= 0) {
			host_left(session);
			return;
		}
		have += (size_t)got;
		size_t at = 0;
		while (have - at >= HEADER) {
			uint32_t length;
			memcpy(&length, session->frame + at + 4, sizeof length);
			if (length > LONGEST) { /* no frame begins here: the rest of something that was cut off */
				at++;
				continue;
			}
			if (have - at < HEADER + length)
				break;
			take_frame(session, session->frame[at], session->frame + at + HEADER, length);
			at += HEADER + length;
		}
		have -= at;
		memmove(session->frame, session->frame + at, have);
	}
	session->have = have;
	if (!session->is_main && session->state == IDLE && have == 0)
		session_idle(session);
}

/* ---- To the host ---- */

static void pump_input(struct session *session)
{
	while (session->input >= 0 && session->ring_used > 0) {
		size_t part = WINDOW - session->ring_start;
		if (part > session->ring_used)
			part = session->ring_used;
		ssize_t put = write(session->input, session->ring + session->ring_start, part);
		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (put < 0) { /* the program has closed its end */
			session->credit += (uint32_t)session->ring_used;
			session->ring_used = 0;
			if (!session->tty)
				close_end(&session->input);
			break;
		}
		session->ring_start = (session->ring_start + (size_t)put) % WINDOW;
		session->ring_used -= (size_t)put;
		session->credit += (uint32_t)put;
	}
	if (session->input_ended && !session->tty && session->ring_used == 0)
		close_end(&session->input);
}

/* Send what is queued; false if the port is full. */
static bool flush(struct session *session)
{
	while (session->sent < session->queued) {
		ssize_t put = write(session->port, session->out + session->sent, session->queued - session->sent);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		session->sent += (size_t)put;
	}
	session->sent = session->queued = 0;
	return true;
}

/* Read one of the program's streams into a frame; false if it has nothing now. */
static bool pump_output(struct session *session, int which)
{
	ssize_t got = -1;

	if (session->output[which] < 0)
		return false;
	do
		got = read(session->output[which], session->out + HEADER, LONGEST);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		/* The other side of a pseudo terminal is closed for the moment, or for good; a pipe's for good. */
		if (!session->tty || session->state != RUNNING)
			close_end(&session->output[which]);
		return false;
	}
	put_header(session->out, which ? ERRORS : OUTPUT, (uint32_t)got);
	session->queued = HEADER + (size_t)got;
	return true;
}

static void finish(struct session *session)
{
	uint32_t status = (uint32_t)(WIFSIGNALED(session->status) ? 128 + WTERMSIG(session->status)
	                                                           : WEXITSTATUS(session->status));

	close_end(&session->input);
	close_end(&session->output[0]);
	close_end(&session->output[1]);
	queue_frame(session, EXITED, &status, sizeof status);
	session->state = FINISHED;
	flush(session);
}

bool session_wants_output(const struct session *session)
{
	return session->sent < session->queued;
}

void session_pump(struct session *session)
{
	if (session->state == IDLE)
		return;
	pump_input(session);
	if (session->credit >= WINDOW / 4 || (session->credit > 0 && session->ring_used == 0)) {
		if (queue_frame(session, CREDIT, &session->credit, sizeof session->credit))
			session->credit = 0;
	}
	for (int turn = 0; turn < 64; turn++) { /* then others get their turn */
		if (!flush(session))
			return;
		if (session->state == FINISHED)
			return;
		if (!pump_output(session, turn & 1) && !pump_output(session, !(turn & 1))) {
			if (session->state == ENDED)
				finish(session);
			return;
		}
	}
}

void session_ended(struct session *session, int status)
{
	session->status = status;
	session->state = ENDED;
}
