/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file of raw records, in the order the tracker took them: everything it ever learns from
 * outside is a record, so replaying the file gives the same answers bit for bit. The file is a
 * fixed header, then records, each as { u32 size, u32 ring } and its bytes, padded to 8.
 */
#ifndef TCPWITNESS_RECORDLOG_H
#define TCPWITNESS_RECORDLOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "capture/kernel_facts.h"

#define RECORDLOG_RECORD_MAX 512 /* bytes of one record; the largest type has 128 */

/* What a replay must know of the machine that recorded. */
struct recordlog_info {
	uint32_t netns;		     /* inode number of the watched namespace */
	int64_t realtime_offset_ns;  /* CLOCK_REALTIME - CLOCK_MONOTONIC at the start */
	struct drop_reasons reasons; /* of the kernel that recorded */
};

struct recordlog_writer;
struct recordlog_reader;

/* Creates or truncates `path`. 0 or -errno. */
int recordlog_create(const char *path, const struct recordlog_info *info,
		     struct recordlog_writer **ret_writer);
/* `size` <= RECORDLOG_RECORD_MAX. 0 or -errno; the first failure sticks. */
int recordlog_write(struct recordlog_writer *writer, const void *bytes, size_t size, uint32_t ring);
/* What was written so far can be read from the file. 0 or the first -errno. */
int recordlog_flush(struct recordlog_writer *writer);
/* Writes out what is buffered and closes, also after a failure. 0 or the first -errno. */
int recordlog_close(struct recordlog_writer *writer);

/*
 * 0, or -errno after one logged line: -EBADMSG not a record log, or cut off in its header;
 * -EPROTONOSUPPORT another version; -ENOEXEC written by a machine of the other byte order.
 */
int recordlog_open(const char *path, struct recordlog_reader **ret_reader);
/* The same from where `file` stands, a pipe too; the reader owns it, failure included. `name` is
 * for messages. */
int recordlog_open_stream(FILE *file, const char *name, struct recordlog_reader **ret_reader);
/* No capture format begins with this byte. */
#define RECORDLOG_FIRST_BYTE 't'
const struct recordlog_info *recordlog_info(const struct recordlog_reader *reader);
/* 1 and the record, 8-byte aligned, valid until the next call; 0 at the end; -EBADMSG, after one
 * logged line, where the file is cut off or damaged. */
int recordlog_next(struct recordlog_reader *reader, const void **ret_bytes, size_t *ret_size,
		   uint32_t *ret_ring);
void recordlog_free(struct recordlog_reader *reader);

#endif
