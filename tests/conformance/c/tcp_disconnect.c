/* Covers: connect(2) that waits for a peer while another thread disconnects the socket, connects it anew, or waits too. */
#include <pthread.h>
#include <fcntl.h>
#include "tcp_case.h"

static int s;

/* As a text that main prints: only one thread writes. */
static void *connector(void *port)
{
	struct sockaddr_in a;
	memcpy(&a, in((int)(long)port), sizeof a);
	return (void *)(connect(s, (void *)&a, sizeof a) == 0 ? "0" : error_name(errno));
}

static pthread_t begin(int port)
{
	pthread_t thread;
	pthread_create(&thread, 0, connector, (void *)(long)port);
	settle_for(200);
	return thread;
}

static const char *result(pthread_t thread)
{
	void *text;
	pthread_join(thread, &text);
	return text;
}

static int disconnect(void)
{
	struct sockaddr nobody;
	memset(&nobody, 0, sizeof nobody);
	return connect(s, &nobody, sizeof nobody);
}

/* Port 5300: its backlog is full, so nobody answers. */
static void a_port_without_answers(void)
{
	int l = listener(5300, 0);
	for (int i = 0; i < 2; i++) {
		int c = tcp();
		fcntl(c, F_SETFL, O_NONBLOCK);
		connect(c, in(5300), sizeof in_address);
		settle();
	}
	(void)l;
}

int main(void)
{
	loopback_up();
	a_port_without_answers();
	printf("-- disconnected\n");
	s = tcp();
	pthread_t thread = begin(5300);
	printf("%s\n", state_of(s));
	SHOW(disconnect());
	printf("%s\n", result(thread));
	printf("%s\n", state_of(s));
	show_error("afterwards", s);
	close(s);
	printf("-- disconnected and connected anew\n");
	int l = listener(5301, 3);
	s = tcp();
	thread = begin(5300);
	SHOW(disconnect());
	SHOW(connect(s, in(5301), sizeof in_address));
	printf("%s\n", result(thread));
	printf("%s\n", state_of(s));
	show_error("afterwards", s);
	SHOW(send(s, "x", 1, MSG_NOSIGNAL));
	close(s);
	close(l);
	for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
		printf("-- ended by shutdown %d\n", how);
		s = tcp();
		thread = begin(5300);
		SHOW(shutdown(s, how));
		printf("%s\n", result(thread));
		printf("%s\n", state_of(s));
		show_error("afterwards", s);
		close(s);
	}
	printf("-- ended by shutdown while nobody waits\n");
	s = tcp();
	fcntl(s, F_SETFL, O_NONBLOCK);
	SHOW(connect(s, in(5300), sizeof in_address));
	SHOW(shutdown(s, SHUT_WR));
	show_poll("afterwards", s);
	show_error("afterwards", s);
	printf("%s\n", state_of(s));
	close(s);
	return 0;
}
