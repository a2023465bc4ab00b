/* SPDX-License-Identifier: GPL-2.0-only */
/* The reader of trace scripts: text to struct script. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcp_defs.h"
#include "unit/script.h"

#define BLANKS " \t\r"

/* One script being read: where, into what. */
struct reading {
	struct script_source *source;
	struct script *script;
};

static bool complain(const struct reading *reading, const char *text)
{
	snprintf(reading->source->error, SCRIPT_ERROR_MAX, "%s:%d: %s: %.200s",
		 reading->source->path, reading->source->number, reading->script->title, text);
	return false;
}

static bool read_state(const struct reading *reading, const char *name, enum fsm_state *ret)
{
	int state;

	for (state = 0; state < FSM_NR_STATES; state++) {
		if (name && strcmp(name, fsm_state_name(state)) == 0) {
			*ret = state;
			return true;
		}
	}
	return complain(reading, name ? name : "a state is missing");
}

/* The digits of a 32-bit number, with a sign or without; *end is what follows them. */
static uint32_t number_of(const char *word, char **end)
{
	return (uint32_t)strtoll(word, end, 0);
}

static bool read_number(const struct reading *reading, char **rest, uint32_t *ret)
{
	char *word = strtok_r(NULL, BLANKS, rest), *end;

	if (!word)
		return complain(reading, "a number is missing");
	*ret = number_of(word, &end);
	return *end && *end != ':' ? complain(reading, word) : true;
}

static bool read_flags(const struct reading *reading, const char *word, uint8_t *ret)
{
	static const char letters[] = "FSRP.U";

	for (; word && *word; word++) {
		const char *letter = strchr(letters, *word);

		if (*word == '-')
			continue;
		if (!letter)
			return complain(reading, word);
		*ret |= 1 << (letter - letters);
	}
	return true;
}

static bool read_option(const struct reading *reading, struct tcp_segment *seg, const char *word,
			uint32_t value)
{
	if (strcmp(word, "ack") == 0) {
		seg->ack = value;
	} else if (strcmp(word, "win") == 0) {
		seg->window = (uint16_t)value;
	} else if (strcmp(word, "wscale") == 0) {
		seg->options |= TCPO_WSCALE;
		seg->wscale = (uint8_t)value;
	} else if (strcmp(word, "ts") == 0) {
		seg->options |= TCPO_TIMESTAMP;
		seg->tsval = value;
	} else {
		return complain(reading, word);
	}
	return true;
}

static bool read_segment(const struct reading *reading, struct tcp_segment *seg, char **rest)
{
	char *word, *end;
	uint32_t value;

	if (!read_flags(reading, strtok_r(NULL, BLANKS, rest), &seg->flags))
		return false;
	seg->window = 1000;
	word = strtok_r(NULL, BLANKS, rest);
	if (!word)
		return complain(reading, "SEQ:END is missing");
	seg->seq = number_of(word, &end);
	if (*end != ':')
		return complain(reading, word);
	seg->len = number_of(end + 1, &end) - seg->seq;
	if (*end)
		return complain(reading, word);
	while ((word = strtok_r(NULL, BLANKS, rest))) {
		if (!read_number(reading, rest, &value) || !read_option(reading, seg, word, value))
			return false;
	}
	return true;
}

static bool read_facts(const struct reading *reading, char **rest, struct endpoint_facts *ret)
{
	uint32_t value;
	char *word;

	while ((word = strtok_r(NULL, BLANKS, rest))) {
		if (!read_number(reading, rest, &value))
			return false;
		if (strcmp(word, "una") == 0) {
			ret->known |= KNOWN_SND_UNA;
			ret->snd_una = value;
		} else if (strcmp(word, "nxt") == 0) {
			ret->known |= KNOWN_SND_NXT;
			ret->snd_nxt = value;
		} else if (strcmp(word, "rcv") == 0) {
			ret->known |= KNOWN_RCV_NXT;
			ret->rcv_nxt = value;
		} else {
			return complain(reading, word);
		}
	}
	return true;
}

