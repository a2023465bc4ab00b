/* SPDX-License-Identifier: GPL-2.0-only */
/* One table of flags: it parses them, checks them, gives their defaults and prints the help. */
#include "settings.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config.h"
#include "log.h"
#include "util.h"

/* Bytes of one name or path of --netns: what an entrance has room for (capture/entrances.h). */
#define NETNS_WORD_MAX 80

enum flag_kind {
	FLAG_TEXT,   /* const char *, not empty */
	FLAG_LIST,   /* struct settings_list; the default goes when a value comes */
	FLAG_NUMBER, /* uint64_t within [min, max] */
	FLAG_POWER,  /* the same, and a power of two */
	FLAG_CHOICE, /* uint64_t: index in a NULL-terminated list of words */
	FLAG_SWITCH, /* bool, no argument */
};

struct flag {
	const char *name;
	const char *argument; /* its name in the help; NULL: takes none */
	enum flag_kind kind;
	size_t offset;	     /* in struct settings */
	const char *initial; /* as a user would write it; NULL: none */
	uint64_t min, max;
	const char *const *words;
	bool (*is_valid)(const char *value); /* beyond the kind's own checks */
	const char *wanted;		     /* "... is not WANTED" */
	const char *help;
};

static const char *const capture_mode_words[] = {
#define X(name, label) label,
	CAPTURE_MODES(X)
#undef X
		NULL
};

static const char *const log_level_words[] = {
#define X(name, label, syslog_number) label,
	LOG_LEVELS(X)
#undef X
		NULL
};

static const char *const log_format_words[] = { "text", "logfmt", NULL };

static bool is_interface_name(const char *value)
{
	size_t length = strlen(value);

	/* linux net/core/dev.c:dev_valid_name */
	if (length == 0 || length >= IFNAMSIZ || !strcmp(value, ".") || !strcmp(value, ".."))
		return false;
	for (; *value; value++)
		if (*value == '/' || *value == ':' || isspace((unsigned char)*value))
			return false;
	return true;
}

static bool is_netns_word(const char *word, size_t length)
{
	if (length == 0 || length > NETNS_WORD_MAX)
		return false;
	if (length > 4 && !strncmp(word, "pid:", 4))
		return strspn(word + 4, "0123456789") == length - 4;
	/* As ip-netns(8): a name is the name of a file. */
	return word[0] == '/' || (!memchr(word, '/', length) && word[0] != '.');
}

static bool is_netns_selector(const char *value)
{
	size_t length;

	do {
		length = strcspn(value, ",");
		if (!is_netns_word(value, length))
			return false;
		value += length;
	} while (*value++ == ',');
	return true;
}

static bool is_web_address(const char *value)
{
	struct sockaddr_storage address;
	socklen_t length;

	return settings_parse_address(value, &address, &length) == 0;
}

static bool is_web_path(const char *value)
{
	if (value[0] != '/' || value[1] == '\0')
		return false;
	for (; *value; value++)
		if (!isalnum((unsigned char)*value) && !strchr("/-_.~", *value))
			return false;
	return true;
}

