/*
 * resolve.c - from a name to an address, without holding up the loop.
 *
 * The C library's resolver blocks, reads files and knows the host's own rules (hosts file, search
 * domains, nsswitch); a resolver of our own would differ from what every other program on the host
 * sees. So it runs in the blocking pool. A numeric name never leaves the loop.
 *
 * Under sim there is one host: whatever is looked up is the simulated address of that port, so
 * real clients can be pointed at scripted peers.
 *
 * Nothing is cached: connections are pooled by those who make them, so a look-up is rare.
 */
#include "usher/net.h"
#include "usher/sim.h"

#include <netdb.h>
#include <stdio.h>

struct question {
    const char *name;
    char port[8];
    struct ush_address *ret;
    int flags;
};

static int look_up(void *arg)
{
    struct question *q = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | q->flags};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(q->name, q->port, &hints, &list);
    if (r == EAI_AGAIN || r == EAI_MEMORY || r == EAI_SYSTEM)
        return -EAGAIN;
    if (r != 0 || !list || list->ai_addrlen > sizeof(q->ret->storage))
        r = USH_ENOTFOUND;
    else {
        memcpy(&q->ret->storage, list->ai_addr, list->ai_addrlen);
        q->ret->len = list->ai_addrlen;
    }
    if (list)
        freeaddrinfo(list);
    return r;
}

int ush_resolve(const char *name, uint16_t port, struct ush_address *ret)
{
    if (ush_is_sim()) {
        *ret = ush_sim_address(port);
        return 0;
    }
    struct question q = {.name = name, .ret = ret, .flags = AI_NUMERICHOST};
    snprintf(q.port, sizeof(q.port), "%u", port);
    if (look_up(&q) == 0)
        return 0;
    q.flags = AI_ADDRCONFIG;
    return ush_offload(ush_blocking_pool(), look_up, &q);
}
