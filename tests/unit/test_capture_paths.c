/* SPDX-License-Identifier: GPL-2.0-only */
/* The same segments through a capture and straight into the reference give the same paths. */
#include "capture_play.h"

#include "seeded.h"
#include "tcp/dialogue.h"

struct sides {
	uint32_t snd_nxt[2], rcv_nxt[2];
	bool fin_sent[2];
	struct talk said[64];
	size_t count;
};

static void say(struct sides *sides, struct seeded *random, int from, uint8_t flags, uint32_t len)
{
	struct talk talk = { .from_server = from,
			     .flags = flags | A,
			     .seq = sides->snd_nxt[from],
			     .ack = sides->rcv_nxt[from],
			     .len = len };

	sides->snd_nxt[from] += len + (flags & F ? 1 : 0);
	sides->fin_sent[from] |= flags & F;
	sides->said[sides->count++] = talk;
	/* it arrives at once, and sometimes is written twice */
	sides->rcv_nxt[!from] = sides->snd_nxt[from];
	if (seeded_chance(random, 10))
		sides->said[sides->count++] = talk;
}

/* A plausible conversation: every end sends in sequence, the last words may be missing. */
static void converse(struct sides *sides, struct seeded *random)
{
	uint32_t client = seeded_next(random), server = seeded_next(random);
	uint32_t steps = seeded_below(random, 20);

	memset(sides, 0, sizeof(*sides));
	sides->said[0] = (struct talk){ .flags = S, .seq = client };
	sides->said[1] = (struct talk){
		.from_server = true, .flags = S | A, .seq = server, .ack = client + 1
	};
	sides->count = 2;
	sides->snd_nxt[0] = sides->rcv_nxt[1] = client + 1;
	sides->snd_nxt[1] = sides->rcv_nxt[0] = server + 1;
	say(sides, random, 0, 0, 0);
	for (uint32_t i = 0; i < steps; i++) {
		int from = (int)seeded_below(random, 2);
		uint32_t what = seeded_below(random, 10);

		if (what == 0) {
			say(sides, random, from, R, 0);
			return;
		}
		if (what < 4 && !sides->fin_sent[from])
			say(sides, random, from, F, 0);
		else
			say(sides, random, from, 0,
			    what < 7 && !sides->fin_sent[from] ? what * 100 : 0);
	}
}

struct state_text {
	char text[256];
};

static void push(struct state_text *text, const struct endpoint_steps *steps)
{
	for (uint8_t i = 0; i < steps->count; i++) {
		size_t used = strlen(text->text);

		if (steps->at[i].from != steps->at[i].to)
			snprintf(text->text + used, sizeof(text->text) - used, "%s%s",
				 used ? " " : "", fsm_state_name(steps->at[i].to));
	}
}

/* What the reference alone makes of it, from the client's side, until its end is CLOSED. */
static void refer(const struct sides *sides, struct state_text paths[2])
{
	struct dialogue_steps steps;
	struct tcp_dialogue talk;

	memset(paths, 0, 2 * sizeof(*paths));
	dialogue_init(&talk, FSM_CLOSED, FSM_LISTEN, false);
	for (size_t i = 0; i < sides->count; i++) {
		const struct talk *said = &sides->said[i];
		bool syn = said->flags & S;
		struct tcp_segment segment = {
			.seq = said->seq,
			.ack = said->ack,
			.len = said->len,
			.window = 64240,
			.flags = said->flags,
			.options = syn ? TCPO_MSS | TCPO_WSCALE : 0,
			.wscale = syn ? 7 : 0,
			.mss = syn ? 1460 : 0,
		};

		(said->from_server ? dialogue_received : dialogue_sent)(&talk, &segment, &steps);
		push(&paths[0], &steps.local);
		push(&paths[1], &steps.remote);
		if (talk.local.state == FSM_CLOSED)
			return;
	}
	if (talk.local.state == FSM_TIME_WAIT) {
		dialogue_expire(&talk, &steps);
		push(&paths[0], &steps.local);
		push(&paths[1], &steps.remote);
	}
}

static void capture_tells_what_the_reference_does(void **state)
{
	static const int links[] = { DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_PPP };
	uint64_t seed = seed_of_run();
	struct seeded random = { seed };
	struct state_text paths[2];
	struct capture_file file;
	struct sides sides;
	struct outcome out;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 500; round++) {
		converse(&sides, &random);
		refer(&sides, paths);
		capture_open(&file,
			     (struct wrapping){ .link = links[round % ARRAY_SIZE(links)],
						.ipv6 = round & 1 },
			     seeded_chance(&random, 50) ? 80 : 65535);
		for (size_t i = 0; i < sides.count; i++)
			capture_talk(&file, sides.said[i]);
		finish(&file, &out);
		assert_int_equal(out.count, 1);
		assert_paths(&out.reports[0], paths[0].text, paths[1].text);
		assert_int_equal(out.stats.gaps, 0);
	}
}

/* Both say what they have taken in, before one of them closes. */
static void acknowledge_all(struct capture_file *file, const struct talk *closing)
{
	bool server = closing->from_server;

	capture_talk(file, (struct talk){ .from_server = server,
					  .flags = A,
					  .seq = closing->seq,
					  .ack = closing->ack });
	capture_talk(file, (struct talk){ .from_server = !server,
					  .flags = A,
					  .seq = closing->ack,
					  .ack = closing->seq });
}

/* A tap that loses data loses no path, as long as it has the ACKs and what opens and closes. */
static void lost_data_changes_no_path(void **state)
{
	uint64_t seed = seed_of_run(), gaps = 0;
	struct seeded random = { seed };
	struct state_text paths[2];
	struct capture_file file;
	struct sides sides;
	struct outcome out;

	(void)state;
	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 500; round++) {
		bool closing = false;

		converse(&sides, &random);
		refer(&sides, paths);
		begin(&file);
		for (size_t i = 0; i < sides.count; i++) {
			const struct talk *said = &sides.said[i];

			if (!closing && said->flags & (F | R)) {
				acknowledge_all(&file, said);
				closing = true;
			}
			if (closing || !said->len || seeded_chance(&random, 50))
				capture_talk(&file, *said);
		}
		finish(&file, &out);
		assert_int_equal(out.count, 1);
		assert_paths(&out.reports[0], paths[0].text, paths[1].text);
		gaps += out.stats.gaps;
	}
	assert_true(gaps > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capture_tells_what_the_reference_does),
		cmocka_unit_test(lost_data_changes_no_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