static bool is_socket_path(const char *value)
{
	return strlen(value) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

#define AT(member) offsetof(struct settings, member)

static const struct flag flags[] = {
	{ "device", "NAME", FLAG_LIST, AT(devices), NULL, .is_valid = is_interface_name,
	  .wanted = "an interface name",
	  .help = "watch this interface (repeatable); without it: every interface that is up and "
		  "carries a local address" },
	{ "device.exclude", "NAME", FLAG_LIST, AT(devices_excluded), NULL,
	  .is_valid = is_interface_name, .wanted = "an interface name",
	  .help = "leave this interface alone (repeatable)" },
	{ "netns", "NAME", FLAG_LIST, AT(netns), "host", .is_valid = is_netns_selector,
	  .wanted = "host, all, a name, a path or pid:N, or several with commas",
	  .help = "watch these network namespaces (repeatable, or with commas): host, the daemon's "
		  "own; NAME, of /run/netns; a path; pid:N, that of a process; all: every one that "
		  "has a name or a process" },
	{ "capture.mode", "MODE", FLAG_CHOICE, AT(capture_mode), "auto",
	  .words = capture_mode_words,
	  .help = "how to capture what arrives; auto: native XDP on hardware and virtio, tcx or "
		  "clsact elsewhere" },
	{ "flows.max", "N", FLAG_NUMBER, AT(flows_max), "1048576", 1024, 1u << 26,
	  .help = "connections tracked at once; beyond it the least telling are evicted" },
	{ "listeners.max", "N", FLAG_NUMBER, AT(listeners_max), "64", 1, LISTENERS_MAX,
	  .help = "listeners with metrics of their own; the rest is added up as \"other\"" },
	{ "history.events", "N", FLAG_NUMBER, AT(history_events), "65536", 0, 1u << 22,
	  .help = "events kept for `tcpwitness explain`, of 64 bytes each, the newest of all "
		  "connections together; 0: none" },
	{ "ring.bytes", "BYTES", FLAG_POWER, AT(ring_bytes), NULL, RING_BYTES_MIN, RING_BYTES_MAX,
	  .help = "size of each CPU's ring buffer, one for each of the two kinds; without it 64 MiB "
		  "are shared out, 1 to 4 MiB each" },
	{ "flood.budget", "N", FLAG_NUMBER, AT(flood_budget), "1000000", 0, 1u << 30,
	  .help = "records a second of one listener, or of an interface's segments to no socket; "
		  "beyond it only every 2nd, 4th, ... connection is followed, and all are counted; "
		  "0: no limit" },
	{ "flood.total", "N", FLAG_NUMBER, AT(flood_total), "2000000", 0, 1u << 30,
	  .help = "the same of all listeners and interfaces together: beyond it the busiest are "
		  "sampled first; 0: no limit" },
	{ "settle", "MS", FLAG_NUMBER, AT(settle_ms), "250", 1, 60000,
	  .help = "how long wire and kernel must differ before the kernel is asked again" },
	{ "sweep.interval", "SECONDS", FLAG_NUMBER, AT(sweep_interval_s), "5", 0, 3600,
	  .help = "how often all sockets are gone through at most; longer where that would take "
		  "more than 1 % of a core; 0: only at the start and after a loss" },
	{ "web.listen-address", "ADDR", FLAG_LIST, AT(web_listen_addresses), ":10293",
	  .is_valid = is_web_address,
	  .wanted = "an address like :10293, 127.0.0.1:10293 or "
		    "[::1]:10293",
	  .help = "serve HTTP here (repeatable)" },
	{ "web.telemetry-path", "PATH", FLAG_TEXT, AT(web_telemetry_path), "/metrics",
	  .is_valid = is_web_path, .wanted = "a path like /metrics",
	  .help = "path of the metrics" },
	{ "web.max-requests", "N", FLAG_NUMBER, AT(web_max_requests), "40", 1, 1024,
	  .help = "HTTP connections served at once; more are refused" },
	{ "api.socket", "PATH", FLAG_TEXT, AT(api_socket), DEFAULT_API_SOCKET,
	  .is_valid = is_socket_path, .wanted = "a path of at most 107 bytes",
	  .help = "Unix socket of the JSON API, which `tcpwitness status` asks" },
	{ "events.file", "PATH", FLAG_TEXT, AT(events_file), NULL,
	  .help = "write divergences as JSON lines to this file; - is stdout" },
	{ "events.connections", NULL, FLAG_SWITCH, AT(events_connections), NULL,
	  .help = "write one event for each finished connection too" },
	{ "record", "FILE", FLAG_TEXT, AT(record_file), NULL,
	  .help = "write the raw records to this file, for `tcpwitness replay`" },
	{ "log.level", "LEVEL", FLAG_CHOICE, AT(log_level), "info", .words = log_level_words,
	  .help = "least important messages to log" },
	{ "log.format", "FORMAT", FLAG_CHOICE, AT(log_format), "text", .words = log_format_words,
	  .help = "how a log line looks" },
	{ "duration", "SECONDS", FLAG_NUMBER, AT(duration_s), NULL, 1, 1u << 26,
	  .help = "stop after this time; without it: at SIGTERM or SIGINT" },
};

#undef AT

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Limits as people say them: 2^26 rather than 67108864. */
static const char *limit_text(uint64_t n, char text[24])
{
	if (is_power_of_two(n) && n > UINT16_MAX)
		snprintf(text, 24, "2^%d", __builtin_ctzll(n));
	else
		snprintf(text, 24, "%llu", (unsigned long long)n);
	return text;
}

static int set_number(const struct flag *flag, const char *value, uint64_t *number, char *why)
{
	char low[24], high[24], *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	/* strtoull takes "-1" and " 1": a number here starts with a digit and ends with one */
	if (isdigit((unsigned char)*value) && !*end && errno == 0 && n >= flag->min &&
	    n <= flag->max && (flag->kind != FLAG_POWER || is_power_of_two(n))) {
		*number = n;
		return 0;
	}
	snprintf(why, SETTINGS_WHY_BYTES, "--%s: '%.60s' is not a %s between %s and %s", flag->name,
		 value, flag->kind == FLAG_POWER ? "power of two" : "number",
		 limit_text(flag->min, low), limit_text(flag->max, high));
	return -EINVAL;
}

static int set_choice(const struct flag *flag, const char *value, uint64_t *number, char *why)
{
	int used;

	for (uint64_t i = 0; flag->words[i]; i++)
		if (!strcmp(value, flag->words[i])) {
			*number = i;
			return 0;
		}
	used = snprintf(why, SETTINGS_WHY_BYTES, "--%s: '%.60s' is none of", flag->name, value);
	for (size_t i = 0; flag->words[i] && used < SETTINGS_WHY_BYTES; i++)
		used += snprintf(why + used, SETTINGS_WHY_BYTES - (size_t)used, "%s %s",
				 i ? "," : "", flag->words[i]);
	return -EINVAL;
}

static int check_text(const struct flag *flag, const char *value, char *why)
{
	if (*value && (!flag->is_valid || flag->is_valid(value)))
		return 0;
	snprintf(why, SETTINGS_WHY_BYTES, "--%s: '%.60s' is not %s", flag->name, value,
		 flag->wanted ? flag->wanted : "a path");
	return -EINVAL;
}

static int append_to_list(const struct flag *flag, const char *value, struct settings_list *list,
			  char *why)
{
	if (check_text(flag, value, why))
		return -EINVAL;
	if (list->count == SETTINGS_LIST_MAX) {
		snprintf(why, SETTINGS_WHY_BYTES, "--%s: more than %d values", flag->name,
			 SETTINGS_LIST_MAX);
		return -EINVAL;
	}
	list->at[list->count++] = value;
	return 0;
}

static int set_flag(const struct flag *flag, const char *value, struct settings *settings,
		    char *why)
{
	void *member = (char *)settings + flag->offset;

	switch (flag->kind) {
	case FLAG_NUMBER:
	case FLAG_POWER:
		return set_number(flag, value, member, why);
	case FLAG_CHOICE:
		return set_choice(flag, value, member, why);
	case FLAG_LIST:
		return append_to_list(flag, value, member, why);
	case FLAG_SWITCH:
		*(bool *)member = true;
		return 0;
	case FLAG_TEXT:
		if (check_text(flag, value, why))
			return -EINVAL;
		*(const char **)member = value;
		return 0;
	}
	return -EINVAL;
}

/* Defaults go the way of the user's values, so that the help cannot lie about them. */
static int set_initial_values(struct settings *settings, const bool given[], char *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].initial && !given[i] &&
		    set_flag(&flags[i], flags[i].initial, settings, why))
			return -EINVAL;
	return 0;
}

