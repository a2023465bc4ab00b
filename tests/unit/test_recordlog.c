/* SPDX-License-Identifier: GPL-2.0-only */
/* Record logs: what is written is read; what is cut, damaged or foreign is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/recordlog.h"
#include "record.h"
#include "util.h"

#define RECORDS 3
#define HEADER_BYTES (32 + sizeof(struct drop_reasons))

static const size_t sizes[RECORDS] = { 16, 29, 128 };
static const uint32_t rings[RECORDS] = { RING_SEGMENT, RING_KERNEL, RING_NR };
static char path[] = "/tmp/recordlog-XXXXXX";

static void fill(uint8_t *bytes, size_t size, int seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(seed * 31 + (int)i);
}

static int file_make(void **state)
{
	struct recordlog_info *info = calloc(1, sizeof(*info));
	struct recordlog_writer *writer;
	uint8_t bytes[RECORDLOG_RECORD_MAX];
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || !info)
		return -1;
	close(fd);
	info->netns = 4026531840u;
	info->realtime_offset_ns = 1700000000123456789;
	strcpy(info->reasons.names[2], "NOT_SPECIFIED");
	if (recordlog_create(path, info, &writer))
		return -1;
	for (int i = 0; i < RECORDS; i++) {
		fill(bytes, sizes[i], i);
		if (recordlog_write(writer, bytes, sizes[i], rings[i]))
			return -1;
	}
	free(info);
	return recordlog_close(writer);
}

static int file_remove(void **state)
{
	(void)state;
	return unlink(path);
}

/* Overwrites bytes of the file. */
static void bend(long at, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "r+");

	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void assert_open_fails(int err)
{
	struct recordlog_reader *reader = (void *)path;

	assert_int_equal(recordlog_open(path, &reader), err);
	assert_ptr_equal(reader, path); /* untouched */
}

static void test_round_trip(void **state)
{
	struct recordlog_reader *reader;
	const void *bytes;
	size_t size;
	uint32_t ring;

	(void)state;
	assert_int_equal(recordlog_open(path, &reader), 0);
	assert_int_equal(recordlog_info(reader)->netns, 4026531840u);
	assert_int_equal(recordlog_info(reader)->realtime_offset_ns, 1700000000123456789);
	assert_string_equal(drop_reason_name(&recordlog_info(reader)->reasons, 2), "NOT_SPECIFIED");
	assert_null(drop_reason_name(&recordlog_info(reader)->reasons, 3));
	assert_null(drop_reason_name(&recordlog_info(reader)->reasons, UINT32_MAX));
	for (int i = 0; i < RECORDS; i++) {
		uint8_t expected[RECORDLOG_RECORD_MAX];

		fill(expected, sizes[i], i);
		assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 1);
		assert_int_equal(size, sizes[i]);
		assert_int_equal(ring, rings[i]);
		assert_int_equal((uintptr_t)bytes % 8, 0);
		assert_memory_equal(bytes, expected, size);
	}
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 0);
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 0);
	recordlog_free(reader);
}

/* Cut anywhere but between two records, it says so; what is before the cut is still read. */
static void test_truncated(void **state)
{
	static const long ends[] = { 0, 24, 24 + 40, 24 + 40 + 136 }; /* behind the header */

	(void)state;
	for (long length = ends[RECORDS]; length >= 0; length--) {
		struct recordlog_reader *reader;
		const void *bytes;
		size_t size;
		uint32_t ring;
		int whole = 0, verdict;

		assert_int_equal(truncate(path, (long)HEADER_BYTES + length), 0);
		assert_int_equal(recordlog_open(path, &reader), 0);
		for (int i = 0; i < RECORDS && ends[i + 1] <= length; i++, whole++)
			assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 1);
		verdict = recordlog_next(reader, &bytes, &size, &ring);
		assert_int_equal(verdict, length == ends[whole] ? 0 : -EBADMSG);
		recordlog_free(reader);
	}
}

static void test_truncated_header(void **state)
{
	static const long lengths[] = { 0, 7, 8, 31, 32, (long)HEADER_BYTES - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		assert_int_equal(truncate(path, lengths[i]), 0);
		assert_open_fails(-EBADMSG);
	}
}

static void test_damaged_length(void **state)
{
	const uint32_t huge = RECORDLOG_RECORD_MAX + 1;
	struct recordlog_reader *reader;
	const void *bytes;
	size_t size;
	uint32_t ring;

	(void)state;
	bend((long)HEADER_BYTES + 24, &huge, sizeof(huge));
	assert_int_equal(recordlog_open(path, &reader), 0);
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 1);
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), -EBADMSG);
	recordlog_free(reader);
}

