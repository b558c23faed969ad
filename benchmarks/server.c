/* A canned DynamoDB: an HTTP/1.1 keep-alive server that answers every request at once with a body loaded at start.
 *
 * It exists so that a benchmark measures the client. One thread, epoll, no allocation per request.
 * The answer is chosen by the operation (X-Amz-Target) and the table named in the body; a table may have several
 * pages, chosen by the number in "page-<n>" inside ExclusiveStartKey.
 *
 * Usage: server ROUTES, a file with one line per answer: operation TAB table TAB body file [TAB body file ...].
 * An operation of "*" and a table of "*" match anything; a table "name/word" only a body that holds "word" in quotes: it
 * stands before "name". It listens on 127.0.0.1, prints its port, and ends when its
 * standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUTES = 256, MAX_PAGES = 512, MAX_EVENTS = 256, ROOM = 16384, MAX_REQUEST = 32 << 20, MAX_CONNECTIONS = 4096 };

typedef struct {
    char *head; /* status line and headers; the date and the request id are written into it */
    size_t head_size, date_at, id_at;
    char *body;
    size_t body_size;
} Answer;

typedef struct {
    char operation[64], table[256], word[64];
    Answer *pages;
    int page_count;
} Route;

typedef struct {
    int fd;
    char *in; /* bytes received and not yet answered */
    size_t in_size, in_room;
    const Answer *sending; /* an answer under way, when the socket would not take all of it */
    char head[512];        /* its head, with its own date and id */
    size_t sent;
    int close_after;
} Connection;

static Route routes[MAX_ROUTES];
static int route_count;
static Answer no_route;
static char date_text[40];
static uint64_t request_number;
static uint32_t crc_table[256];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void crc_begin(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc32_of(const char *data, size_t size) {
    uint32_t c = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) c = crc_table[(c ^ (uint8_t)data[i]) & 0xFF] ^ (c >> 8);
    return c ^ 0xFFFFFFFFu;
}

static void answer_of(Answer *answer, int status, const char *reason, char *body, size_t size) {
    char head[512];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\nServer: Server\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                     "Content-Type: application/x-amz-json-1.0\r\nContent-Length: %zu\r\nConnection: keep-alive\r\n"
                     "x-amzn-RequestId: %052d\r\nx-amz-crc32: %u\r\n\r\n",
                     status, reason, size, 0, crc32_of(body, size));
    answer->head = strdup(head);
    answer->head_size = (size_t)n;
    answer->date_at = (size_t)(strstr(head, "Date: ") + 6 - head);
    answer->id_at = (size_t)(strstr(head, "RequestId: ") + 11 - head);
    answer->body = body;
    answer->body_size = size;
}

static void load_page(Answer *answer, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *body = malloc(size + 1);
    if (!body || fread(body, 1, size, file) != size) fail(path);
    fclose(file);
    answer_of(answer, 200, "OK", body, size);
}

static void load_routes(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fail(path);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (!*line) continue;
        if (route_count == MAX_ROUTES) exit(3);
        Route *route = &routes[route_count++];
        char *rest = line, *field = strsep(&rest, "\t");
        snprintf(route->operation, sizeof route->operation, "%s", field);
        field = rest ? strsep(&rest, "\t") : "*";
        char *word = field;
        snprintf(route->table, sizeof route->table, "%s", strsep(&word, "/"));
        if (word) snprintf(route->word, sizeof route->word, "\"%s\"", word);
        route->pages = calloc(MAX_PAGES, sizeof(Answer));
        while (rest && route->page_count < MAX_PAGES) load_page(&route->pages[route->page_count++], strsep(&rest, "\t"));
        if (!route->page_count) exit(4);
    }
    free(line);
    fclose(file);
    char *body = strdup("{\"__type\":\"com.amazon.coral.service#UnknownOperationException\",\"message\":\"no such route\"}");
    answer_of(&no_route, 400, "Bad Request", body, strlen(body));
}

