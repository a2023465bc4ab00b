/* SPDX-License-Identifier: GPL-2.0-only */
/* Opens and closes many TCP connections as fast as one core can, and counts them. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX 64
#define EVENTS_MAX 256
#define BACKLOG 4096
#define EPOLL_END (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/*
 * Who ends a connection, and how. In every mode the client keeps a connection until it saw the
 * server's part, so that --concurrency bounds what the server has to hold.
 */
enum mode {
	MODE_CLIENT,	 /* the client's FIN first: TIME_WAIT at the client */
	MODE_SERVER,	 /* the server's FIN first: TIME_WAIT at the server */
	MODE_CLIENT_RST, /* the client aborts (SO_LINGER 0) after the reply */
	MODE_SERVER_RST, /* the server aborts */
	MODE_HALF,	 /* the client half-closes, the server replies into it, then closes */
	MODE_NR
};

static const char *const mode_names[MODE_NR] = {
	[MODE_CLIENT] = "client",
	[MODE_SERVER] = "server",
	[MODE_CLIENT_RST] = "client-rst",
	[MODE_SERVER_RST] = "server-rst",
	[MODE_HALF] = "half",
};

struct options {
	struct sockaddr_storage address; /* port 0 */
	socklen_t address_length;
	uint16_t first_port, nr_ports;
	enum mode mode;
	uint64_t count; /* connections to make or to serve; server: 0 = until SIGTERM */
	uint32_t concurrency;
	uint32_t request, reply; /* octets */
	double rate;		 /* connections opened per second; 0 = as fast as it goes */
	bool hold;		 /* keep them open, and abort them all at SIGTERM */
};

/* One connection, found by its descriptor. */
struct talk {
	bool used, connected, listening;
	uint32_t received;
};

struct load {
	struct options options;
	struct talk *talks;
	size_t nr_talks;
	int epoll;
	uint64_t opened, finished, failed, reset;
	uint64_t octets;
	uint32_t live;
	struct timespec start;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* Once for all that will happen: each event is told once, and taken whole. */
static int watch(const struct load *load, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int begin(struct load *load, int fd, bool listening)
{
	if ((size_t)fd >= load->nr_talks)
		return -EMFILE;
	load->talks[fd] = (struct talk){ .used = true, .listening = listening };
	return 0;
}

static void abort_at_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void finish(struct load *load, int fd, uint64_t *counter)
{
	load->talks[fd].used = false;
	close(fd);
	load->live--;
	(*counter)++;
}

static int send_octets(int fd, uint32_t octets)
{
	static const char zeroes[65536];

	while (octets) {
		ssize_t sent = send(fd, zeroes, octets < sizeof(zeroes) ? octets : sizeof(zeroes),
				    MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		octets -= (uint32_t)sent;
	}
	return 0;
}

/* Reads what is there: 1 at the end of the stream, 0 when more may come, -errno. Where the end is
 * not `told` yet, it comes with an event of its own, and what fills no buffer is all there is. */
static int drain(struct load *load, int fd, bool told)
{
	static char buffer[65536];

	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

		if (got == 0)
			return 1;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		load->talks[fd].received += (uint32_t)got;
		load->octets += (uint64_t)got;
		if (!told && (size_t)got < sizeof(buffer))
			return 0;
	}
}

/* ---- server */

/* The whole request is here: answer, and close where it is the server's turn. */
static void serve_request(struct load *load, int fd)
{
	const struct options *options = &load->options;

	if (options->mode != MODE_HALF && send_octets(fd, options->reply) < 0) {
		finish(load, fd, &load->failed);
		return;
	}
	if (options->mode == MODE_SERVER_RST)
		abort_at_close(fd);
	if (options->mode == MODE_SERVER || options->mode == MODE_SERVER_RST)
		finish(load, fd, &load->finished);
	else
		load->talks[fd].connected = true;
}

static void serve(struct load *load, int fd, uint32_t events)
{
	const struct options *options = &load->options;
	struct talk *talk = &load->talks[fd];
	int end = drain(load, fd, events & EPOLL_END);

	if (end < 0) {
		load->reset += end == -ECONNRESET;
		finish(load, fd, end == -ECONNRESET ? &load->finished : &load->failed);
		return;
	}
	if (!talk->connected && talk->received >= options->request) {
		serve_request(load, fd);
		if (!talk->used)
			return;
	}
	if (!end)
		return;
	if (options->mode == MODE_HALF && send_octets(fd, options->reply) < 0)
		finish(load, fd, &load->failed);
	else
		finish(load, fd, &load->finished);
}

static void accept_all(struct load *load, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		load->live++;
		load->opened++;
		if (load->options.hold) {
			abort_at_close(fd);
			continue;
		}
		if (begin(load, fd, false)) {
			load->live--;
			load->failed++;
			close(fd);
			continue;
		}
		if (!load->options.request)
			serve_request(load, fd);
		if (load->talks[fd].used && watch(load, fd, EPOLLIN | EPOLLRDHUP | EPOLLET))
			finish(load, fd, &load->failed);
	}
}

static int listen_on(struct load *load, uint16_t port)
{
	struct sockaddr_storage address = load->options.address;
	int on = 1, err;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* the port lies at the same place in both families */
	((struct sockaddr_in *)&address)->sin_port = htons(port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, load->options.address_length) ||
	    listen(fd, BACKLOG)) {
		err = -errno;
		close(fd);
		return err;
	}
	err = begin(load, fd, true);
	return err ? err : watch(load, fd, EPOLLIN);
}

