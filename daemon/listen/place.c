/* SPDX-License-Identifier: GPL-2.0-only */
/* What the path of a control group says: see place.h. */
#include "listen/place.h"

#include <ctype.h>
#include <string.h>
#include <sys/param.h>

#include "util.h"

#define PATH_BYTES_MAX 4096

const char *container_runtime_label(enum container_runtime runtime)
{
	static const char *const labels[] = {
#define X(name, label) label,
		CONTAINER_RUNTIMES(X)
#undef X
	};

	return labels[runtime];
}

/* A part of the path, not terminated. */
struct part {
	const char *text;
	size_t length;
};

static bool ends_in(struct part part, const char *tail)
{
	size_t length = strlen(tail);

	return part.length > length && !memcmp(part.text + part.length - length, tail, length);
}

static bool is(struct part part, const char *text)
{
	return part.length == strlen(text) && !memcmp(part.text, text, part.length);
}

static bool is_id(struct part part)
{
	for (size_t i = 0; i < part.length; i++)
		if (!isxdigit((unsigned char)part.text[i]))
			return false;
	return part.length == CONTAINER_ID_DIGITS;
}

/* The last part of several, which `separator` divides; *ret_before: what comes before it. */
static struct part last_of(struct part part, char separator, struct part *ret_before)
{
	const char *at = memrchr(part.text, separator, part.length);

	*ret_before = (struct part){ part.text, at ? (size_t)(at - part.text) : 0 };
	if (!at)
		return part;
	return (struct part){ at + 1, part.length - (size_t)(at + 1 - part.text) };
}

/* Who calls its groups so. RUNTIME_NONE: what is beside containers. */
static enum container_runtime runtime_of(struct part prefix)
{
	static const struct {
		const char *prefix;
		enum container_runtime runtime;
	} known[] = {
		{ "docker", RUNTIME_DOCKER },
		{ "libpod", RUNTIME_PODMAN },
		{ "cri-containerd", RUNTIME_CONTAINERD },
		{ "nerdctl", RUNTIME_CONTAINERD },
		{ "crio", RUNTIME_CRIO },
		{ "libpod-conmon", RUNTIME_NONE },
		{ "crio-conmon", RUNTIME_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (is(prefix, known[i].prefix))
			return known[i].runtime;
	return RUNTIME_OTHER;
}

/* Is this the group of a container? */
static bool take_container(struct part name, struct part parent, struct place *place)
{
	enum container_runtime runtime;
	struct part prefix, id;

	if (ends_in(name, ".scope"))
		name.length -= strlen(".scope");
	id = last_of(name, memchr(name.text, ':', name.length) ? ':' : '-', &prefix);
	if (memchr(prefix.text, ':', prefix.length))
		prefix = last_of(prefix, ':', &(struct part){ 0 });
	if (!is_id(id))
		return false;
	if (prefix.length)
		runtime = runtime_of(prefix);
	else if (is(parent, "docker"))
		runtime = RUNTIME_DOCKER;
	else
		runtime = place->pod[0] ? RUNTIME_KUBERNETES : RUNTIME_OTHER;
	if (runtime == RUNTIME_NONE)
		return false;
	place->runtime = runtime;
	memcpy(place->container, id.text, CONTAINER_ID_DIGITS);
	place->container[CONTAINER_ID_DIGITS] = '\0';
	return true;
}

static bool is_uid(const char *text)
{
	for (size_t i = 0; i < POD_UID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		/* systemd's slices cannot have a dash within a name */
		if (dash ? text[i] != '-' && text[i] != '_' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* "kubepods-burstable-pod1234….slice", "pod1234…" */
static void take_pod(struct part name, struct place *place)
{
	static const char mark[] = "pod";
	const size_t before = strlen(mark);

	for (size_t i = 0; i + before + POD_UID_CHARS <= name.length; i++) {
		const char *uid = name.text + i + before;

		if (memcmp(name.text + i, mark, before) || !is_uid(uid))
			continue;
		for (size_t c = 0; c < POD_UID_CHARS; c++)
			place->pod[c] = uid[c] == '_' ? '-' : uid[c];
		place->pod[POD_UID_CHARS] = '\0';
		return;
	}
}

/* The innermost service or scope; a slice, where there is nothing but slices. */
static void take_unit(struct part name, struct place *place)
{
	bool slice = ends_in(name, ".slice");
	bool has = place->unit[0] &&
		   !ends_in((struct part){ place->unit, strlen(place->unit) }, ".slice");

	if (!slice && !ends_in(name, ".service") && !ends_in(name, ".scope") &&
	    !ends_in(name, ".socket") && !ends_in(name, ".mount") && !ends_in(name, ".swap"))
		return;
	if (slice && has)
		return;
	name.length = MIN(name.length, PLACE_UNIT_MAX - 1);
	memcpy(place->unit, name.text, name.length);
	place->unit[name.length] = '\0';
}

void place_of_path(const char *path, struct place *ret)
{
	struct part parent = { "", 0 };

	*ret = (struct place){ .known = true };
	while (*path) {
		struct part name = { path, strcspn(path, "/") };

		take_pod(name, ret);
		if (!take_container(name, parent, ret)) /* whose scope says no more than its id */
			take_unit(name, ret);
		if (name.length)
			parent = name;
		path += name.length;
		path += *path == '/';
	}
}

bool place_of_text(const char *text, struct place *ret)
{
	char path[PATH_BYTES_MAX];
	struct part best = { NULL, 0 };
	int best_rank = 0;

	while (*text) {
		struct part line = { text, strcspn(text, "\n") };
		const char *names = memchr(line.text, ':', line.length), *at = NULL;
		int rank = 1;

		if (names)
			at = memchr(names + 1, ':', line.length - (size_t)(names + 1 - line.text));
		text += line.length;
		text += *text == '\n';
		if (!at)
			continue;
		if (at == names + 1 && line.text[0] == '0')
			rank = 3;
		else if (is((struct part){ names + 1, (size_t)(at - names - 1) }, "name=systemd"))
			rank = 2;
		line = (struct part){ at + 1, line.length - (size_t)(at + 1 - line.text) };
		/* Under a hybrid layout the unified hierarchy may hold all processes in its root. */
		if (line.length <= 1)
			rank = 0;
		if (!best.text || rank > best_rank ||
		    (rank == best_rank && line.length > best.length)) {
			best = line;
			best_rank = rank;
		}
	}
	if (!best.text)
		return false;
	best.length = MIN(best.length, sizeof(path) - 1);
	memcpy(path, best.text, best.length);
	path[best.length] = '\0';
	place_of_path(path, ret);
	return true;
}