/* Copies the text of the JSON string that follows `after` (white space, ':' and '{' are skipped). */
static int json_string(const char *at, const char *end, char *out, size_t room) {
    while (at < end && (*at == ' ' || *at == ':' || *at == '{' || *at == '\n' || *at == '\t')) at++;
    if (at == end || *at != '"') return 0;
    at++;
    const char *close = memchr(at, '"', (size_t)(end - at));
    if (!close || (size_t)(close - at) >= room) return 0;
    memcpy(out, at, (size_t)(close - at));
    out[close - at] = 0;
    return 1;
}

static void table_of(const char *body, size_t size, char *out, size_t room) {
    *out = 0;
    const char *end = body + size;
    const char *at = memmem(body, size, "\"TableName\"", 11);
    if (at && json_string(at + 11, end, out, room)) return;
    at = memmem(body, size, "\"RequestItems\"", 14);
    if (at) json_string(at + 14, end, out, room);
}

static const Answer *choose(const char *operation, size_t operation_size, const char *body, size_t size) {
    char table[256];
    table_of(body, size, table, sizeof table);
    for (int i = 0; i < route_count; i++) {
        Route *route = &routes[i];
        if (strcmp(route->operation, "*") &&
            (strlen(route->operation) != operation_size || memcmp(route->operation, operation, operation_size)))
            continue;
        if (strcmp(route->table, "*") && strcmp(route->table, table)) continue;
        if (route->word[0] && !memmem(body, size, route->word, strlen(route->word))) continue;
        int page = 0;
        if (route->page_count > 1) {
            const char *at = memmem(body, size, "\"ExclusiveStartKey\"", 19);
            if (at) at = memmem(at, size - (size_t)(at - body), "\"page-", 6);
            if (at) page = atoi(at + 6);
            if (page >= route->page_count) page = route->page_count - 1;
        }
        return &route->pages[page];
    }
    fprintf(stderr, "no route for %.*s %s\n", (int)operation_size, operation, table);
    return &no_route;
}

static void begin_answer(Connection *c, const Answer *answer) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    memcpy(c->head, answer->head, answer->head_size);
    memcpy(c->head + answer->date_at, date_text, 29);
    uint64_t x = ++request_number * 0x9E3779B97F4A7C15ull;
    for (int i = 0; i < 52; i++) {
        c->head[answer->id_at + i] = alphabet[x & 31];
        x = (x >> 5) | (x << 59);
    }
    c->sending = answer;
    c->sent = 0;
}

/* Sends what is left of the answer under way: 1 when all is sent, 0 when the socket is full, -1 when it is gone. */
static int send_rest(Connection *c) {
    const Answer *answer = c->sending;
    size_t total = answer->head_size + answer->body_size;
    while (c->sent < total) {
        struct iovec parts[2];
        int n = 0;
        if (c->sent < answer->head_size) {
            parts[n++] = (struct iovec){c->head + c->sent, answer->head_size - c->sent};
            parts[n++] = (struct iovec){answer->body, answer->body_size};
        } else {
            size_t from = c->sent - answer->head_size;
            parts[n++] = (struct iovec){answer->body + from, answer->body_size - from};
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)n};
        ssize_t wrote = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (wrote < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : errno == EINTR ? send_rest(c) : -1;
        c->sent += (size_t)wrote;
    }
    c->sending = NULL;
    return 1;
}

static int header_is(const char *line, size_t size, const char *name) {
    size_t n = strlen(name);
    return size > n && line[n] == ':' && !strncasecmp(line, name, n);
}

