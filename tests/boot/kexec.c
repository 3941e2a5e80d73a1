/* Load a kernel by kexec_file_load(2) and start it: kexec KERNEL INITRD COMMAND-LINE, or kexec KERNEL - COMMAND-LINE. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words)
{
	if (count != 4)
		return 2;
	int kernel = open(words[1], O_RDONLY), has_initrd = strcmp(words[2], "-") != 0;
	int initrd = has_initrd ? open(words[2], O_RDONLY) : -1;
	if (kernel < 0 || (has_initrd && initrd < 0)) {
		perror("open");
		return 1;
	}
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(words[3]) + 1, words[3], has_initrd ? 0 : 4) != 0) {
		perror("kexec_file_load");
		return 1;
	}
	puts("loaded");
	fflush(stdout);
	syscall(SYS_reboot, 0xfee1dead, 672274793, 0x45584543, 0);
	perror("reboot");
	return 1;
}
