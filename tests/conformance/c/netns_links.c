/* Interfaces in several networks: pairs of veth, dummies, moving and deleting them, ids of networks, and packets. */
#include "netns_case.h"
#include <poll.h>

static int other; /* the descriptor of another network */

static void inside(int network) { MUST(setns(network, CLONE_NEWNET)); }

static int ask_id(int attribute, int value, int *id)
{
	struct rtgenmsg header = {0};
	start(RTM_GETNSID, 0, &header, sizeof header);
	add_word(attribute, value);
	int result = ask();
	*id = -7;
	if (result == 0) {
		struct nlmsghdr *h = (struct nlmsghdr *)answer;
		struct rtattr *a = (struct rtattr *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof header));
		*id = *(int *)RTA_DATA(a);
	}
	return result;
}

static int set_id(int id, int attribute, int value)
{
	struct rtgenmsg header = {0};
	start(RTM_NEWNSID, 0, &header, sizeof header);
	add_word(NETNSA_NSID, id);
	add_word(attribute, value);
	return ask();
}

static int change(const char *name, int attribute, const void *data, size_t size)
{
	link_header(RTM_NEWLINK, 0, 0, 0, 0);
	add_text(IFLA_IFNAME, name);
	add(attribute, data, size);
	return ask();
}

static void exchange(int first, int second)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7000)};
	char buffer[64] = "";
	inet_pton(AF_INET, "10.1.1.2", &a.sin_addr);
	inside(second);
	int server = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	MUST(bind(server, (struct sockaddr *)&a, sizeof a));
	int listener = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&a, sizeof a));
	MUST(listen(listener, 4));
	inside(first);
	int client = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	SHOW(sendto(client, "question", 8, 0, (struct sockaddr *)&a, sizeof a));
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	SHOW(recvfrom(server, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size));
	printf("%s from %s\n", buffer, inet_ntoa(from.sin_addr));
	SHOW(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, size));
	memset(buffer, 0, sizeof buffer);
	SHOW(recv(client, buffer, sizeof buffer, 0));
	printf("%s\n", buffer);
	int stream = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
	SHOW(connect(stream, (struct sockaddr *)&a, sizeof a));
	int accepted = (int)MUST(accept(listener, NULL, NULL));
	static char sent[200000], got[200000];
	for (unsigned i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 7 + i / 251);
	if (fork() == 0) {
		size_t done = 0;
		while (done < sizeof sent)
			done += (size_t)MUST(send(stream, sent + done, sizeof sent - done, 0));
		_exit(0);
	}
	close(stream);
	size_t done = 0;
	while (done < sizeof got) {
		ssize_t more = MUST(recv(accepted, got + done, sizeof got - done, 0));
		if (more == 0)
			break;
		done += (size_t)more;
	}
	printf("%zu bytes, %s\n", done, memcmp(sent, got, sizeof got) ? "others" : "the same");
	SHOW(recv(accepted, got, 1, 0));
	close(accepted);
	close(listener);
	close(server);
	/* Nobody listens there now: an error comes back. */
	SHOW(connect(client, (struct sockaddr *)&a, sizeof a));
	SHOW(send(client, "x", 1, 0));
	struct pollfd ready = {client, POLLIN, 0};
	SHOW(poll(&ready, 1, 60000));
	SHOW(recv(client, buffer, sizeof buffer, 0));
	close(client);
	while (wait(NULL) > 0)
		;
}

