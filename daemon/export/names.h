/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers that have names, in the words of every output: flags, errors, durations; and lists of words. Pure. */
#ifndef TCPWITNESS_NAMES_H
#define TCPWITNESS_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* "SYN,ACK"; "none" without any. Returns `buffer`. */
#define TCP_FLAGS_TEXT_MAX 40
const char *tcp_flags_text(uint8_t tcp_flags, char buffer[TCP_FLAGS_TEXT_MAX]);

/* "ETIMEDOUT"; "errno 4711" for one without a name. Returns a name or `buffer`. */
#define ERROR_TEXT_MAX 16
const char *error_text(uint16_t error, char buffer[ERROR_TEXT_MAX]);

/* Two units at most: "0.987 s", "59.9 s", "2 min 3 s", "1 h 2 min", "3 d 4 h". Returns `buffer`. */
#define DURATION_TEXT_MAX 32
const char *duration_text(uint64_t ns, char buffer[DURATION_TEXT_MAX]);

/* Appends to the words in `buffer`, after the separator if there are some. What goes beyond `size`
 * is cut off. */
__attribute__((format(printf, 4, 5))) void words_add(char *buffer, size_t size,
						     const char *separator, const char *fmt, ...);

#endif