static int check_together(const struct settings *settings, char *why)
{
	for (size_t i = 0; i < settings->devices.count; i++)
		for (size_t j = 0; j < settings->devices_excluded.count; j++)
			if (!strcmp(settings->devices.at[i], settings->devices_excluded.at[j])) {
				snprintf(why, SETTINGS_WHY_BYTES,
					 "--device.exclude: '%s' is also given by --device",
					 settings->devices.at[i]);
				return -EINVAL;
			}
	if (settings->events_connections && !settings->events_file) {
		snprintf(why, SETTINGS_WHY_BYTES,
			 "--events.connections: needs --events.file to write to");
		return -EINVAL;
	}
	return 0;
}

enum settings_outcome settings_parse(int argc, char **argv, struct settings *ret,
				     char why[SETTINGS_WHY_BYTES])
{
	struct option options[ARRAY_SIZE(flags) + 2] = { { 0 } };
	bool given[ARRAY_SIZE(flags)] = { false };
	struct settings settings = { 0 };
	int index = 0, c;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		options[i].name = flags[i].name;
		options[i].has_arg = flags[i].argument ? required_argument : no_argument;
	}
	options[ARRAY_SIZE(flags)] = (struct option){ "help", no_argument, NULL, 'h' };

	optind = 0; /* glibc: start over, whoever used getopt before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, &index)) != -1) {
		if (c == 'h')
			return SETTINGS_HELP;
		if (c != 0) {
			snprintf(why, SETTINGS_WHY_BYTES, "%.80s: %s", argv[optind - 1],
				 c == ':' ? "a value is missing" : "no such flag");
			return SETTINGS_BAD;
		}
		given[index] = true;
		if (set_flag(&flags[index], optarg, &settings, why))
			return SETTINGS_BAD;
	}
	if (optind < argc) {
		snprintf(why, SETTINGS_WHY_BYTES, "'%.80s': only flags are expected", argv[optind]);
		return SETTINGS_BAD;
	}
	if (set_initial_values(&settings, given, why) || check_together(&settings, why))
		return SETTINGS_BAD;
	*ret = settings;
	return SETTINGS_OK;
}

/* Words in lines of at most 98 columns, every line but the first indented. */
static void print_wrapped(FILE *out, const char *text, int column)
{
	const int indent = column;

	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column > indent && column + 1 + length > 98) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", length, text);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

