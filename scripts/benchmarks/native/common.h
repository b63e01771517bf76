/* What the load generator and the upstream share: time, endings, sockets. Linux only. */
#ifndef STANDBY_BENCH_COMMON_H
#define STANDBY_BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline _Noreturn void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline void *need(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

/* Open as many descriptors as the machine lets this user open. */
static inline void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* An address written "unix:/path" or "tcp:127.0.0.1:8080". Returns its length. */
static inline socklen_t parse_address(const char *text, struct sockaddr_storage *address) {
    memset(address, 0, sizeof *address);
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *local = (struct sockaddr_un *)address;
        local->sun_family = AF_UNIX;
        if (strlen(text + 5) >= sizeof local->sun_path) die("socket path too long: %s", text + 5);
        strcpy(local->sun_path, text + 5);
        return sizeof *local;
    }
    const char *colon = strrchr(text, ':');
    if (strncmp(text, "tcp:", 4) != 0 || colon < text + 4) die("not an address: %s", text);
    char host[64] = {0};
    size_t length = (size_t)(colon - text - 4);
    if (length >= sizeof host) die("not an address: %s", text);
    memcpy(host, text + 4, length);
    struct sockaddr_in *remote = (struct sockaddr_in *)address;
    remote->sin_family = AF_INET;
    remote->sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &remote->sin_addr) != 1) die("not an IPv4 address: %s", host);
    return sizeof *remote;
}

static inline void watch(int epoll, int operation, int descriptor, uint32_t events, void *what) {
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(epoll, operation, descriptor, &event) < 0) die("epoll_ctl: %s", strerror(errno));
}

/* Make a timer descriptor fire once at a time of CLOCK_MONOTONIC; 0 disarms it. */
static inline void arm(int timer, int64_t at) {
    struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A timer descriptor without the 50 µs by which the kernel may delay an ordinary sleeper. */
static inline int make_timer(void) {
    prctl(PR_SET_TIMERSLACK, 1UL);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0) die("timerfd_create: %s", strerror(errno));
    return timer;
}

#endif
