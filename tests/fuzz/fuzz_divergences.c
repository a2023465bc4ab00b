/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any openings and closings, with any evidence, and any question about them: the ledger keeps its
 * account, JSON lines are lines, and no buffer of the table is too small.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "export/divergence_list.h"
#include "export/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a step of the input says. */
struct step {
	uint8_t closes, kind, explained_as, words;
	uint8_t local_state, kernel_state, kernel_substate, bits;
	uint64_t id, ts_ns, since_ns;
	struct divergence_evidence evidence;
	struct listener_owner listener;
};

static void take(struct ledger *ledger, const uint8_t *data)
{
	struct connection_report report = { 0 };
	struct track_event event = { .connection = &report };
	struct divergence_evidence *evidence;
	struct step step;

	memcpy(&step, data, sizeof(step));
	evidence = &step.evidence;
	evidence->segment.sent = data[0] & 1;
	evidence->drop_reason = step.words & 1 ? "NETFILTER_DROP" : NULL;
	step.listener.comm[sizeof(step.listener.comm) - 1] = '\0';
	report.key = step.listener.key;
	report.local_state = step.local_state % FSM_NR_STATES;
	report.kernel_state = step.kernel_state;
	report.kernel_substate = step.kernel_substate;
	event.type = step.closes & 1 ? TRACK_DIVERGENCE_CLOSE : TRACK_DIVERGENCE_OPEN;
	event.kind = step.kind % DIVERGENCE_NR;
	event.explained_as = step.explained_as % (DIVERGENCE_NR + 1);
	event.id = step.id % 16;
	event.explains = step.id / 16 % 16;
	event.ts_ns = step.ts_ns;
	event.since_ns = step.since_ns;
	event.reason = step.words & 2 ? "accept_queue_full" : NULL;
	event.evidence = evidence;
	ledger_take(ledger, &event, step.words & 4 ? &step.listener : NULL);
}

/* Every format of one question: lines end where they should. */
static void ask(const struct ledger *ledger, const struct divergence_arguments *arguments)
{
	struct divergence_list list = { .mono_ns = UINT64_MAX / 2 };
	struct divergence_question question;
	struct text out = { 0 };

	if (divergence_question_parse(arguments, &question))
		return;
	list.rows = calloc(LEDGER_ROWS_MAX, sizeof(*list.rows));
	if (!list.rows)
		return;
	list.counts = ledger_counts(ledger);
	list.count = ledger_list(ledger, &question.query, list.rows, LEDGER_ROWS_MAX);
	if (list.count > list.counts.last_change)
		abort();
	divergence_list_render(&question, &list, &out);
	if (out.failed || !out.length || out.data[out.length - 1] != '\n' ||
	    memchr(out.data, '\0', out.length))
		abort();
	if (question.format == DIVERGENCES_JSON &&
	    memchr(out.data, '\n', out.length) != out.data + out.length - 1)
		abort();
	text_free(&out);
	free(list.rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const formats[] = { "json", "table", "color", "lines" };
	struct divergence_arguments arguments = { .state = "all" };
	struct ledger *ledger = ledger_new();
	char tail[64] = "";

	if (!ledger)
		return 0;
	for (; size >= sizeof(struct step); size -= sizeof(struct step)) {
		take(ledger, data);
		data += sizeof(struct step);
	}
	for (size_t i = 0; i < 4; i++) {
		arguments.format = formats[i];
		arguments.details = i & 1 ? "1" : NULL;
		ask(ledger, &arguments);
	}
	/* what is left of the input is an argument of any kind */
	memcpy(tail, data, size < sizeof(tail) ? size : sizeof(tail) - 1);
	ask(ledger, &(struct divergence_arguments){ .state = tail });
	ask(ledger, &(struct divergence_arguments){ .kind = tail });
	ask(ledger, &(struct divergence_arguments){ .class = tail });
	ask(ledger, &(struct divergence_arguments){ .since = tail, .format = "lines" });
	ask(ledger, &(struct divergence_arguments){ .limit = tail, .format = "table" });
	ask(ledger, &(struct divergence_arguments){ .format = tail });
	ledger_free(ledger);
	return 0;
}
