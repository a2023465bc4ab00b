/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes and reads files of raw records. */
#include "capture/recordlog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "record.h"

#define FILE_VERSION 1
#define BYTE_ORDER_MARK 0x01020304u
#define BYTE_ORDER_SWAPPED 0x04030201u

static const char file_magic[8] = "tcpwlog\n"; /* RECORDLOG_FIRST_BYTE */

/* The head of the file, as it lies there, in the byte order of the machine that wrote it. */
struct file_header {
	char magic[8];
	uint32_t byte_order;
	uint16_t file_version, record_version;
	uint32_t clock; /* of the records' ts_ns: CLOCK_MONOTONIC */
	uint32_t netns;
	int64_t realtime_offset_ns;
	struct drop_reasons reasons;
};

_Static_assert(sizeof(struct file_header) == 32 + sizeof(struct drop_reasons), "layout");

struct file_record {
	uint32_t size, ring;
};

struct recordlog_writer {
	FILE *file;
	int err; /* the first failure */
};

struct recordlog_reader {
	FILE *file;
	char *path;
	uint64_t records; /* handed out */
	struct recordlog_info info;
	_Alignas(8) uint8_t bytes[RECORDLOG_RECORD_MAX];
};

static size_t padded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

static void put(struct recordlog_writer *writer, const void *bytes, size_t size)
{
	if (!writer->err && fwrite(bytes, 1, size, writer->file) != size)
		writer->err = -errno;
}

int recordlog_create(const char *path, const struct recordlog_info *info,
		     struct recordlog_writer **ret_writer)
{
	struct recordlog_writer *writer = calloc(1, sizeof(*writer));
	struct file_header header = {
		.byte_order = BYTE_ORDER_MARK,
		.file_version = FILE_VERSION,
		.record_version = RECORD_VERSION,
		.clock = CLOCK_MONOTONIC,
		.netns = info->netns,
		.realtime_offset_ns = info->realtime_offset_ns,
		.reasons = info->reasons,
	};
	int err;

	if (!writer)
		return -ENOMEM;
	writer->file = fopen(path, "we");
	if (!writer->file) {
		err = -errno;
		free(writer);
		return err;
	}
	memcpy(header.magic, file_magic, sizeof(file_magic));
	put(writer, &header, sizeof(header));
	*ret_writer = writer;
	return 0;
}

int recordlog_write(struct recordlog_writer *writer, const void *bytes, size_t size, uint32_t ring)
{
	static const uint8_t zeroes[8];
	const struct file_record head = { .size = (uint32_t)size, .ring = ring };

	if (size > RECORDLOG_RECORD_MAX)
		return -EMSGSIZE;
	put(writer, &head, sizeof(head));
	put(writer, bytes, size);
	put(writer, zeroes, padded(size) - size);
	return writer->err;
}

int recordlog_flush(struct recordlog_writer *writer)
{
	if (fflush(writer->file) && !writer->err)
		writer->err = -errno;
	return writer->err;
}

int recordlog_close(struct recordlog_writer *writer)
{
	int err;

	if (!writer)
		return 0;
	err = writer->err;
	if (fclose(writer->file) && !err)
		err = -errno;
	free(writer);
	return err;
}

static int header_check(const char *path, const struct file_header *header, size_t size)
{
	if (size < sizeof(header->magic) ||
	    memcmp(header->magic, file_magic, sizeof(header->magic))) {
		log_err("%s is not a tcpwitness record log", path);
		return -EBADMSG;
	}
	if (size < sizeof(*header)) {
		log_err("%s is cut off within its header", path);
		return -EBADMSG;
	}
	if (header->byte_order == BYTE_ORDER_SWAPPED) {
		log_err("%s was recorded on a machine of the other byte order", path);
		return -ENOEXEC;
	}
	if (header->byte_order != BYTE_ORDER_MARK || header->clock != CLOCK_MONOTONIC) {
		log_err("%s has a damaged header", path);
		return -EBADMSG;
	}
	if (header->file_version != FILE_VERSION || header->record_version != RECORD_VERSION) {
		log_err("%s has log version %u, record version %u; this tcpwitness reads %u and %u",
			path, header->file_version, header->record_version, FILE_VERSION,
			RECORD_VERSION);
		return -EPROTONOSUPPORT;
	}
	for (size_t i = 0; i < DROP_REASONS_MAX; i++)
		if (!memchr(header->reasons.names[i], '\0', DROP_REASON_NAME_MAX)) {
			log_err("%s has a damaged header", path);
			return -EBADMSG;
		}
	return 0;
}

static int header_read(struct recordlog_reader *reader)
{
	struct file_header header;
	size_t size = fread(&header, 1, sizeof(header), reader->file);
	int err;

	if (size < sizeof(header) && ferror(reader->file)) {
		err = errno ? -errno : -EIO;
		log_err("cannot read %s: %s", reader->path, strerror(-err));
		return err;
	}
	err = header_check(reader->path, &header, size);
	if (err)
		return err;
	reader->info.netns = header.netns;
	reader->info.realtime_offset_ns = header.realtime_offset_ns;
	reader->info.reasons = header.reasons;
	return 0;
}

int recordlog_open_stream(FILE *file, const char *name, struct recordlog_reader **ret_reader)
{
	struct recordlog_reader *reader = calloc(1, sizeof(*reader));
	int err = -ENOMEM;

	if (!reader) {
		fclose(file);
		return err;
	}
	reader->file = file;
	reader->path = strdup(name);
	if (!reader->path)
		goto fail;
	err = header_read(reader);
	if (err)
		goto fail;
	*ret_reader = reader;
	return 0;
fail:
	recordlog_free(reader);
	return err;
}

int recordlog_open(const char *path, struct recordlog_reader **ret_reader)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return log_err_ret(-errno, "cannot open %s", path);
	return recordlog_open_stream(file, path, ret_reader);
}

const struct recordlog_info *recordlog_info(const struct recordlog_reader *reader)
{
	return &reader->info;
}

int recordlog_next(struct recordlog_reader *reader, const void **ret_bytes, size_t *ret_size,
		   uint32_t *ret_ring)
{
	struct file_record head;
	size_t got = fread(&head, 1, sizeof(head), reader->file);

	if (got == 0 && feof(reader->file))
		return 0;
	if (got == sizeof(head) && head.size > RECORDLOG_RECORD_MAX) {
		log_err("%s is damaged after %llu records", reader->path,
			(unsigned long long)reader->records);
		return -EBADMSG;
	}
	if (got < sizeof(head) ||
	    fread(reader->bytes, 1, padded(head.size), reader->file) < padded(head.size)) {
		log_err("%s is cut off after %llu records", reader->path,
			(unsigned long long)reader->records);
		return -EBADMSG;
	}
	reader->records++;
	*ret_bytes = reader->bytes;
	*ret_size = head.size;
	*ret_ring = head.ring;
	return 1;
}

void recordlog_free(struct recordlog_reader *reader)
{
	if (!reader)
		return;
	if (reader->file)
		fclose(reader->file);
	free(reader->path);
	free(reader);
}
