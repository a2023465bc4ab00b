/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON for people: one line a value, nesting by indentation. */
#ifndef TCPWITNESS_OUTLINE_H
#define TCPWITNESS_OUTLINE_H

#include <stdbool.h>
#include <stdio.h>

/*
 * {"a":1,"b":{"c":"x"},"d":[{"e":2,"f":true}]} prints
 *
 *	a                                1
 *	b
 *	  c                              x
 *	d
 *	  - e 2, f true
 *
 * With `brief` null and 0 are left out (in rows only null), and objects whose numbers are all 0.
 * Strings keep the \u escapes of their control characters, so that no value can steer the
 * terminal. 0, or -EBADMSG where the text stops being JSON (what came before is printed) or nests
 * deeper than 16.
 */
int outline_print(const char *json, bool brief, FILE *out);

#endif
