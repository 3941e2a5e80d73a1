/* Says who runs it, and with whose rights. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("uid %d, effective %d\n", (int)getuid(), (int)geteuid());
	return 0;
}
