/* SPDX-License-Identifier: GPL-2.0-only */
/* `tcpwitness fsm`: the reference as it runs, printed from the table itself. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "tcp/fsm.h"
#include "util.h"

static void print_cell(enum fsm_state state, enum fsm_event event)
{
	struct fsm_step step = fsm_step(state, event);

	printf("  %-18s %-13s %s%s%s\n", fsm_event_name(event),
	       step.to == state ? "." : fsm_state_name(step.to), fsm_verdict_label(step.verdict),
	       step.anomaly ? ": " : "", step.anomaly ? fsm_anomaly_label(step.anomaly) : "");
}

/* A state's cells; after them those that are impossible, each with its reason. */
static void print_table(void)
{
	enum fsm_state state;
	enum fsm_event event;

	for (state = 0; state < FSM_NR_STATES; state++) {
		printf("%s%s\n", state ? "\n" : "", fsm_state_name(state));
		for (event = 0; event < EV_NR; event++) {
			if (!fsm_never(state, event))
				print_cell(state, event);
		}
		for (event = 0; event < EV_NR; event++) {
			if (fsm_never(state, event))
				printf("  %-18s never: %s\n", fsm_event_name(event),
				       fsm_never(state, event));
		}
	}
}

/* What figure 5 writes beside an arrow: the event over what is done about it. */
static const char *const arrows[EV_NR] = {
	[EV_SEND_SYN] = "active OPEN\\nsnd SYN",
	[EV_SEND_SYNACK] = "rcv SYN\\nsnd SYN,ACK",
	[EV_SEND_ACK_OF_SYN] = "rcv SYN,ACK\\nsnd ACK",
	[EV_SEND_FIN] = "CLOSE\\nsnd FIN",
	[EV_SEND_FIN_CROSSED] = "CLOSE (before rcv FIN)\\nsnd FIN",
	[EV_SEND_RST] = "ABORT\\nsnd RST",
	[EV_RCV_RST] = "rcv RST",
	[EV_RCV_SYN] = "rcv SYN\\nsnd SYN,ACK",
	[EV_RCV_SYNACK] = "rcv SYN,ACK\\nsnd ACK",
	[EV_RCV_SYN_GIVES_UP] = "rcv SYN in window",
	[EV_RCV_ACK_OF_SYN] = "rcv ACK of SYN",
	[EV_RCV_ACK_OF_FIN] = "rcv ACK of FIN",
	[EV_RCV_FIN] = "rcv FIN\\nsnd ACK",
	[EV_TIMEOUT] = "timeout",
};

static bool moves(enum fsm_state from, enum fsm_event event, enum fsm_state to)
{
	struct fsm_step step = fsm_step(from, event);

	return step.verdict != V_NEVER && step.to == to && to != from;
}

/* It ends the connection in every synchronized state: a line of text says so, not seven arrows. */
static bool ends_all(enum fsm_event event)
{
	enum fsm_state state;

	for (state = FSM_ESTABLISHED; state < FSM_NR_STATES; state++) {
		if (!moves(state, event, FSM_CLOSED))
			return false;
	}
	return true;
}

/* As in figure 5, the only timeout that is drawn is that of TIME_WAIT. */
static bool is_drawn(enum fsm_state from, enum fsm_event event)
{
	return !ends_all(event) || (event == EV_TIMEOUT && from == FSM_TIME_WAIT);
}

/* Arrows that figure 5 does not have: what only an observer can meet. They are drawn in grey. */
static bool is_beyond_figure_5(enum fsm_state from, enum fsm_state to)
{
	static const struct {
		uint8_t from, to;
	} beyond[] = {
		{ FSM_CLOSED, FSM_SYN_RECEIVED },     /* a listener that was not known */
		{ FSM_SYN_RECEIVED, FSM_CLOSED },     /* in the figure it leads to LISTEN: fsm.c */
		{ FSM_SYN_RECEIVED, FSM_CLOSE_WAIT }, /* SYN, text and FIN in one segment */
		{ FSM_CLOSE_WAIT, FSM_CLOSING },      /* the tap runs ahead of the stack */
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		if (beyond[i].from == from && beyond[i].to == to)
			return true;
	}
	return false;
}

/* Events of one arrow are one label, and those that figure 5 calls the same are one line of it. */
static void print_arrow(enum fsm_state from, enum fsm_state to)
{
	const char *last = "";
	enum fsm_event event;
	bool any = false;

	for (event = 0; event < EV_NR; event++) {
		if (!moves(from, event, to) || !is_drawn(from, event))
			continue;
		if (!any)
			printf("\t%s -> %s [label=\"", fsm_state_name(from), fsm_state_name(to));
		if (strcmp(last, arrows[event]) != 0)
			printf("%s%s", any ? "\\nor " : "",
			       event == EV_TIMEOUT ? "timeout = 2 MSL" : arrows[event]);
		last = arrows[event];
		any = true;
	}
	if (any)
		printf("\"%s]\n", is_beyond_figure_5(from, to) ?
					  ", color=grey60, fontcolor=grey60, constraint=false" :
					  "");
}

/* Figure 5 of RFC 9293 out of the same table, its states on the same lines. */
static void print_dot(void)
{
	enum fsm_state from, to;
	enum fsm_event event;

	printf("digraph tcp {\n"
	       "\tnode [shape=box, fontname=\"Helvetica\", width=1.4]\n"
	       "\tedge [fontname=\"Helvetica\", fontsize=10]\n"
	       "\tnodesep=1.0\n"
	       "\t{ rank=source; CLOSED }\n"
	       "\t{ rank=same; SYN_RECEIVED -> SYN_SENT [style=invis] }\n"
	       "\t{ rank=same; FIN_WAIT_1 -> CLOSE_WAIT [style=invis] }\n"
	       "\t{ rank=same; FIN_WAIT_2 -> CLOSING -> LAST_ACK [style=invis] }\n"
	       "\t{ rank=sink; TIME_WAIT }\n"
	       /* A port's passive OPEN is no event of a connection: drawn, but not in the table. */
	       "\tCLOSED -> LISTEN [style=dashed, label=\"passive OPEN\"]\n");
	for (from = 0; from < FSM_NR_STATES; from++) {
		for (to = 0; to < FSM_NR_STATES; to++)
			print_arrow(from, to);
	}
	printf("\tlabelloc=b\n\tfontname=\"Helvetica\"\n\tfontsize=10\n"
	       "\tlabel=\"grey: not in figure 5 of RFC 9293\\n"
	       "not drawn, from any state to CLOSED (LISTEN ignores a RST):");
	for (event = 0; event < EV_NR; event++) {
		if (ends_all(event))
			printf(" %s", fsm_event_name(event));
	}
	printf("\"\n}\n");
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
