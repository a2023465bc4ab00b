/* SPDX-License-Identifier: GPL-2.0-only */
/* JSON for people: one line a value, nesting by indentation. */
#ifndef TCPWITNESS_OUTLINE_H
#define TCPWITNESS_OUTLINE_H

#include <stdio.h>

/*
 * {"a":1,"b":{"c":"x"}} prints "a  1", "b", "  c  x", with values in a column per object.
 * Strings keep the \u escapes of their control characters, so that no value can steer the
 * terminal. 0, or -EBADMSG where the text stops being JSON (what came before is
 * printed). Shows no more than 16 levels.
 */
int outline_print(const char *json, FILE *out);

#endif
