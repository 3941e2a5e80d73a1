/* Covers: SIOCETHTOOL: what there is to know of an interface, for whom, and what there is not. */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include "tcp_case.h"

static struct ifreq request;
static uint32_t data[1024];

static int ask(int s, const char *name, uint32_t command)
{
	memset(data, 0, sizeof data);
	data[0] = command;
	memset(&request, 0, sizeof request);
	strcpy(request.ifr_name, name);
	request.ifr_data = (void *)data;
	return ioctl(s, SIOCETHTOOL, &request);
}

/* What Krait's interfaces do not know: strings, features by number, the driver, rings, queues. */
static int is_known(uint32_t command)
{
	return command != ETHTOOL_GSSET_INFO && command != ETHTOOL_GFEATURES;
}

static void sweep(int s, const char *name, int as_root)
{
	printf("--- %s\n", name);
	for (uint32_t command = 0; command < 0x58; command++) {
		static const uint32_t gets[] = { 0x1, 0xa, 0x14, 0x16, 0x18, 0x1e, 0x20, 0x21, 0x23, 0x25, 0x2b, 0x41, 0x4c };
		int changes_nothing = !as_root;
		for (size_t i = 0; i < sizeof gets / sizeof *gets; i++)
			changes_nothing |= gets[i] == command;
		if (!changes_nothing || !is_known(command))
			continue;
		int result = ask(s, name, command);
		if (command == ETHTOOL_GET_TS_INFO)
			data[1] &= ~2u;  /* Linux takes times of what is sent, too */
		if (result < 0 && errno == EOPNOTSUPP)
			continue;
		printf("%#x: %s", command, result < 0 ? error_name(errno) : "ok");
		for (int i = 1; i < 64 && result >= 0; i++)
			if (data[i])
				printf(" [%d] %#x", i, data[i]);
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
	const char *name = argc > 1 ? argv[1] : "lo";
	if (argc == 1) {
		printf("down: %d %u\n", ask(s, name, ETHTOOL_GLINK), data[1]);
		loopback_up();
	}
	sweep(s, name, 1);
	memset(data, 0, sizeof data);
	data[1] = 6;
	data[0] = ETHTOOL_GPERMADDR;
	SHOW(ioctl(s, SIOCETHTOOL, &request));
	printf("%u bytes\n", data[1]);
	SHOW(ask(s, "none", ETHTOOL_GLINK));
	SHOW(ask(s, "none", 0x1000));
	SHOW(ask(s, name, 0x1000));
	request.ifr_data = (void *)8;
	SHOW(ioctl(s, SIOCETHTOOL, &request));
	strcpy(request.ifr_name, "none");
	SHOW(ioctl(s, SIOCETHTOOL, &request));
	SHOW(ioctl(s, SIOCETHTOOL, 8));
	system("ip link add dummy7 type dummy; ip link add v1 type veth peer name v2");
	for (int i = 0; i < 3; i++) {
		struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
		strcpy(request.ifr_name, i == 0 ? "lo" : i == 1 ? "dummy7" : "v1");
		request.ifr_data = (void *)&info;
		SHOW(ioctl(s, SIOCETHTOOL, &request));
		printf("'%s' '%s' '%s'\n", info.driver, i == 1 ? "" : info.version, info.bus_info);
	}
	system("ip link del dummy7; ip link del v1");
	puts("--- by a user");
	fflush(stdout);
	IN_CHILD({
		MUST(setuid(1000));
		sweep(s, name, 0);
	});
	return 0;
}
