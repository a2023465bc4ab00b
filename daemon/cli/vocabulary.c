/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of the comparison, explained for people: `tcpwitness divergences --kinds`. */
#include "cli/vocabulary.h"

#include "cli/cli.h"
#include "track/verdicts.h"

static void print_kind(enum divergence_kind kind, FILE *out)
{
	fprintf(out, "\n  %-24s %s\n      %s\n      look at: %s\n", divergence_label(kind),
		divergence_severity_label(divergence_severity(kind)), divergence_text(kind),
		divergence_look_at(kind));
}

static void print_kinds(enum divergence_class class, FILE *out)
{
	for (int i = 0; i < DIVERGENCE_NR; i++)
		if (divergence_class((enum divergence_kind)i) == class)
			print_kind((enum divergence_kind)i, out);
}

int vocabulary_print(FILE *out)
{
	fputs("Divergences that are problems:\n", out);
	print_kinds(CLASS_PROBLEM, out);
	fputs("\nDivergences that are expected: counted, never alerted:\n", out);
	print_kinds(CLASS_EXPECTED, out);
	if (!fflush(out) && !ferror(out))
		return CLI_OK;
	fprintf(stderr, "tcpwitness: cannot write: %m\n");
	return CLI_FAILED;
}
