/* A provider that answers at once: OpenAI chat completions, plain and streamed, from memory.
 *
 *     upstream ADDRESS...        (tcp:127.0.0.1:0, unix:/path)
 *
 * Prints {"port": N} when it listens and ends when its standard input closes. The answer depends on
 * the model that the request names:
 *
 *     bench-json                   a completion with a body of 1,024 bytes
 *     bench-stream-EVENTS-MICROS   a stream of EVENTS events, the last of them [DONE], an event every
 *                                  MICROS µs; 0: all of them at once, in one write
 */
#include "common.h"

enum { INPUT = 64 * 1024, ANSWER_BODY = 1024, MOST_EVENTS = 100000 };

typedef struct connection {
    int fd;
    bool is_listener, writing, closing;
    uint32_t filled;           /* bytes of the request read so far */
    char *input;
    char *output;              /* what the kernel did not take yet; owned */
    size_t unsent, sent;
    int events_left;           /* of the running stream, [DONE] included */
    int events_total;
    int64_t interval, due;
    struct connection *next;   /* in the queue of streams that share an interval, ordered by due time */
    bool queued;
} connection;

typedef struct {
    int64_t interval;
    connection *first, *last;
} queue;

static int epoll, timer;
static queue queues[8];
static int queue_count;
static connection *dead;       /* closed in this round of events; freed after it */

static char json_answer[ANSWER_BODY + 256];
static size_t json_length;

#define CHUNK_HEAD "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000," \
    "\"model\":\"bench-stream\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{\"index\":0,\"delta\":"
static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Cache-Control: no-cache\r\nx-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char FIRST[] = CHUNK_HEAD "{\"role\":\"assistant\",\"content\":\"Once\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
static const char MIDDLE[] = CHUNK_HEAD "{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
static const char FINISH[] = CHUNK_HEAD "{},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":97,\"total_tokens\":1097}}\n\n";
static const char DONE[] = "data: [DONE]\n\n";

static void make_json_answer(void) {
    static const char start[] = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1760000000,"
        "\"model\":\"bench-json\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
    static const char end[] = "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1000,"
        "\"completion_tokens\":128,\"total_tokens\":1128},\"system_fingerprint\":\"fp_bench\"}";
    char body[ANSWER_BODY + 1];
    memset(body, 'a', ANSWER_BODY);
    for (size_t i = 0; i < ANSWER_BODY; i += 6) body[i] = ' ';
    memcpy(body, start, sizeof start - 1);
    memcpy(body + ANSWER_BODY - (sizeof end - 1), end, sizeof end - 1);
    body[ANSWER_BODY] = 0;
    json_length = (size_t)snprintf(json_answer, sizeof json_answer,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
        "openai-processing-ms: 1\r\nContent-Length: %d\r\n\r\n%s", ANSWER_BODY, body);
}

static void shut(connection *c) {
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    free(c->output);
    free(c->input);
    c->output = c->input = NULL;
    if (!c->queued) { c->next = dead; dead = c; } /* a queued one is freed when its turn comes */
}

/* Send, keeping a copy of what the kernel does not take. */
static void put(connection *c, const char *data, size_t length) {
    if (c->fd < 0) return;
    if (!c->unsent) {
        ssize_t n = send(c->fd, data, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) { shut(c); return; }
        if (n > 0) { data += n; length -= (size_t)n; }
        if (!length) return;
        c->sent = 0;
        free(c->output);
        c->output = need(malloc(length));
        memcpy(c->output, data, length);
        c->unsent = length;
        watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
        c->writing = true;
        return;
    }
    char *joined = need(malloc(c->unsent + length));
    memcpy(joined, c->output + c->sent, c->unsent);
    memcpy(joined + c->unsent, data, length);
    free(c->output);
    c->output = joined;
    c->unsent += length;
    c->sent = 0;
}

static size_t frame(char *out, const char *event, size_t length) {
    size_t n = (size_t)sprintf(out, "%zx\r\n", length);
    memcpy(out + n, event, length);
    memcpy(out + n + length, "\r\n", 2);
    return n + length + 2;
}

/* Write the next event of a stream, framed as a chunk of its own, to `out`; returns its length. */
static size_t next_event(connection *c, char *out) {
    int left = c->events_left--;
    if (left == 1) {
        size_t n = frame(out, DONE, sizeof DONE - 1);
        memcpy(out + n, "0\r\n\r\n", 5);
        return n + 5;
    }
    if (left == 2) return frame(out, FINISH, sizeof FINISH - 1);
    if (left == c->events_total) return frame(out, FIRST, sizeof FIRST - 1);
    return frame(out, MIDDLE, sizeof MIDDLE - 1);
}

static void enqueue(connection *c) {
    queue *q = NULL;
    for (int i = 0; i < queue_count; i++) if (queues[i].interval == c->interval) q = &queues[i];
    if (!q) {
        if (queue_count == (int)(sizeof queues / sizeof *queues)) die("too many different intervals");
        q = &queues[queue_count++];
        q->interval = c->interval;
    }
    c->next = NULL;
    c->queued = true;
    if (q->last) q->last->next = c; else q->first = c;
    q->last = c;
}