/* One field of the header is replaced and then put back. */
static void test_foreign_headers(void **state)
{
	const uint32_t swapped = 0x04030201, order = 0x01020304, realtime = 0, monotonic = 1;
	const uint16_t future = 99, version = 1;
	char unended[DROP_REASON_NAME_MAX];

	(void)state;
	bend(8, &swapped, sizeof(swapped));
	assert_open_fails(-ENOEXEC);
	bend(8, &order, sizeof(order));
	bend(12, &future, sizeof(future));
	assert_open_fails(-EPROTONOSUPPORT);
	bend(12, &version, sizeof(version));
	bend(14, &future, sizeof(future));
	assert_open_fails(-EPROTONOSUPPORT);
	bend(14, &version, sizeof(version));
	bend(16, &realtime, sizeof(realtime));
	assert_open_fails(-EBADMSG);
	bend(16, &monotonic, sizeof(monotonic));
	memset(unended, 'x', sizeof(unended));
	bend(32, unended, sizeof(unended));
	assert_open_fails(-EBADMSG);
	bend(0, "tcpdump!", 8);
	assert_open_fails(-EBADMSG);
}

static void test_no_such_file(void **state)
{
	struct recordlog_reader *reader;
	struct recordlog_writer *writer;
	struct recordlog_info *info = calloc(1, sizeof(*info));

	(void)state;
	assert_non_null(info);
	assert_int_equal(recordlog_open("/nonexistent/log", &reader), -ENOENT);
	assert_int_equal(recordlog_create("/nonexistent/log", info, &writer), -ENOENT);
	free(info);
}

/* A reader that comes while the log is written finds what was flushed. */
static void test_flush(void **state)
{
	struct recordlog_info *info = calloc(1, sizeof(*info));
	_Alignas(8) uint8_t record[64] = { 1 };
	struct recordlog_reader *reader;
	struct recordlog_writer *writer;
	const void *bytes;
	uint32_t ring;
	size_t size;

	(void)state;
	assert_non_null(info);
	assert_int_equal(recordlog_create(path, info, &writer), 0);
	assert_int_equal(recordlog_write(writer, record, sizeof(record), 1), 0);
	assert_int_equal(recordlog_flush(writer), 0);
	assert_int_equal(recordlog_open(path, &reader), 0);
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 1);
	assert_int_equal(size, sizeof(record));
	assert_memory_equal(bytes, record, size);
	assert_int_equal(recordlog_next(reader, &bytes, &size, &ring), 0);
	recordlog_free(reader);
	assert_int_equal(recordlog_close(writer), 0);
	assert_int_equal(recordlog_create("/dev/full", info, &writer), 0);
	assert_int_equal(recordlog_flush(writer), -ENOSPC);
	assert_int_equal(recordlog_close(writer), -ENOSPC);
	free(info);
}

/* A full disk is told at the latest by recordlog_close, and a failure sticks. */
static void test_full_disk(void **state)
{
	struct recordlog_info *info = calloc(1, sizeof(*info));
	_Alignas(8) uint8_t bytes[64] = { 0 };
	struct recordlog_writer *writer;
	int err = 0;

	(void)state;
	assert_non_null(info);
	assert_int_equal(recordlog_create("/dev/full", info, &writer), 0);
	for (int i = 0; i < 1000 && !err; i++)
		err = recordlog_write(writer, bytes, sizeof(bytes), 0);
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(recordlog_write(writer, bytes, sizeof(bytes), 0), -ENOSPC);
	assert_int_equal(recordlog_close(writer), -ENOSPC);
	free(info);
}

static void test_oversized_is_refused(void **state)
{
	static const uint8_t bytes[RECORDLOG_RECORD_MAX + 1];
	struct recordlog_info *info = calloc(1, sizeof(*info));
	struct recordlog_writer *writer;

	(void)state;
	assert_non_null(info);
	assert_int_equal(recordlog_create("/dev/null", info, &writer), 0);
	assert_int_equal(recordlog_write(writer, bytes, sizeof(bytes), 0), -EMSGSIZE);
	assert_int_equal(recordlog_close(writer), 0);
	free(info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, file_make, file_remove),
		cmocka_unit_test_setup_teardown(test_truncated, file_make, file_remove),
		cmocka_unit_test_setup_teardown(test_truncated_header, file_make, file_remove),
		cmocka_unit_test_setup_teardown(test_damaged_length, file_make, file_remove),
		cmocka_unit_test_setup_teardown(test_foreign_headers, file_make, file_remove),
		cmocka_unit_test_setup_teardown(test_flush, file_make, file_remove),
		cmocka_unit_test(test_no_such_file),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_oversized_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
