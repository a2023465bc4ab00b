/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Log lines to stderr. Surprises on the data path are counters first; a line about them goes
 * through a rate limiter and names the counter. Thread-safe: one write(2) a line.
 */
#ifndef TCPWITNESS_LOG_H
#define TCPWITNESS_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_LEVELS(X)                                                                              \
	X(ERR, "error", 3)                                                                         \
	X(WARN, "warn", 4)                                                                         \
	X(INFO, "info", 6)                                                                         \
	X(DEBUG, "debug", 7)

enum log_level {
#define X(name, label, syslog_number) LOG_LEVEL_##name,
	LOG_LEVELS(X)
#undef X
	LOG_LEVEL_NR
};

enum log_format {
	LOG_FORMAT_TEXT = 0, /* "tcpwitness: warn: text"; under systemd's journal "<4>text" */
	LOG_FORMAT_LOGFMT,   /* ts=2026-01-02T03:04:05.678Z level=warn msg="text" */
};

/* Before the first thread is started; without it: info, text. */
void log_init(enum log_level level, enum log_format format);

/* True when a line of this level would be written: guards expensive arguments. */
bool log_enabled(enum log_level level);

/* One line; trailing newlines are cut. Preserves errno, so that %m works and survives. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vwrite(enum log_level level, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

#define log_err(...) log_write(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Logs "text: strerror" at level error and returns err (a -errno): once, where one can act. */
int log_err_ret(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* At most `burst` lines in `interval_ns`; zero-initialised except for these two. Not shared by
 * threads. Example: static struct log_limit limit = LOG_LIMIT(10, 1); */
struct log_limit {
	uint32_t burst;
	uint64_t interval_ns;
	uint64_t window_start_ns;
	uint32_t used;
	uint64_t suppressed; /* since the last line that was let through */
};

#define LOG_LIMIT(lines, seconds)                                                                  \
	{                                                                                          \
		.burst = (lines), .interval_ns = (seconds)*1000000000ull                           \
	}

/* True when a line may be written at now_ns (any monotonic clock). *ret_suppressed then tells how
 * many were held back since the last one. Pure. */
bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, uint64_t *ret_suppressed);

#endif