/* ---- client */

static int open_one(struct load *load)
{
	const struct options *options = &load->options;
	struct sockaddr_storage address = options->address;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	((struct sockaddr_in *)&address)->sin_port =
		htons((uint16_t)(options->first_port + load->opened % options->nr_ports));
	if (connect(fd, (struct sockaddr *)&address, options->address_length) &&
	    errno != EINPROGRESS) {
		err = -errno;
		close(fd);
		return err;
	}
	err = begin(load, fd, false);
	if (!err)
		err = watch(load, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (err) {
		close(fd);
		return err;
	}
	load->opened++;
	load->live++;
	return 0;
}

/* It stays open and is no longer under way. */
static void hold(struct load *load, int fd)
{
	abort_at_close(fd);
	epoll_ctl(load->epoll, EPOLL_CTL_DEL, fd, NULL);
	load->talks[fd].used = false;
	load->live--;
	load->finished++;
}

static void client_failed(struct load *load, int fd, int err)
{
	load->reset += err == -ECONNRESET;
	finish(load, fd,
	       err == -ECONNRESET && load->options.mode == MODE_SERVER_RST ? &load->finished :
									     &load->failed);
}

static void client_connected(struct load *load, int fd, uint32_t events)
{
	const struct options *options = &load->options;
	socklen_t length = sizeof(int);
	int err = 0;

	if (events & EPOLLERR)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length);
	if (!err && options->hold) {
		hold(load, fd);
		return;
	}
	err = err ? -err : send_octets(fd, options->request);
	if (err < 0) {
		client_failed(load, fd, err);
		return;
	}
	load->talks[fd].connected = true;
	if (options->mode == MODE_HALF || (options->mode == MODE_CLIENT && !options->reply))
		shutdown(fd, SHUT_WR);
}

static void client_readable(struct load *load, int fd, uint32_t events)
{
	const struct options *options = &load->options;
	bool had_reply = load->talks[fd].received >= options->reply;
	int end = drain(load, fd, events & EPOLL_END);

	if (end < 0) {
		client_failed(load, fd, end);
		return;
	}
	if (end) {
		finish(load, fd, &load->finished);
		return;
	}
	if (had_reply || load->talks[fd].received < options->reply)
		return;
	if (options->mode == MODE_CLIENT) {
		shutdown(fd, SHUT_WR);
	} else if (options->mode == MODE_CLIENT_RST) {
		abort_at_close(fd);
		finish(load, fd, &load->finished);
	}
}

/* Opens as many as concurrency, count and rate allow. Returns the milliseconds to wait. */
static int top_up(struct load *load)
{
	const struct options *options = &load->options;

	while (!stop && load->opened < options->count && load->live < options->concurrency) {
		int err;

		if (options->rate > 0 &&
		    (double)load->opened >= options->rate * seconds_since(&load->start))
			return 1;
		err = open_one(load);
		if (err == -EADDRNOTAVAIL && load->live)
			return 1;
		if (err) {
			fprintf(stderr, "connload: connect: %s\n", strerror(-err));
			load->opened++;
			load->failed++;
		}
	}
	return 1000;
}

/* ---- both */

static void dispatch(struct load *load, const struct epoll_event *event, bool client)
{
	const uint32_t readable = EPOLLIN | EPOLL_END;
	int fd = event->data.fd;
	const struct talk *talk = &load->talks[fd];

	if (!talk->used)
		return;
	if (talk->listening)
		accept_all(load, fd);
	else if (!client)
		serve(load, fd, event->events);
	else if (!talk->connected)
		client_connected(load, fd, event->events);
	if (client && talk->used && event->events & readable)
		client_readable(load, fd, event->events);
}

static void report(const struct load *load, bool client)
{
	double seconds = seconds_since(&load->start);

	printf("role=%s mode=%s opened=%llu finished=%llu failed=%llu reset=%llu octets=%llu "
	       "seconds=%.3f rate=%.0f\n",
	       client ? "client" : "server", mode_names[load->options.mode],
	       (unsigned long long)load->opened, (unsigned long long)load->finished,
	       (unsigned long long)load->failed, (unsigned long long)load->reset,
	       (unsigned long long)load->octets, seconds,
	       seconds > 0 ? (double)load->finished / seconds : 0.0);
}

