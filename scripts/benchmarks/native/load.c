/* A load generator for HTTP/1.1 that believes nothing: every answer is read to its end and checked.
 *
 *     load --target ADDRESS --request FILE --connections N [--warmup S] --seconds S
 *          [--rate R] [--ramp S] [--expect-bytes B] [--expect-events E] [--hold]
 *
 * FILE holds one whole request, head and body, sent as it is. Without --rate each connection asks again
 * as soon as it has its answer. With --rate requests fall due evenly spaced in time, whoever is free
 * takes them, and a latency counts from the time the request was due, not from when it could be sent
 * (so that a stall is charged to every request that it held up). --ramp spreads the first requests.
 *
 * An answer is right when its status is 200, its framing is whole, its body has B bytes and, for a
 * stream, E events the last of which is "data: [DONE]". A wrong one is counted by what is wrong and
 * its connection replaced.
 *
 * Prints "begin" and "end" as the measured window opens and closes, then one line of JSON.
 * With --hold it makes one request on each connection (a stream: up to its first event), prints "held",
 * and keeps them open until its standard input closes.
 */
#include "common.h"

enum { HEAD_ROOM = 8192, READ_ROOM = 256 * 1024, IN_FLIGHT_WHILE_OPENING = 16 };
typedef enum { HEAD, SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } phase;
typedef enum { E_CONNECT, E_CLOSED, E_STATUS, E_FRAMING, E_BYTES, E_EVENTS, E_UNFINISHED, E_COUNT } fault;
static const char *const fault_names[E_COUNT] = {
    "connect", "closed_early", "status", "framing", "body_bytes", "events", "unfinished"};

typedef struct connection {
    int fd;
    bool busy, closing;
    phase phase;
    int status;
    size_t unsent;             /* of the request */
    uint64_t left;             /* of the body, or of the chunk */
    uint64_t body;             /* bytes so far */
    uint64_t events;           /* so far */
    int64_t due, first_byte;
    char *head;
    uint32_t head_length, tail_length;
    char tail[16];             /* the last bytes of the body */
    bool line_was_empty;       /* the last byte was a newline: another makes an event */
    bool answered;             /* counted in answered_once */
    struct connection *next;   /* idle ones */
} connection;

typedef struct { uint32_t *at; size_t count, room; } samples;

static struct sockaddr_storage address;
static socklen_t address_length;
static char *request, *buffer;
static size_t request_length;
static int epoll, timer;
static connection *connections, *idle_first, *idle_last;
static int connection_count = 1, live_requests, answered_once;
static uint64_t expect_bytes, expect_events, faults[E_COUNT], completed, chunk_events, reconnects;
static bool holding, measuring, stopping;
static double rate;
static int64_t *waiting;       /* due times that nobody was free for: a ring */
static size_t waiting_first, waiting_count, waiting_room;
static samples latencies, first_bytes;

static void begin_request(connection *c, int64_t due);

static void record(samples *s, int64_t nanoseconds) {
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 65536;
        s->at = need(realloc(s->at, s->room * sizeof *s->at));
    }
    int64_t tenths = nanoseconds / 100;
    s->at[s->count++] = tenths > UINT32_MAX ? UINT32_MAX : (uint32_t)tenths;
}