/* "LOCAL [| REMOTE] [; words [/ words]]" */
static bool read_expected(const struct reading *reading, struct script_line *line, char *text)
{
	char *semicolon = strchr(text, ';'), *slash, *rest, *remote;

	if (semicolon) {
		*semicolon = '\0';
		slash = strchr(semicolon + 1, '/');
		if (slash)
			*slash = '\0';
		snprintf(line->words[0], SCRIPT_WORDS_MAX, " %.300s ", semicolon + 1);
		snprintf(line->words[1], SCRIPT_WORDS_MAX, " %.300s ", slash ? slash + 1 : "");
	}
	if (!read_state(reading, strtok_r(text, BLANKS "|", &rest), &line->local))
		return false;
	remote = strtok_r(NULL, BLANKS "|", &rest);
	line->remote_told = remote;
	return !remote || read_state(reading, remote, &line->remote);
}

static bool read_head(const struct reading *reading, const char *verb, char **rest)
{
	struct script *script = reading->script;
	const char *word;

	if (strcmp(verb, "live") == 0) {
		script->live = true;
		return true;
	}
	if (strcmp(verb, "adopt") == 0) {
		script->adopted = true;
		return read_state(reading, strtok_r(NULL, BLANKS, rest), &script->local) &&
		       read_facts(reading, rest, &script->facts);
	}
	if (strcmp(verb, "open") != 0)
		return complain(reading, verb);
	word = strtok_r(NULL, BLANKS, rest);
	if (!word)
		return complain(reading, "open how?");
	script->local = strcmp(word, "passive") == 0 ? FSM_LISTEN : FSM_CLOSED;
	script->remote = strcmp(word, "active") == 0 ? FSM_LISTEN : FSM_CLOSED;
	return true;
}

static bool read_line(const struct reading *reading, char *text)
{
	struct script *script = reading->script;
	struct script_line *line = &script->lines[script->count];
	char *arrow = strstr(text, "=>"), *rest = NULL, *verb;

	memset(line, 0, sizeof(*line));
	line->number = reading->source->number;
	if (arrow) {
		line->settled = arrow > text && arrow[-1] == '=';
		arrow[line->settled ? -1 : 0] = '\0';
		if (!read_expected(reading, line, arrow + 2))
			return false;
	}
	verb = strtok_r(text, BLANKS, &rest);
	if (!verb)
		return complain(reading, "what happens?");
	line->tried = verb[0] == '?';
	verb += line->tried;
	if (strcmp(verb, ">") == 0 || strcmp(verb, "<") == 0) {
		line->verb = *verb == '>' ? VERB_SENT : VERB_RECEIVED;
		if (!read_segment(reading, &line->seg, &rest))
			return false;
	} else if (strcmp(verb, "learn") == 0) {
		line->verb = VERB_LEARN;
		if (!read_facts(reading, &rest, &line->facts))
			return false;
	} else if (strcmp(verb, "expire") == 0) {
		line->verb = VERB_EXPIRE;
	} else {
		return read_head(reading, verb, &rest);
	}
	if (!arrow)
		return complain(reading, "what is to be expected?");
	return ++script->count < SCRIPT_LINES_MAX || complain(reading, "too many lines");
}

void script_source_init(struct script_source *source, const char *path, const char *text,
			size_t size)
{
	memset(source, 0, sizeof(*source));
	source->path = path;
	source->text = text;
	source->size = size;
}

/* The next line without its comment; false at the end of the text. */
static bool next_line(struct script_source *source, char line[512])
{
	const char *text = source->text + source->at, *end;
	size_t left = source->size - source->at, length, kept;

	if (left == 0)
		return false;
	end = memchr(text, '\n', left);
	length = end ? (size_t)(end - text) : left;
	kept = length < 511 ? length : 511;
	memcpy(line, text, kept);
	line[kept] = '\0';
	line[strcspn(line, "#")] = '\0';
	source->at += length < left ? length + 1 : left;
	source->number++;
	return true;
}

int script_read(struct script_source *source, struct script *ret)
{
	struct reading reading = { source, ret };
	char line[512];

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->title, source->next_title, sizeof(ret->title));
	while (next_line(source, line)) {
		if (strncmp(line, "--- ", 4) == 0) {
			snprintf(source->next_title, sizeof(source->next_title), "%.100s",
				 line + 4);
			if (ret->count)
				return 1;
			memset(ret, 0, sizeof(*ret));
			memcpy(ret->title, source->next_title, sizeof(ret->title));
		} else if (line[strspn(line, BLANKS)] && !read_line(&reading, line)) {
			return -EINVAL;
		}
	}
	return ret->count ? 1 : 0;
}