static int run(struct load *load, bool client)
{
	const struct options *options = &load->options;
	struct epoll_event events[EVENTS_MAX];
	bool told = false;

	while (!stop) {
		int timeout = client ? top_up(load) : 1000;
		int nr;

		if (options->count && load->finished + load->failed >= options->count) {
			if (!options->hold)
				break;
			if (!told) {
				report(load, client);
				fflush(stdout);
				told = true;
			}
		}
		nr = epoll_wait(load->epoll, events, EVENTS_MAX, timeout);
		if (nr < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < nr; i++)
			dispatch(load, &events[i], client);
	}
	return 0;
}

static int prepare(struct load *load)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	load->nr_talks = limit.rlim_cur > 1u << 20 ? 1u << 20 : limit.rlim_cur;
	load->talks = calloc(load->nr_talks, sizeof(*load->talks));
	if (!load->talks)
		return -ENOMEM;
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	return load->epoll < 0 ? -errno : 0;
}

static void usage(FILE *out)
{
	fputs("usage: connload server|client --address ADDR --ports FIRST[-LAST]\n"
	      "  --mode client|server|client-rst|server-rst|half   who ends it (both sides alike)\n"
	      "  --count N          connections (server: 0 = serve until SIGTERM)\n"
	      "  --concurrency C    open at once (client)\n"
	      "  --rate R           opened per second (client), 0 = no limit\n"
	      "  --request OCTETS   sent by the client\n"
	      "  --reply OCTETS     sent by the server\n"
	      "  --hold             keep them (concurrency is that of handshakes), tell when all\n"
	      "                     are there, abort them at SIGTERM (both sides alike)\n",
	      out);
}

static int parse_address(struct options *options, const char *text)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&options->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&options->address;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		options->address_length = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		options->address_length = sizeof(*v6);
		return 0;
	}
	return -EINVAL;
}

static int parse_ports(struct options *options, const char *text)
{
	unsigned int first, last;
	int nr = sscanf(text, "%u-%u", &first, &last);

	if (nr == 1)
		last = first;
	if (nr < 1 || !first || last < first || last > 65535 || last - first >= PORTS_MAX)
		return -EINVAL;
	options->first_port = (uint16_t)first;
	options->nr_ports = (uint16_t)(last - first + 1);
	return 0;
}

static int parse_mode(struct options *options, const char *text)
{
	for (int i = 0; i < MODE_NR; i++) {
		if (!strcmp(text, mode_names[i])) {
			options->mode = (enum mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || value > most)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_option(struct options *options, int option, const char *text)
{
	uint64_t number = 0;
	int err = 0;

	if (option == 'h') {
		options->hold = true;
		return 0;
	}
	if (option != 'a' && option != 'p' && option != 'm')
		err = parse_number(text, option == 'n' ? UINT64_MAX : 1u << 30, &number);
	if (err)
		return err;
	switch (option) {
	case 'a':
		return parse_address(options, text);
	case 'p':
		return parse_ports(options, text);
	case 'm':
		return parse_mode(options, text);
	case 'n':
		options->count = number;
		return 0;
	case 'c':
		options->concurrency = (uint32_t)number;
		return 0;
	case 'r':
		options->rate = (double)number;
		return 0;
	case 'q':
		options->request = (uint32_t)number;
		return 0;
	default:
		options->reply = (uint32_t)number;
		return 0;
	}
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "address", required_argument, NULL, 'a' },
		{ "ports", required_argument, NULL, 'p' },
		{ "mode", required_argument, NULL, 'm' },
		{ "count", required_argument, NULL, 'n' },
		{ "concurrency", required_argument, NULL, 'c' },
		{ "rate", required_argument, NULL, 'r' },
		{ "request", required_argument, NULL, 'q' },
		{ "reply", required_argument, NULL, 'y' },
		{ "hold", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == '?')
			return -EINVAL;
		if (parse_option(options, option, optarg)) {
			fprintf(stderr, "connload: bad value '%s'\n", optarg);
			return -EINVAL;
		}
	}
	if (!options->address_length || !options->nr_ports || optind != argc)
		return -EINVAL;
	/* without a reply the client could not know that its connection was accepted */
	if (options->mode == MODE_CLIENT_RST && !options->reply)
		options->reply = 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct load load = { .options = { .concurrency = 64 } };
	struct sigaction action = { .sa_handler = on_signal };
	bool client = argc > 1 && !strcmp(argv[1], "client");
	int err = 0;

	if (argc < 2 || (!client && strcmp(argv[1], "server")) ||
	    parse(&load.options, argc - 1, argv + 1)) {
		usage(stderr);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	err = prepare(&load);
	for (uint16_t i = 0; !err && !client && i < load.options.nr_ports; i++)
		err = listen_on(&load, (uint16_t)(load.options.first_port + i));
	if (!err && !client) {
		puts("ready");
		fflush(stdout);
	}
	clock_gettime(CLOCK_MONOTONIC, &load.start);
	if (!err)
		err = run(&load, client);
	if (err)
		fprintf(stderr, "connload: %s\n", strerror(-err));
	else if (!load.options.hold)
		report(&load, client);
	free(load.talks);
	return err || load.failed ? 1 : 0;
}
