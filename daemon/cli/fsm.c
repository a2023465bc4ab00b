/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness fsm`: the reference as it runs, printed from the table itself. */
#include <stdio.h>

#include "cli/cli.h"
#include "tcp/fsm.h"
#include "util.h"

static void print_table(void)
{
	enum fsm_state state;
	enum fsm_event event;

	for (state = 0; state < FSM_NR_STATES; state++) {
		printf("%s%s\n", state ? "\n" : "", fsm_state_name(state));
		for (event = 0; event < EV_NR; event++) {
			struct fsm_step step = fsm_step(state, event);

			if (step.verdict == V_NEVER)
				continue;
			printf("  %-18s %-13s %s%s%s\n", fsm_event_name(event),
			       step.to == state ? "." : fsm_state_name(step.to),
			       fsm_verdict_label(step.verdict), step.anomaly ? ": " : "",
			       step.anomaly ? fsm_anomaly_label(step.anomaly) : "");
		}
	}
}

/* Figure 5 of RFC 9293, out of the same table: one arrow for each pair of states. */
static void print_dot(void)
{
	enum fsm_state from, to;
	enum fsm_event event;

	printf("digraph tcp {\n\tnode [shape=box]\n");
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (to = 0; to < FSM_NR_STATES; to++) {
			bool first = true;

			for (event = 0; to != from && event < EV_NR; event++) {
				struct fsm_step step = fsm_step(from, event);

				if (step.verdict == V_NEVER || step.to != to)
					continue;
				if (first)
					printf("\t%s -> %s [label=\"", fsm_state_name(from),
					       fsm_state_name(to));
				printf("%s%s", first ? "" : "\\n", fsm_event_name(event));
				first = false;
			}
			if (!first)
				printf("\"]\n");
		}
	}
	printf("}\n");
}

int cli_fsm(int argc, char **argv)
{
	const char *table = NULL, *dot = NULL;
	const struct cli_flag flags[] = {
		{ "dot", NULL, &dot, "the moves between states, for graphviz" },
		{ "table", NULL, &table,
		  "every cell: event, next state, verdict, anomaly (the default)" },
	};

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness fsm [--table|--dot]",
			  "Prints the reference state machine that this program runs.", 0, NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (table && dot)
		return cli_usage_error("--table or --dot, not both");
	if (dot)
		print_dot();
	else
		print_table();
	return CLI_OK;
}
