/* SPDX-License-Identifier: GPL-2.0-only */
/* The flags of `tcpwitness run`, checked, as one immutable struct. */
#ifndef TCPWITNESS_SETTINGS_H
#define TCPWITNESS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

/* The reference's 2 MSL as Linux runs it (linux include/net/tcp.h: TCP_TIMEWAIT_LEN). */
#define REFERENCE_2MSL_NS (60 * 1000000000ull)

#define DEFAULT_API_SOCKET "/run/tcpwitness/api.sock"

/* How segments are captured: the attach ladder chooses, or one rung is asked for. */
#define CAPTURE_MODES(X)                                                                           \
	X(AUTO, "auto")                                                                            \
	X(XDP, "xdp")                                                                              \
	X(XDP_GENERIC, "xdp-generic")                                                              \
	X(TCX, "tcx")                                                                              \
	X(CLSACT, "clsact")

enum capture_mode {
#define X(name, label) CAPTURE_##name,
	CAPTURE_MODES(X)
#undef X
	CAPTURE_NR
};

#define SETTINGS_LIST_MAX 64

/* A repeatable flag. The strings belong to argv. */
struct settings_list {
	size_t count;
	const char *at[SETTINGS_LIST_MAX];
};

/* Strings point into argv or are constants: valid as long as argv is. */
struct settings {
	struct settings_list devices; /* empty: every interface that carries local addresses */
	struct settings_list devices_excluded;
	struct settings_list netns; /* each passes is_netns_selector; "host" unless given */
	uint64_t capture_mode;	    /* enum capture_mode */
	uint64_t flows_max, listeners_max;
	uint64_t history_events; /* 0: none are kept */
	uint64_t ring_bytes;	 /* of one CPU's ring, a power of two */
	/* Records a second, of one listener and of all together; 0: no limit. */
	uint64_t flood_budget, flood_total;
	uint64_t settle_ms;
	uint64_t sweep_interval_s; /* the shortest; 0: only at the start and after a loss */
	struct settings_list web_listen_addresses; /* each passes settings_parse_address */
	const char *web_telemetry_path;
	uint64_t web_max_requests;
	const char *api_socket;
	const char *events_file; /* NULL: none; "-": stdout */
	bool events_connections;
	const char *record_file; /* NULL: none */
	uint64_t log_level;	 /* enum log_level */
	uint64_t log_format;	 /* enum log_format */
	uint64_t duration_s;	 /* 0: until told to stop */
};

#define SETTINGS_WHY_BYTES 256

enum settings_outcome {
	SETTINGS_OK = 0,
	SETTINGS_HELP = 1, /* --help was among the flags: print it, exit 0 */
	SETTINGS_BAD = 2,  /* one line in `why`; also the exit code */
};

/* argv[0] is the subcommand's name. *ret is untouched unless SETTINGS_OK. */
enum settings_outcome settings_parse(int argc, char **argv, struct settings *ret,
				     char why[SETTINGS_WHY_BYTES]);

void settings_print_help(FILE *out);

/*
 * ":10293" (every address, IPv6 and IPv4), "127.0.0.1:10293", "[::1]:10293", "localhost:10293".
 * 0 or -EINVAL.
 */
int settings_parse_address(const char *text, struct sockaddr_storage *ret_address,
			   socklen_t *ret_length);

#endif
