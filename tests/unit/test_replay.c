/* SPDX-License-Identifier: GPL-2.0-only */
/* A run is recorded through the daemon's own pipeline; `replay` must print the same events. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/pipeline.h"
#include "util.h"

#define NETNS 7
#define START_NS (1000 * NS_PER_SEC)
#define STEP_NS (20 * NS_PER_MS)

/* A recorded run: the pipeline, its clock, its files and the kernel it may look at. */
struct run {
	char directory[64], log_path[128], events_path[128];
	struct drop_reasons reasons;
	struct recordlog_writer *log;
	struct pipeline pipeline;
	uint64_t now_ns;
	bool kernel_answers;
	unsigned int looks;
};

static int look(void *context, const struct conn_key *key, uint32_t ifindex, struct rec_socket *ret)
{
	struct run *run = context;

	(void)ifindex;
	run->looks++;
	if (!run->kernel_answers)
		return -EIO;
	*ret = (struct rec_socket){
		.hdr = { .type = REC_LOOK,
			 .version = RECORD_VERSION,
			 .netns = key->netns,
			 .ts_ns = run->now_ns },
		.snapshot = { .bits = SNAP_LOOKED },
		.local_port = key->local_port,
		.remote_port = key->remote_port,
	};
	memcpy(ret->local_address, key->local_address, 16);
	memcpy(ret->remote_address, key->remote_address, 16);
	return 0;
}

static int no_counters(void *context, uint64_t cookie, struct listener_reading *ret)
{
	(void)context;
	(void)cookie;
	(void)ret;
	return -ENOENT;
}

static void no_forget(void *context, uint64_t cookie)
{
	(void)context;
	(void)cookie;
}

static void start(struct run *run, bool kernel_answers)
{
	struct recordlog_info info = { .netns = NETNS, .realtime_offset_ns = 1700000000000000123 };
	struct pipeline_settings settings = {
		.tracker = { .flows_max = 1024,
			     .settle_ns = 250 * NS_PER_MS,
			     .time_wait_ns = 60 * NS_PER_SEC,
			     .hash_seed = 4711 },
		.netns = NETNS,
		.wall_offset_ns = (uint64_t)info.realtime_offset_ns,
		.context = run,
		.look = look,
		.listeners = { run, false, no_counters, no_forget, NULL, NULL, NULL },
	};

	memset(run, 0, sizeof(*run));
	run->now_ns = START_NS;
	run->kernel_answers = kernel_answers;
	strcpy(run->directory, "/tmp/tcpwitness-replay-XXXXXX");
	assert_non_null(mkdtemp(run->directory));
	snprintf(run->log_path, sizeof(run->log_path), "%s/log", run->directory);
	snprintf(run->events_path, sizeof(run->events_path), "%s/events", run->directory);
	assert_int_equal(recordlog_create(run->log_path, &info, &run->log), 0);
	settings.reasons = &run->reasons;
	settings.log = run->log;
	settings.events = (struct events_settings){ .path = run->events_path, .connections = true };
	assert_int_equal(pipeline_init(&run->pipeline, &settings), 0);
}

static void finish(struct run *run)
{
	pipeline_fini(&run->pipeline);
	assert_int_equal(recordlog_close(run->log), 0);
}

static void clean(struct run *run)
{
	unlink(run->log_path);
	unlink(run->events_path);
	assert_int_equal(rmdir(run->directory), 0);
}

static struct rec_hdr header(struct run *run, enum rec_type type, bool sent)
{
	run->now_ns += 10000;
	return (struct rec_hdr){ .type = (uint8_t)type,
				 .version = RECORD_VERSION,
				 .flags = sent ? REC_F_SENT : 0,
				 .netns = NETNS,
				 .ts_ns = run->now_ns };
}

static void put_addresses(uint8_t *addresses)
{
	memcpy(addresses, (uint8_t[]){ 10, 0, 0, 1, 10, 0, 0, 2 }, 8);
}

static void segment(struct run *run, bool sent, uint8_t flags, uint32_t seq, uint32_t ack,
		    uint8_t kernel_state)
{
	uint64_t space[32] = { 0 };
	struct rec_segment *rec = (struct rec_segment *)space;

	rec->hdr = header(run, REC_SEGMENT, sent);
	rec->snapshot.state = kernel_state;
	rec->snapshot.cookie = kernel_state == KS_LISTEN ? 5 : 77;
	rec->snapshot.bits = SNAP_LOOKED;
	if (kernel_state == KS_LISTEN || kernel_state == KS_NEW_SYN_RECV) {
		rec->snapshot.bits |= SNAP_QUEUES;
		rec->snapshot.queues.accept_limit = 16;
	}
	rec->ifindex = 2;
	rec->local_port = 443;
	rec->remote_port = 50000;
	rec->seq = seq;
	rec->ack = ack;
	rec->window = 64240;
	rec->gso_segs = 1;
	rec->tcp_flags = flags;
	rec->hook = sent ? HOOK_TC_EGRESS : HOOK_TC_INGRESS;
	put_addresses(rec->addresses);
	assert_int_equal(pipeline_feed(&run->pipeline, rec, REC_SIZE_V4(rec_segment), RING_SEGMENT),
			 0);
}

