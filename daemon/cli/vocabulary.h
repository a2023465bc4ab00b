/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of the comparison, explained for people. */
#ifndef TCPWITNESS_VOCABULARY_H
#define TCPWITNESS_VOCABULARY_H

#include <stdio.h>

/* Kinds of divergence, conditions, transients, reasons of "unobservable", states that may stand
 * beside each other, the taxonomy. An enum cli_exit. */
int vocabulary_print(FILE *out);

#endif
