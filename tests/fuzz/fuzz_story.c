/* SPDX-License-Identifier: GPL-2.0-only */
/* Any sequence of entries: the table's lines end where they should, and no buffer is too small. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "export/story.h"
#include "tcp/fsm.h"
#include "track/verdicts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the type promises; all else is left as it came. */
static void make_legal(struct track_entry *entry, uint64_t index)
{
	entry->ts_ns = (index << 40) + entry->ts_ns % (1ull << 40);
	entry->life = 1;
	entry->kind %= ENTRY_NR;
	entry->local_state %= FSM_NR_STATES;
	entry->remote_state %= FSM_NR_STATES;
	entry->role %= ROLE_NR;
	entry->end %= END_NR;
	entry->why %= UNOBSERVABLE_NR;
	if (entry->kind == ENTRY_BEGAN || entry->kind == ENTRY_ENDED) {
		memset(&entry->key, 0, sizeof(entry->key));
		return;
	}
	if (entry->kind == ENTRY_DIVERGENCE_OPEN || entry->kind == ENTRY_DIVERGENCE_CLOSE) {
		entry->divergence.kind %= DIVERGENCE_NR;
		entry->divergence.explained_as %= DIVERGENCE_NR + 1;
		entry->divergence.reason = entry->role ? "accept_queue_full" : NULL;
		entry->divergence.drop_reason = entry->role ? "NETFILTER_DROP" : NULL;
		entry->nr_local = entry->nr_remote = 0;
		return;
	}
	if (entry->kind == ENTRY_EVIDENCE) {
		/* a bool is 0 or 1 */
		*(uint8_t *)&entry->evidence.has_look &= 1;
		entry->nr_local = entry->nr_remote = 0;
		return;
	}
	entry->nr_local %= TRACK_ENTRY_STEPS / 2 + 1;
	entry->nr_remote %= TRACK_ENTRY_STEPS / 2 + 1;
	for (int i = 0; i < TRACK_ENTRY_STEPS; i++) {
		entry->steps[i].event %= EV_NR;
		entry->steps[i].from %= FSM_NR_STATES;
	}
	if (entry->kind == ENTRY_DROP)
		entry->drop.reason = entry->drop.seq & 1 ? "NETFILTER_DROP" : NULL;
}

static void render(const struct explanation *explanation)
{
	struct text table = { 0 }, json = { 0 };

	explain_table(explanation, false, &table);
	explain_json(explanation, &json);
	if (table.failed || json.failed || table.data[table.length - 1] != '\n' ||
	    memmem(table.data, table.length, " \n", 2) || memchr(table.data, '\0', table.length) ||
	    memchr(json.data, '\n', json.length) != json.data + json.length - 1)
		abort();
	text_free(&table);
	text_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count = size / sizeof(struct track_entry);
	struct track_entry *entries = calloc(count + 1, sizeof(*entries));
	struct history_life life = { .life = 1, .count = count, .has_begin = size & 1 };
	struct history_answer answer = { .lives = &life, .nr_lives = 1, .entries = entries };
	struct tuple tuple;
	const struct explanation explanation = { .tuple = &tuple, .answer = &answer };

	if (!entries)
		return 0;
	if (tuple_parse("10.0.0.1:443-10.0.0.2:5000", &tuple))
		abort();
	for (size_t i = 0; i < count; i++) {
		memcpy(&entries[i], data + i * sizeof(*entries), sizeof(*entries));
		make_legal(&entries[i], i);
		life.role = entries[i].role;
	}
	answer.nr_entries = count;
	if (count) {
		life.first_ns = entries[0].ts_ns;
		life.last_ns = entries[count - 1].ts_ns;
	}
	life.key = tuple_key(&tuple, 1, false);
	render(&explanation);
	free(entries);
	return 0;
}