static void open_connection(connection *c) {
    c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s", strerror(errno));
    struct timeval patience = {.tv_sec = 5};
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(c->fd, (struct sockaddr *)&address, address_length) < 0) {
        int why = errno;
        faults[E_CONNECT]++;
        die("cannot connect to the target: %s", strerror(why));
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void reopen(connection *c) {
    close(c->fd);
    open_connection(c);
    c->closing = false;
}

static void make_idle(connection *c) {
    c->next = NULL;
    if (idle_last) idle_last->next = c; else idle_first = c;
    idle_last = c;
}

static void count_answered(connection *c) {
    if (!c->answered) answered_once++;
    c->answered = true;
}

/* The answer of `c` is complete, or went wrong in the way `wrong` says (-1: it is right). */
static void finish(connection *c, int wrong) {
    int64_t now = now_ns();
    if (wrong < 0 && c->status != 200) wrong = E_STATUS;
    if (wrong < 0 && expect_bytes && c->body != expect_bytes) wrong = E_BYTES;
    if (wrong < 0 && expect_events &&
        (c->events != expect_events || c->tail_length < 14 ||
         memcmp(c->tail + c->tail_length - 14, "data: [DONE]\n\n", 14) != 0)) wrong = E_EVENTS;
    c->busy = false;
    live_requests--;
    if (wrong >= 0) {
        if (measuring || holding) faults[wrong]++;
        reopen(c);
    } else {
        if (measuring) {
            completed++;
            record(&latencies, now - c->due);
            if (c->first_byte) record(&first_bytes, c->first_byte - c->due);
        }
        if (c->closing) { reconnects++; reopen(c); }
    }
    if (holding) { count_answered(c); return; }
    if (stopping) return;
    if (rate <= 0) begin_request(c, now);
    else if (waiting_count) {
        int64_t due = waiting[waiting_first];
        waiting_first = (waiting_first + 1) % waiting_room;
        waiting_count--;
        begin_request(c, due);
    } else make_idle(c);
}

static void send_rest(connection *c) {
    ssize_t n = send(c->fd, request + request_length - c->unsent, c->unsent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) { finish(c, E_CLOSED); return; }
    size_t before = c->unsent;
    if (n > 0) c->unsent -= (size_t)n;
    if (c->unsent && before == request_length) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
    else if (!c->unsent && before != request_length) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void begin_request(connection *c, int64_t due) {
    c->busy = true;
    c->phase = HEAD;
    c->status = 0;
    c->head_length = c->tail_length = 0;
    c->body = c->events = c->left = 0;
    c->line_was_empty = false;
    c->due = due;
    c->first_byte = 0;
    c->unsent = request_length;
    live_requests++;
    send_rest(c);
}

static void take_body(connection *c, const char *data, size_t length) {
    if (!length) return;
    if (!c->body) c->first_byte = now_ns();
    c->body += length;
    if (expect_events || holding) {
        const char *at = data, *end = data + length;
        uint64_t found = 0;
        if (c->line_was_empty && *at == '\n') found++;
        while ((at = memchr(at, '\n', (size_t)(end - at)))) {
            at++;
            if (at < end && *at == '\n') { found++; at++; }
            if (at >= end) break;
        }
        c->line_was_empty = end[-1] == '\n';
        c->events += found;
        if (measuring) chunk_events += found;
        if (holding && c->events) count_answered(c);
    }
    if (length >= sizeof c->tail) {
        memcpy(c->tail, data + length - sizeof c->tail, sizeof c->tail);
        c->tail_length = sizeof c->tail;
    } else {
        size_t keep = sizeof c->tail - length;
        if (keep > c->tail_length) keep = c->tail_length;
        memmove(c->tail, c->tail + c->tail_length - keep, keep);
        memcpy(c->tail + keep, data, length);
        c->tail_length = (uint32_t)(keep + length);
    }
}

/* Take the head apart once it is whole. Returns false when it is no proper head. */
static bool read_head(connection *c) {
    c->head[c->head_length] = 0;
    if (sscanf(c->head, "HTTP/1.1 %d", &c->status) != 1) return false;
    char *length = strcasestr(c->head, "\ncontent-length:");
    if (strcasestr(c->head, "\nconnection: close")) c->closing = true;
    if (strcasestr(c->head, "\ntransfer-encoding: chunked")) c->phase = CHUNK_SIZE, c->left = 0;
    else if (length) c->phase = SIZED, c->left = strtoull(length + 16, NULL, 10);
    else return false;
    return true;
}

/* Work through the bytes just read. Stops at the end of the answer; bytes after it are a fault. */
static void parse(connection *c, const char *data, size_t length) {
    const char *end = data + length;
    while (data < end) {
        if (!c->busy) { faults[E_FRAMING]++; return; }
        size_t here = (size_t)(end - data);
        switch (c->phase) {
        case HEAD: {
            size_t take = here < HEAD_ROOM - 1 - c->head_length ? here : HEAD_ROOM - 1 - c->head_length;
            memcpy(c->head + c->head_length, data, take);
            size_t from = c->head_length > 3 ? c->head_length - 3 : 0;
            size_t total = c->head_length + take;
            char *found = memmem(c->head + from, total - from, "\r\n\r\n", 4);
            if (!found) {
                c->head_length = (uint32_t)total;
                if (total >= HEAD_ROOM - 1) { finish(c, E_FRAMING); return; }
                return;
            }
            size_t head = (size_t)(found + 4 - c->head);
            data += head - c->head_length;
            c->head_length = (uint32_t)head;
            if (!read_head(c)) { finish(c, E_FRAMING); return; }
            if (c->phase == SIZED && !c->left) { finish(c, -1); continue; }
            break;
        }
        case SIZED:
        case CHUNK_DATA: {
            size_t take = here < c->left ? here : (size_t)c->left;
            take_body(c, data, take);
            data += take;
            c->left -= take;
            if (!c->left) {
                if (c->phase == SIZED) finish(c, -1);
                else c->phase = CHUNK_END;
            }
            break;
        }
        case CHUNK_SIZE: {
            char byte = *data++;
            int digit = byte >= '0' && byte <= '9' ? byte - '0'
                : (byte | 32) >= 'a' && (byte | 32) <= 'f' ? (byte | 32) - 'a' + 10 : -1;
            if (digit >= 0) c->left = c->left * 16 + (uint64_t)digit;
            else if (byte == '\n') c->phase = c->left ? CHUNK_DATA : TRAILER;
            else if (byte != '\r') { finish(c, E_FRAMING); return; }
            break;
        }
        case CHUNK_END:
            if (*data != '\r' && *data != '\n') { finish(c, E_FRAMING); return; }
            if (*data++ == '\n') { c->phase = CHUNK_SIZE; c->left = 0; }
            break;
        case TRAILER: /* no trailer fields are expected: an empty line ends the message */
            if (*data != '\r' && *data != '\n') { finish(c, E_FRAMING); return; }
            if (*data++ == '\n') finish(c, -1);
            break;
        }
    }
}

static void on_event(connection *c, uint32_t events) {
    if (events & EPOLLOUT) send_rest(c);
    if (!(events & ~(uint32_t)EPOLLOUT)) return;
    ssize_t n = recv(c->fd, buffer, READ_ROOM, 0);
    if (n > 0) { parse(c, buffer, (size_t)n); return; }
    if (n < 0 && errno == EAGAIN) return;
    if (c->busy) finish(c, E_CLOSED);
    else { reconnects++; reopen(c); }
}

static void handle_events(int timeout) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, timeout);
    for (int i = 0; i < n; i++) {
        connection *c = events[i].data.ptr;
        if (c) on_event(c, events[i].events);
        else { uint64_t ticks; if (read(timer, &ticks, 8) < 0 && errno != EAGAIN) die("timer"); }
    }
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_samples(const char *name, samples *s) {
    static const double at[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *const names[] = {"p50", "p90", "p99", "p999", "max"};
    qsort(s->at, s->count, sizeof *s->at, compare);
    printf(", \"%s\": {\"count\": %zu", name, s->count);
    for (size_t i = 0; s->count && i < sizeof at / sizeof *at; i++) {
        size_t index = (size_t)(at[i] * (double)s->count); /* the nearest rank */
        if (index >= s->count) index = s->count - 1;
        printf(", \"%s\": %.1f", names[i], s->at[index] / 10.0);
    }
    printf("}");
}

static void report(int64_t window) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"completed\": %llu, \"events\": %llu, \"seconds\": %.6f, \"reconnects\": %llu, \"cpu_seconds\": %.6f, \"errors\": {",
        (unsigned long long)completed, (unsigned long long)chunk_events, (double)window / 1e9, (unsigned long long)reconnects,
        (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    bool first = true;
    for (int i = 0; i < E_COUNT; i++) if (faults[i]) {
        printf("%s\"%s\": %llu", first ? "" : ", ", fault_names[i], (unsigned long long)faults[i]);
        first = false;
    }
    printf("}");
    print_samples("latency_us", &latencies);
    print_samples("first_byte_us", &first_bytes);
    printf("}\n");
}

static void hold(void) {
    int started = 0, wanted = connection_count;
    int64_t patience = now_ns() + 60000000000LL;
    while (answered_once < wanted) {
        while (started < wanted && started - answered_once < IN_FLIGHT_WHILE_OPENING) {
            open_connection(&connections[started]);
            begin_request(&connections[started++], now_ns());
        }
        handle_events(100);
        if (now_ns() > patience) { faults[E_UNFINISHED] += (uint64_t)(wanted - answered_once); break; }
    }
    puts("held");
    fflush(stdout);
    fcntl(0, F_SETFL, O_NONBLOCK);
    for (char byte; ; handle_events(50)) {
        ssize_t n = read(0, &byte, 1);
        if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    }
    completed = (uint64_t)answered_once;
    report(0);
}

/* Offer the requests that have fallen due; returns the time of the next. */
static int64_t offer(int64_t next, double *fraction, double interval) {
    int64_t now = now_ns();
    while (next <= now) {
        if (idle_first) {
            connection *c = idle_first;
            idle_first = c->next;
            if (!idle_first) idle_last = NULL;
            begin_request(c, next);
        } else {
            if (waiting_count == waiting_room) die("the target is hopelessly behind the offered rate");
            waiting[(waiting_first + waiting_count++) % waiting_room] = next;
        }
        double step = interval + *fraction;
        next += (int64_t)step;
        *fraction = step - (double)(int64_t)step;
    }
    arm(timer, next);
    return next;
}

int main(int count, char **arguments) {
    const char *target = NULL, *file = NULL;
    double warmup = 0.5, seconds = 3, ramp = 0;
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--hold") == 0) { holding = true; continue; }
        if (++i == count) die("%s needs a value", name);
        const char *value = arguments[i];
        if (strcmp(name, "--target") == 0) target = value;
        else if (strcmp(name, "--request") == 0) file = value;
        else if (strcmp(name, "--connections") == 0) connection_count = atoi(value);
        else if (strcmp(name, "--seconds") == 0) seconds = atof(value);
        else if (strcmp(name, "--warmup") == 0) warmup = atof(value);
        else if (strcmp(name, "--rate") == 0) rate = atof(value);
        else if (strcmp(name, "--ramp") == 0) ramp = atof(value);
        else if (strcmp(name, "--expect-bytes") == 0) expect_bytes = strtoull(value, NULL, 10);
        else if (strcmp(name, "--expect-events") == 0) expect_events = strtoull(value, NULL, 10);
        else die("unknown option %s", name);
    }
    if (!target || !file || connection_count < 1) die("--target, --request and --connections are needed");
    raise_descriptor_limit();
    address_length = parse_address(target, &address);
    FILE *source = fopen(file, "rb");
    if (!source) die("cannot read %s", file);
    request = need(malloc(1 << 20));
    request_length = fread(request, 1, 1 << 20, source);
    fclose(source);
    buffer = need(malloc(READ_ROOM));
    connections = need(calloc((size_t)connection_count, sizeof *connections));
    for (int i = 0; i < connection_count; i++) connections[i].head = need(malloc(HEAD_ROOM));
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = make_timer();
    watch(epoll, EPOLL_CTL_ADD, timer, EPOLLIN, NULL);
    if (holding) { hold(); return 0; }

    for (int i = 0; i < connection_count; i++) open_connection(&connections[i]);
    int64_t start = now_ns(), next = start;
    int64_t opens = start + (int64_t)((warmup + ramp) * 1e9), closes = opens + (int64_t)(seconds * 1e9);
    double fraction = 0, interval = rate > 0 ? 1e9 / rate : 0;
    int launched = 0;
    if (rate > 0) {
        waiting_room = (size_t)(rate * 10) + 1024;
        waiting = need(malloc(waiting_room * sizeof *waiting));
        for (int i = 0; i < connection_count; i++) make_idle(&connections[i]);
    }
    int64_t opened_at = 0;
    for (;;) {
        int64_t now = now_ns();
        if (!measuring && now >= opens) { measuring = true; opened_at = now; puts("begin"); fflush(stdout); }
        if (now >= closes) break;
        int timeout = (int)(((measuring ? closes : opens) - now) / 1000000) + 1;
        if (rate > 0) next = offer(next, &fraction, interval);
        else while (launched < connection_count) {
            int64_t when = start + (int64_t)(ramp * 1e9 * launched / connection_count);
            if (when > now) { if ((when - now) / 1000000 < timeout) timeout = (int)((when - now) / 1000000); break; }
            begin_request(&connections[launched++], now);
        }
        handle_events(timeout);
    }
    measuring = false;
    stopping = true;
    int64_t window = now_ns() - opened_at;
    puts("end");
    fflush(stdout);
    for (int64_t patience = now_ns() + 5000000000LL; live_requests && now_ns() < patience;) handle_events(100);
    faults[E_UNFINISHED] += (uint64_t)live_requests;
    if (rate > 0) faults[E_UNFINISHED] += waiting_count;
    report(window);
}
