/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that have names. */
#include "export/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tcp_defs.h"
#include "util.h"

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const char *tcp_flags_text(uint8_t tcp_flags, char buffer[TCP_FLAGS_TEXT_MAX])
{
	static const struct {
		uint8_t flag;
		const char *name;
	} names[] = {
		{ TCPF_SYN, ",SYN" }, { TCPF_FIN, ",FIN" }, { TCPF_RST, ",RST" },
		{ TCPF_URG, ",URG" }, { TCPF_ACK, ",ACK" },
	};

	buffer[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (tcp_flags & names[i].flag)
			strcat(buffer, names[i].name + !buffer[0]);
	return buffer[0] ? buffer : strcpy(buffer, "none");
}

const char *error_text(uint16_t error, char buffer[ERROR_TEXT_MAX])
{
	const char *name = strerrorname_np(error);

	if (name)
		return name;
	snprintf(buffer, ERROR_TEXT_MAX, "errno %u", error);
	return buffer;
}

const char *duration_text(uint64_t ns, char buffer[DURATION_TEXT_MAX])
{
	unsigned long long seconds = ns / NS_PER_SEC;
	unsigned int ms = (unsigned int)(ns % NS_PER_SEC / NS_PER_MS);

	if (seconds < 10)
		snprintf(buffer, DURATION_TEXT_MAX, "%llu.%03u s", seconds, ms);
	else if (seconds < MINUTE)
		snprintf(buffer, DURATION_TEXT_MAX, "%llu.%u s", seconds, ms / 100);
	else if (seconds < HOUR)
		snprintf(buffer, DURATION_TEXT_MAX, "%llu min %llu s", seconds / MINUTE,
			 seconds % MINUTE);
	else if (seconds < DAY)
		snprintf(buffer, DURATION_TEXT_MAX, "%llu h %llu min", seconds / HOUR,
			 seconds % HOUR / MINUTE);
	else
		snprintf(buffer, DURATION_TEXT_MAX, "%llu d %llu h", seconds / DAY,
			 seconds % DAY / HOUR);
	return buffer;
}

void words_add(char *buffer, size_t size, const char *separator, const char *fmt, ...)
{
	size_t used = strlen(buffer);
	va_list args;

	if (used)
		used += (size_t)snprintf(buffer + used, size - used, "%s", separator);
	if (used >= size)
		return;
	va_start(args, fmt);
	vsnprintf(buffer + used, size - used, fmt, args);
	va_end(args);
}
