/* SPDX-License-Identifier: GPL-2.0-only */
/* Log lines to stderr: plain text, text with syslog numbers under systemd's journal, or logfmt. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define LINE_BYTES 4096

static const struct {
	const char *label;
	int syslog_number;
} levels[] = {
#define X(name, label, syslog_number) [LOG_LEVEL_##name] = { label, syslog_number },
	LOG_LEVELS(X)
#undef X
};

static struct {
	enum log_level level;
	enum log_format format;
	bool journal;
} config = { .level = LOG_LEVEL_INFO };

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream it connected to stderr; a
 * stderr that was redirected since is another file and wants no <N> prefixes. */
static bool is_stderr_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(enum log_level level, enum log_format format)
{
	config.level = level;
	config.format = format;
	config.journal = is_stderr_journal();
}

bool log_enabled(enum log_level level)
{
	return level <= config.level;
}

/* Appends at *used what fits and leaves room for the newline. */
static void append(char *line, size_t *used, const char *text, size_t length)
{
	size_t room = LINE_BYTES - 1 - *used;

	if (length > room)
		length = room;
	memcpy(line + *used, text, length);
	*used += length;
}

static void append_quoted(char *line, size_t *used, const char *text)
{
	append(line, used, "\"", 1);
	for (; *text && *used < LINE_BYTES - 8; text++) {
		unsigned char c = (unsigned char)*text;
		char escaped[8];
		int n;

		if (c == '"' || c == '\\')
			n = snprintf(escaped, sizeof(escaped), "\\%c", c);
		else if (c == '\n')
			n = snprintf(escaped, sizeof(escaped), "\\n");
		else if (c < 0x20 || c == 0x7f)
			n = snprintf(escaped, sizeof(escaped), "\\x%02x", c);
		else
			n = snprintf(escaped, sizeof(escaped), "%c", c);
		append(line, used, escaped, (size_t)n);
	}
	append(line, used, "\"", 1);
}

static void append_logfmt_head(char *line, size_t *used, enum log_level level)
{
	struct timespec now;
	struct tm utc;
	char head[80];
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	n = snprintf(head, sizeof(head),
		     "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s msg=", utc.tm_year + 1900,
		     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		     now.tv_nsec / (long)NS_PER_MS, levels[level].label);
	append(line, used, head, (size_t)n);
}

static void append_text_head(char *line, size_t *used, enum log_level level)
{
	char head[40];
	int n;

	if (config.journal)
		n = snprintf(head, sizeof(head), "<%d>", levels[level].syslog_number);
	else if (level == LOG_LEVEL_INFO)
		n = snprintf(head, sizeof(head), "tcpwitness: ");
	else
		n = snprintf(head, sizeof(head), "tcpwitness: %s: ", levels[level].label);
	append(line, used, head, (size_t)n);
}

static void write_line(enum log_level level, char *text)
{
	size_t used = 0, length = strlen(text), done = 0;
	char line[LINE_BYTES];

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	if (config.format == LOG_FORMAT_LOGFMT) {
		append_logfmt_head(line, &used, level);
		append_quoted(line, &used, text);
	} else {
		append_text_head(line, &used, level);
		append(line, &used, text, length);
	}
	line[used++] = '\n';
	while (done < used) {
		ssize_t n = write(STDERR_FILENO, line + done, used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nobody listens: there is nowhere left to say so */
		done += (size_t)n;
	}
}

void log_vwrite(enum log_level level, const char *fmt, va_list args)
{
	int saved = errno;
	char text[LINE_BYTES];

	if (log_enabled(level)) {
		vsnprintf(text, sizeof(text), fmt, args);
		write_line(level, text);
	}
	errno = saved;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vwrite(level, fmt, args);
	va_end(args);
}

int log_err_ret(int err, const char *fmt, ...)
{
	char text[LINE_BYTES / 2];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_err("%s: %s", text, strerror(err < 0 ? -err : err));
	return err;
}

bool log_limit_allows(struct log_limit *limit, uint64_t now_ns, uint64_t *ret_suppressed)
{
	if (now_ns - limit->window_start_ns >= limit->interval_ns || limit->window_start_ns == 0) {
		limit->window_start_ns = now_ns;
		limit->used = 0;
	}
	if (limit->used >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