int main(void)
{
	int original = own_network(), id;
	/* All of this in networks of its own, whose indexes begin anew. */
	MUST(unshare(CLONE_NEWNET));
	int red = own_network();
	MUST(unshare(CLONE_NEWNET));
	int blue = own_network();
	other = red;
	show_links("blue");
	SHOW(new_pair("left", "right", -1));
	show_links("a pair");
	SHOW(new_pair("left", "third", -1));
	SHOW(new_pair("third", "left", -1));
	SHOW(new_pair("third", "third", -1));
	SHOW(new_pair("a/b", "third", -1));
	SHOW(new_pair("a-name-that-is-too-long", "third", -1));
	SHOW(new_pair("third", "fourth", 99));
	SHOW(new_pair("third", "fourth", 0));
	show_links("still");
	new_link(NLM_F_CREATE, "none", "krait-kind");
	SHOW(ask());
	new_link(NLM_F_CREATE | NLM_F_EXCL, "left", "dummy");
	SHOW(ask());
	new_link(0, "none", "dummy");
	SHOW(ask());
	new_link(NLM_F_CREATE | NLM_F_EXCL, NULL, "dummy");
	SHOW(ask());
	new_link(NLM_F_CREATE | NLM_F_EXCL, "name%d", "dummy");
	SHOW(ask());
	static const char *const odd[] = {"a%s", "a%d%d", "%", "a%", "a/%d", "a:%d", "a %d", "b%dc", "..", "thirteen-of-%d"};
	for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
		new_link(NLM_F_CREATE | NLM_F_EXCL, odd[i], "dummy");
		SHOW(ask());
	}
	SHOW(if_nametoindex("b0c") > 0);
	SHOW(delete_link("b0c"));
	SHOW(delete_link("thirteen-of-0"));
	link_header(RTM_NEWLINK, NLM_F_CREATE, 0, 0, 0);
	add_text(IFLA_IFNAME, "none");
	SHOW(ask());
	show_links("dummies");
	SHOW(turn("dummy0", 1));
	SHOW(turn("left", 1));
	show_links("one end is up");
	SHOW(turn("right", 1));
	show_links("both are up");
	SHOW(turn("left", 0));
	show_links("one is down");
	SHOW(delete_link("dummy0"));
	SHOW(delete_link("dummy0"));
	SHOW(delete_link("lo"));
	link_header(RTM_DELLINK, 0, 77, 0, 0);
	SHOW(ask());
	link_header(RTM_DELLINK, 0, 0, 0, 0);
	SHOW(ask());
	unsigned char group[6] = {1, 2, 3, 4, 5, 6}, own[6] = {2, 0, 0, 0, 0, 9}, nobody[6] = {0};
	SHOW(change("name0", IFLA_ADDRESS, group, 6));
	SHOW(change("name0", IFLA_ADDRESS, nobody, 6));
	SHOW(change("name0", IFLA_ADDRESS, own, 5));
	SHOW(change("name0", IFLA_ADDRESS, own, 6));
	unsigned mtu = 67;
	SHOW(change("left", IFLA_MTU, &mtu, 4));
	mtu = 65536;
	SHOW(change("left", IFLA_MTU, &mtu, 4));
	mtu = 9000;
	SHOW(change("left", IFLA_MTU, &mtu, 4));

	/* Into another network. */
	SHOW(move("lo", IFLA_NET_NS_FD, red));
	SHOW(move("right", IFLA_NET_NS_FD, 99));
	SHOW(move("right", IFLA_NET_NS_FD, 0));
	SHOW(move("right", IFLA_NET_NS_PID, 99999999));
	SHOW(move("none", IFLA_NET_NS_FD, red));
	SHOW(move("right", IFLA_NET_NS_FD, blue));
	SHOW(give("right", "10.7.7.7", 24));
	SHOW(ask_id(NETNSA_FD, red, &id));
	printf("id %d\n", id);
	SHOW(move("right", IFLA_NET_NS_FD, red));
	show_links("blue without right");
	SHOW(ask_id(NETNSA_FD, red, &id));
	printf("id %d\n", id);
	inside(red);
	show_links("red");
	SHOW(ask_id(NETNSA_FD, blue, &id));
	printf("id %d\n", id);
	SHOW(ask_id(NETNSA_FD, 0, &id));
	SHOW(ask_id(NETNSA_FD, 99, &id));
	SHOW(ask_id(NETNSA_PID, 99999999, &id));
	SHOW(set_id(5, NETNSA_FD, original));
	SHOW(set_id(6, NETNSA_FD, original));
	SHOW(set_id(5, NETNSA_FD, red));
	SHOW(ask_id(NETNSA_FD, original, &id));
	printf("id %d\n", id);
	SHOW(new_pair("left", "left", blue));
	SHOW(new_pair("near", "far", blue));
	show_links("red with near");
	inside(blue);
	show_links("blue with far");

	/* Packets. */
	MUST(turn("lo", 1));
	SHOW(give("left", "10.1.1.1", 24));
	SHOW(turn("left", 1));
	inside(red);
	MUST(turn("lo", 1));
	SHOW(give("right", "10.1.1.2", 24));
	SHOW(turn("right", 1));
	exchange(blue, red);

	/* An end that is deleted takes the other along, wherever that is. */
	inside(red);
	SHOW(delete_link("right"));
	inside(blue);
	show_links("blue without left");

	/* So does a network that ends. */
	inside(red);
	show_links("red at last");
	pid_t child = fork();
	if (child == 0) {
		MUST(unshare(CLONE_NEWNET));
		MUST(new_pair("gone", "stays", red));
		_exit(0);
	}
	show_end(child);
	for (int i = 0; i < 3000 && if_nametoindex("stays"); i++)
		sleep_ms(10);
	CHECK(if_nametoindex("stays") == 0);
	inside(original);
	return 0;
}
