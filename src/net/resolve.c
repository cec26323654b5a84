/*
 * resolve.c - from a name to its addresses, without holding up the loop.
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
    struct ush_address *ret; /* USH_ADDRESSES_MAX */
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
    if (r != 0)
        return USH_ENOTFOUND;
    int n = 0;
    for (struct addrinfo *a = list; a && n < USH_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(q->ret->storage))
            continue;
        memcpy(&q->ret[n].storage, a->ai_addr, a->ai_addrlen);
        q->ret[n++].len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return n ? n : USH_ENOTFOUND;
}

int ush_resolve(const char *name, uint16_t port, struct ush_address ret[USH_ADDRESSES_MAX])
{
    if (ush_is_sim()) {
        *ret = ush_sim_address(port);
        return 1;
    }
    struct question q = {.name = name, .ret = ret, .flags = AI_NUMERICHOST};
    snprintf(q.port, sizeof(q.port), "%u", port);
    int n = look_up(&q);
    if (n > 0)
        return n;
    q.flags = AI_ADDRCONFIG;
    return ush_offload(ush_blocking_pool(), look_up, &q);
}
