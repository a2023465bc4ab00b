/* SPDX-License-Identifier: GPL-2.0-only */
/* The words of the comparison, explained for people: `tcpwitness divergences --kinds`. */
#include "cli/vocabulary.h"

#include "cli/cli.h"
#include "track/kview.h"
#include "track/taxonomy.h"
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

static void print_conditions(FILE *out)
{
	fputs("\nStuck: both views agree, and it should not last (tcpwitness_connections_stuck):\n",
	      out);
	for (int i = 0; i < CONDITION_NR; i++)
		fprintf(out, "\n  %s\n      %s\n      look at: %s\n",
			condition_label((enum condition)i), condition_text((enum condition)i),
			condition_look_at((enum condition)i));
}

static void print_transients(FILE *out)
{
	fputs("\nTransients: the views parted and came together again by themselves:\n\n", out);
	for (int i = 0; i < TRANSIENT_NR; i++)
		fprintf(out, "  %-26s %s\n", transient_label((enum transient)i),
			transient_text((enum transient)i));
}

static void print_reasons(FILE *out)
{
	fputs("\nUnobservable: why a connection could not be judged:\n\n", out);
	for (int i = 0; i < UNOBSERVABLE_NR; i++)
		fprintf(out, "  %-26s %s\n", unobservable_label((enum unobservable_reason)i),
			unobservable_text((enum unobservable_reason)i));
}

static void print_pairs(FILE *out)
{
	const struct kview_pair *pair;

	fputs("\nStates that may stand beside each other for as long as they like:\n\n"
	      "  wire          kernel        why\n",
	      out);
	for (size_t i = 0; (pair = kview_pair_at(i)); i++)
		fprintf(out, "  %-13s %-13s %s\n", fsm_state_name(pair->wire),
			fsm_state_name(pair->kernel), pair->why);
}

static void print_taxonomy(FILE *out)
{
	const struct taxonomy_row *row;

	fputs("\nThe ways to differ that are known, and what becomes of each:\n\n", out);
	for (size_t i = 0; (row = taxonomy_row_at(i)); i++) {
		fprintf(out, "  %2u  %s\n        %s: %s", row->number, row->title,
			taxonomy_home_label((enum taxonomy_home)row->home), taxonomy_label(row));
		for (int kind = 0; kind < DIVERGENCE_NR; kind++)
			if (row->also & (1u << kind))
				fprintf(out, ", or %s",
					divergence_label((enum divergence_kind)kind));
		fputc('\n', out);
	}
}

int vocabulary_print(FILE *out)
{
	fputs("Divergences that are problems:\n", out);
	print_kinds(CLASS_PROBLEM, out);
	fputs("\nDivergences that are expected: counted, never alerted:\n", out);
	print_kinds(CLASS_EXPECTED, out);
	print_conditions(out);
	print_transients(out);
	print_reasons(out);
	print_pairs(out);
	print_taxonomy(out);
	if (!fflush(out) && !ferror(out))
		return CLI_OK;
	fprintf(stderr, "tcpwitness: cannot write: %m\n");
	return CLI_FAILED;
}