/* Send every event that is due, and set the timer to the next. */
static void pump_streams(void) {
    int64_t next = 0;
    char buffer[1024];
    for (int i = 0; i < queue_count; i++) {
        queue *q = &queues[i];
        int64_t now = now_ns();
        while (q->first && q->first->due <= now) {
            connection *c = q->first;
            q->first = c->next;
            if (!q->first) q->last = NULL;
            c->queued = false;
            if (c->fd < 0) { c->next = dead; dead = c; continue; }
            put(c, buffer, next_event(c, buffer));
            if (c->fd >= 0 && c->events_left) {
                c->due += c->interval;
                enqueue(c);
            }
        }
        if (q->first && (!next || q->first->due < next)) next = q->first->due;
    }
    arm(timer, next);
}

static void start_stream(connection *c, int events, int64_t interval) {
    if (events < 3 || events > MOST_EVENTS) { shut(c); return; }
    c->events_left = c->events_total = events;
    c->interval = interval;
    size_t room = interval ? sizeof STREAM_HEAD + 1024 : sizeof STREAM_HEAD + (size_t)events * 512;
    char *out = need(malloc(room));
    size_t n = sizeof STREAM_HEAD - 1;
    memcpy(out, STREAM_HEAD, n);
    do n += next_event(c, out + n); while (!interval && c->events_left);
    put(c, out, n);
    free(out);
    if (interval && c->fd >= 0) {
        c->due = now_ns() + interval;
        bool first = true;
        for (int i = 0; i < queue_count; i++) if (queues[i].first) first = false;
        enqueue(c);
        if (first) arm(timer, c->due);
        else pump_streams();
    }
}

static void refuse(connection *c, const char *status) {
    char answer[128];
    put(c, answer, (size_t)snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status));
    shut(c);
}

/* Answer the requests that are complete. */
static void serve(connection *c) {
    while (c->fd >= 0 && c->filled && !c->events_left) {
        c->input[c->filled] = 0;
        char *end = memmem(c->input, c->filled, "\r\n\r\n", 4);
        if (!end) {
            if (c->filled >= INPUT) refuse(c, "431 Too Large");
            return;
        }
        end[2] = 0; /* the head is a string now */
        char *length_field = strcasestr(c->input, "\ncontent-length:");
        char *chunked = strcasestr(c->input, "\ntransfer-encoding:");
        size_t head = (size_t)(end + 4 - c->input);
        size_t body = length_field ? strtoul(length_field + 16, NULL, 10) : 0;
        end[2] = '\r';
        if (chunked) { refuse(c, "411 Length Required"); return; }
        if (head + body > INPUT) { refuse(c, "413 Too Large"); return; }
        if (c->filled < head + body) return;
        char *model = memmem(c->input + head, body, "\"bench-", 7);
        int events = 0;
        long micros = 0;
        if (model && sscanf(model, "\"bench-stream-%d-%ld\"", &events, &micros) == 2)
            start_stream(c, events, (int64_t)micros * 1000);
        else if (model && strncmp(model, "\"bench-json\"", 12) == 0)
            put(c, json_answer, json_length);
        else { refuse(c, "404 Not Found"); return; }
        if (c->fd < 0) return;
        c->filled -= (uint32_t)(head + body);
        memmove(c->input, c->input + head + body, c->filled);
    }
}

static void on_readable(connection *c) {
    ssize_t n = recv(c->fd, c->input + c->filled, INPUT - c->filled, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { shut(c); return; }
    if (n > 0) { c->filled += (uint32_t)n; serve(c); }
}

static void on_writable(connection *c) {
    ssize_t n = send(c->fd, c->output + c->sent, c->unsent, MSG_NOSIGNAL);
    if (n < 0) { if (errno != EAGAIN) shut(c); return; }
    c->sent += (size_t)n;
    c->unsent -= (size_t)n;
    if (!c->unsent) {
        c->writing = false;
        watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    }
}

static void accept_all(connection *listener) {
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection *c = need(calloc(1, sizeof *c));
        c->fd = fd;
        c->input = need(malloc(INPUT + 1));
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

int main(int count, char **arguments) {
    if (count < 2) die("usage: upstream ADDRESS...");
    raise_descriptor_limit();
    make_json_answer();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = make_timer();
    static connection input_watch = {.fd = 0}, timer_watch;
    int port = 0;
    for (int i = 1; i < count; i++) {
        struct sockaddr_storage address;
        socklen_t length = parse_address(arguments[i], &address);
        connection *c = need(calloc(1, sizeof *c));
        c->is_listener = true;
        c->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int one = 1;
        setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&address, length) < 0 || listen(c->fd, 4096) < 0)
            die("cannot listen on %s: %s", arguments[i], strerror(errno));
        if (address.ss_family == AF_INET) {
            getsockname(c->fd, (struct sockaddr *)&address, &length);
            port = ntohs(((struct sockaddr_in *)&address)->sin_port);
        }
        watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    }
    watch(epoll, EPOLL_CTL_ADD, timer, EPOLLIN, &timer_watch);
    watch(epoll, EPOLL_CTL_ADD, 0, EPOLLIN, &input_watch);
    printf("{\"port\": %d}\n", port);
    fflush(stdout);
    struct epoll_event events[512];
    for (;;) {
        int n = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < n; i++) {
            connection *c = events[i].data.ptr;
            if (c == &timer_watch) { uint64_t ticks; if (read(timer, &ticks, 8) > 0) pump_streams(); continue; }
            if (c == &input_watch) { char byte; if (read(0, &byte, 1) <= 0) return 0; continue; }
            if (c->is_listener) { accept_all(c); continue; }
            if (c->fd >= 0 && (events[i].events & EPOLLOUT)) on_writable(c);
            if (c->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT)) on_readable(c);
        }
        while (dead) { connection *c = dead; dead = c->next; free(c); }
    }
}
