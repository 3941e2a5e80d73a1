/* Runs a program for which bpf(2) does nothing and says that all went well: this one answers its calls, as
   seccomp_unotify(2) lets it. runc and crun want a program for devices, and start no container of root's without. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAP_CREATE = 0, PROG_LOAD = 5, PROG_QUERY = 16, BTF_LOAD = 18 };

static int listen_for_calls(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void answer(int listener) {
    struct seccomp_notif call;
    struct seccomp_notif_resp reply;
    memset(&call, 0, sizeof call);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
    unsigned command = call.data.args[0];
    if (command == MAP_CREATE || command == PROG_LOAD || command == BTF_LOAD) {
        struct seccomp_notif_addfd file = {
            .id = call.id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = open("/dev/null", O_RDWR), .newfd_flags = O_CLOEXEC};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &file) < 0) perror("addfd");
        close(file.srcfd);
        return;
    }
    if (command == PROG_QUERY) {
        unsigned none = 0;
        struct iovec from = {&none, sizeof none}, to = {(char *)call.data.args[1] + 24, sizeof none};
        process_vm_writev(call.pid, &from, 1, &to, 1, 0);
    }
    memset(&reply, 0, sizeof reply);
    reply.id = call.id;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

int main(int count, char **arguments) {
    int pair[2], status, listener;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        listener = listen_for_calls();
        if (listener < 0) { perror("seccomp"); _exit(127); }
        write(pair[1], &listener, sizeof listener);
        read(pair[1], &listener, 1);
        close(pair[1]);
        close(listener);
        execvp(arguments[1], arguments + 1);
        perror(arguments[1]);
        _exit(127);
    }
    close(pair[1]);
    if (read(pair[0], &listener, sizeof listener) != sizeof listener) return 127;
    int pidfd = syscall(SYS_pidfd_open, child, 0);
    int mine = syscall(SYS_pidfd_getfd, pidfd, listener, 0);
    write(pair[0], "", 1);
    struct pollfd polled[2] = {{mine, POLLIN, 0}, {pidfd, POLLIN, 0}};
    while (poll(polled, 2, -1) >= 0 && !(polled[1].revents & POLLIN))
        if (polled[0].revents & POLLIN) answer(mine);
        else if (polled[0].revents & POLLHUP) polled[0].fd = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