/* Takes one request from the front of the input: its length, 0 when it is not complete, -1 when it cannot be read. */
static long take(Connection *c, const char *in, size_t size, const Answer **answer) {
    const char *end = memmem(in, size, "\r\n\r\n", 4);
    if (!end) return size > 65536 ? -1 : 0;
    size_t length = 0, operation_size = 0;
    const char *operation = "";
    int line_number = 0;
    for (const char *line = in; line < end; line_number++) {
        const char *stop = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        size_t n = (size_t)(stop - line);
        if (line_number == 0) {
            if (n < 8 || memcmp(stop - 8, "HTTP/1.1", 8)) return -1;
        } else if (header_is(line, n, "content-length")) {
            length = strtoul(line + 15, NULL, 10);
        } else if (header_is(line, n, "x-amz-target")) {
            const char *dot = memrchr(line, '.', n);
            if (dot) operation = dot + 1, operation_size = (size_t)(stop - dot - 1);
        } else if (header_is(line, n, "connection")) {
            if (n >= 17 && memmem(line, n, "close", 5)) c->close_after = 1;
        } else if (header_is(line, n, "transfer-encoding")) {
            return -1;
        }
        line = stop + 2;
    }
    size_t head = (size_t)(end + 4 - in);
    if (length > MAX_REQUEST) return -1;
    if (size < head + length) return 0;
    *answer = choose(operation, operation_size, end + 4, length);
    return (long)(head + length);
}

static void drop(Connection *c) {
    close(c->fd);
    free(c->in);
    free(c);
}

/* Answers the complete requests that have come: 0 when the connection is to be closed. */
static int serve(Connection *c) {
    size_t at = 0;
    while (1) {
        if (c->sending) {
            int state = send_rest(c);
            if (state < 0) return 0;
            if (!state) break; /* epoll tells when there is room again */
            if (c->close_after) return 0;
        }
        const Answer *answer = NULL;
        long used = at < c->in_size ? take(c, c->in + at, c->in_size - at, &answer) : 0;
        if (used < 0) return 0;
        if (!used) break;
        at += (size_t)used;
        begin_answer(c, answer);
    }
    if (at) memmove(c->in, c->in + at, c->in_size - at), c->in_size -= at;
    return 1;
}

static int receive(Connection *c) {
    while (1) {
        if (c->in_room - c->in_size < ROOM / 2) {
            if (c->in_room > MAX_REQUEST) return 0;
            c->in_room *= 2;
            char *more = realloc(c->in, c->in_room);
            if (!more) return 0;
            c->in = more;
        }
        size_t room = c->in_room - c->in_size;
        ssize_t got = recv(c->fd, c->in + c->in_size, room, 0);
        if (got == 0) return 0;
        if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        c->in_size += (size_t)got;
        if ((size_t)got < room) return 1; /* a short read: nothing more for now */
    }
}

static void tick(void) {
    static time_t last;
    time_t now = time(NULL);
    if (now == last) return;
    last = now;
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date_text, sizeof date_text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static void accept_all(int listener, int ep) {
    while (1) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->in_room = ROOM;
        c->in = malloc(ROOM);
        /* Edge-triggered for both directions, registered once: no epoll_ctl per request. */
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* ends with its parent, whatever ends that */
    signal(SIGPIPE, SIG_IGN);
    crc_begin();
    load_routes(argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, MAX_CONNECTIONS)) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event leaving = {.events = EPOLLIN, .data.ptr = &leaving};
    epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &leaving);
    struct epoll_event events[MAX_EVENTS];
    while (1) {
        int n = epoll_wait(ep, events, MAX_EVENTS, -1);
        tick();
        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr) {
                accept_all(listener, ep);
                continue;
            }
            if (events[i].data.ptr == &leaving) return 0; /* nothing is ever written there: it has ended */
            Connection *c = events[i].data.ptr;
            int alive = !(events[i].events & (EPOLLERR | EPOLLHUP));
            if (alive && events[i].events & (EPOLLIN | EPOLLRDHUP)) alive = receive(c);
            if (alive) alive = serve(c);
            if (!alive || events[i].events & EPOLLRDHUP) drop(c);
        }
    }
}