static void change(struct run *run, uint8_t from, uint8_t to, uint16_t error)
{
	uint64_t space[32] = { 0 };
	struct rec_state *rec = (struct rec_state *)space;

	rec->hdr = header(run, REC_STATE, false);
	rec->cookie = 77;
	rec->rcv_nxt = 101;
	rec->snd_una = rec->snd_nxt = rec->write_seq = 501;
	rec->local_port = 443;
	rec->remote_port = 50000;
	rec->old_state = from;
	rec->new_state = to;
	rec->sk_err = error;
	put_addresses(rec->addresses);
	assert_int_equal(pipeline_feed(&run->pipeline, rec, REC_SIZE_V4(rec_state), RING_KERNEL),
			 0);
}

static void wait_ns(struct run *run, uint64_t ns)
{
	for (uint64_t end = run->now_ns + ns; run->now_ns < end;) {
		run->now_ns += STEP_NS;
		pipeline_tick(&run->pipeline, run->now_ns);
	}
}

/* A server's connection opens, and the kernel gives it up without a word on the wire. */
static void silent_close(struct run *run)
{
	segment(run, false, TCPF_SYN, 100, 0, KS_LISTEN);
	segment(run, true, TCPF_SYN | TCPF_ACK, 500, 101, KS_NEW_SYN_RECV);
	segment(run, false, TCPF_ACK, 101, 501, KS_NEW_SYN_RECV);
	change(run, KS_SYN_RECV, KS_ESTABLISHED, 0);
	wait_ns(run, NS_PER_SEC);
	change(run, KS_ESTABLISHED, KS_CLOSE, ETIMEDOUT);
	wait_ns(run, NS_PER_SEC);
}

static char *slurp(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 65536);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, file) < 65535);
	fclose(file);
	return text;
}

/* What `tcpwitness replay --events.connections FILE` prints, and its exit code. */
static char *replay(const char *log_path, int *ret_code)
{
	char path[] = "/tmp/tcpwitness-replayed-XXXXXX", *text;
	char name[] = "replay", flag[] = "--events.connections", operand[128];
	char *argv[] = { name, flag, operand, NULL };
	int out = mkstemp(path), real;

	assert_true(out >= 0);
	snprintf(operand, sizeof(operand), "%s", log_path);
	fflush(stdout);
	real = dup(STDOUT_FILENO);
	dup2(out, STDOUT_FILENO);
	*ret_code = cli_replay(3, argv);
	fflush(stdout);
	dup2(real, STDOUT_FILENO);
	close(real);
	close(out);
	text = slurp(path);
	unlink(path);
	return text;
}

static void test_prints_what_the_run_wrote(void **state)
{
	char *written, *first, *second;
	struct run run;
	int code;

	(void)state;
	start(&run, true);
	silent_close(&run);
	finish(&run);
	assert_true(run.looks > 0);
	written = slurp(run.events_path);
	assert_non_null(strstr(written, "\"event\":\"divergence_open\""));
	assert_non_null(strstr(written, "\"kind\":\"silent_close\""));
	assert_non_null(strstr(written, "\"event\":\"connection\""));

	first = replay(run.log_path, &code);
	assert_int_equal(code, CLI_OK);
	assert_string_equal(first, written);
	second = replay(run.log_path, &code);
	assert_int_equal(code, CLI_OK);
	assert_string_equal(second, written);
	free(written);
	free(first);
	free(second);
	clean(&run);
}

/* A look that failed then fails again: the log has no answer, and replay invents none. */
static void test_a_failed_look_fails_again(void **state)
{
	char *written, *printed;
	struct run run;
	int code;

	(void)state;
	start(&run, false);
	silent_close(&run);
	finish(&run);
	assert_true(run.looks > 0);
	written = slurp(run.events_path);
	printed = replay(run.log_path, &code);
	assert_int_equal(code, CLI_OK);
	assert_string_equal(printed, written);
	free(written);
	free(printed);
	clean(&run);
}

static void test_a_cut_log_is_an_error(void **state)
{
	char *whole, *printed;
	struct run run;
	int code, fd;
	off_t size;

	(void)state;
	start(&run, true);
	silent_close(&run);
	finish(&run);
	whole = slurp(run.events_path);
	fd = open(run.log_path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, size - 3), 0);
	close(fd);
	printed = replay(run.log_path, &code);
	assert_int_equal(code, CLI_FAILED);
	/* only the last tick is gone, which changed nothing */
	assert_string_equal(printed, whole);
	free(whole);
	free(printed);
	clean(&run);
}

static void test_bad_arguments(void **state)
{
	char name[] = "replay", bad[] = "--settle=soon", file[] = "/dev/null";
	char *none[] = { name, NULL }, *wrong[] = { name, bad, file, NULL };
	char *not_a_log[] = { name, file, NULL };

	(void)state;
	assert_int_equal(cli_replay(1, none), CLI_USAGE);
	assert_int_equal(cli_replay(3, wrong), CLI_USAGE);
	assert_int_equal(cli_replay(2, not_a_log), CLI_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prints_what_the_run_wrote),
		cmocka_unit_test(test_a_failed_look_fails_again),
		cmocka_unit_test(test_a_cut_log_is_an_error),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