void settings_print_help(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct flag *flag = &flags[i];
		char head[48], text[512];
		int used;

		snprintf(head, sizeof(head), "--%s%s%s", flag->name, flag->argument ? "=" : "",
			 flag->argument ? flag->argument : "");
		used = snprintf(text, sizeof(text), "%s", flag->help);
		if (flag->initial)
			used += snprintf(text + used, sizeof(text) - (size_t)used, " (default: %s)",
					 flag->initial);
		for (size_t w = 0; flag->words && flag->words[w]; w++)
			used += snprintf(text + used, sizeof(text) - (size_t)used, "%s%s%s",
					 w ? " " : " [", flag->words[w],
					 flag->words[w + 1] ? "" : "]");
		fprintf(out, "  %-28s ", head);
		print_wrapped(out, text, 31);
	}
	fprintf(out, "  %-28s ", "--help");
	print_wrapped(out, "this text", 31);
}

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned long port;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int settings_parse_address(const char *text, struct sockaddr_storage *ret_address,
			   socklen_t *ret_length)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	bool is_v6 = false;
	size_t length;
	uint16_t port;

	if (!colon || parse_port(colon + 1, &port))
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		is_v6 = true;
		text++;
		length -= 2;
	}
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';

	if (is_v6) {
		if (inet_pton(AF_INET6, host, &v6.sin6_addr) != 1)
			return -EINVAL;
	} else if (length == 0) {
		is_v6 = true;
	} else if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1",
			     &v4.sin_addr) != 1) {
		return -EINVAL;
	}
	v4.sin_port = v6.sin6_port = htons(port);
	memset(ret_address, 0, sizeof(*ret_address));
	*ret_length = is_v6 ? sizeof(v6) : sizeof(v4);
	memcpy(ret_address, is_v6 ? (void *)&v6 : (void *)&v4, *ret_length);
	return 0;
}
