#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char page[] = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";

int main(int count, char **arguments) {
    if (count != 2) return 64;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(atoi(arguments[1]));
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 64)) return 1;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = server}, ready[16];
    epoll_ctl(epoll, EPOLL_CTL_ADD, server, &wanted);
    for (;;) {
        int events = epoll_wait(epoll, ready, 16, -1);
        for (int i = 0; i < events; i++) {
            if (ready[i].data.fd == server) {
                struct epoll_event client = {.events = EPOLLIN, .data.fd = accept(server, 0, 0)};
                epoll_ctl(epoll, EPOLL_CTL_ADD, client.data.fd, &client);
                continue;
            }
            char request[4096];
            int length = read(ready[i].data.fd, request, sizeof request - 1);
            if (length > 0) {
                request[length] = 0;
                if (write(ready[i].data.fd, page, sizeof page - 1) < 0) return 1;
            }
            if (length <= 0 || strstr(request, "connection: close")) close(ready[i].data.fd);
        }
    }
}
