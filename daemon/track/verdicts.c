/* SPDX-License-Identifier: GPL-2.0-only */
/* Labels of the comparison's vocabulary, from the lists in verdicts.h and kinds.h. */
#include "track/verdicts.h"

static const struct {
	const char *label, *text, *look_at;
	enum divergence_class class;
	enum divergence_severity severity;
} divergences[] = {
#define X(name, label, class, severity, text, look_at)                                             \
	[DIVERGENCE_##name] = { label, text, look_at, CLASS_##class, SEVERITY_##severity },
	DIVERGENCE_KINDS(X)
#undef X
};

static const char *const classes[] = {
#define X(name, label) [CLASS_##name] = label,
	DIVERGENCE_CLASSES(X)
#undef X
};

static const char *const severities[] = {
#define X(name, label) [SEVERITY_##name] = label,
	DIVERGENCE_SEVERITIES(X)
#undef X
};

static const struct {
	const char *label, *text;
} unobservables[] = {
#define X(name, label, text) [UNOBSERVABLE_##name] = { label, text },
	UNOBSERVABLE_REASONS(X)
#undef X
};

static const struct {
	const char *label, *text;
} transients[] = {
#define X(name, label, text) [TRANSIENT_##name] = { label, text },
	TRANSIENTS(X)
#undef X
};

static const struct {
	const char *label, *text, *look_at;
} conditions[] = {
#define X(name, label, text, look_at) [CONDITION_##name] = { label, text, look_at },
	CONDITIONS(X)
#undef X
};

static const char *const close_causes[] = {
#define X(name, label) [CLOSED_BY_##name] = label,
	CLOSE_CAUSES(X)
#undef X
};

static const char *const corrections[] = {
#define X(name, label) [CORRECTION_##name] = label,
	SWEEP_CORRECTIONS(X)
#undef X
};

static const char *const roles[] = {
#define X(name, label) [ROLE_##name] = label,
	CONNECTION_ROLES(X)
#undef X
};

static const char *const ends[] = {
#define X(name, label) [END_##name] = label,
	CONNECTION_ENDS(X)
#undef X
};

static const char *const seen_kinds[] = {
#define X(name, label) [SEEN_##name] = label,
	SEEN_KINDS(X)
#undef X
};

static const char *const connect_failures[] = {
#define X(name, label) [CONNECT_##name] = label,
	CONNECT_FAILURES(X)
#undef X
};

static const char *const views[] = { [VIEW_WIRE] = "wire", [VIEW_KERNEL] = "kernel" };

const char *divergence_label(enum divergence_kind kind)
{
	return divergences[kind].label;
}

enum divergence_class divergence_class(enum divergence_kind kind)
{
	return divergences[kind].class;
}

enum divergence_severity divergence_severity(enum divergence_kind kind)
{
	return divergences[kind].severity;
}

const char *divergence_look_at(enum divergence_kind kind)
{
	return divergences[kind].look_at;
}

const char *divergence_severity_label(enum divergence_severity severity)
{
	return severities[severity];
}

const char *divergence_text(enum divergence_kind kind)
{
	return divergences[kind].text;
}

const char *divergence_class_label(enum divergence_class class)
{
	return classes[class];
}

const char *unobservable_label(enum unobservable_reason reason)
{
	return unobservables[reason].label;
}

const char *unobservable_text(enum unobservable_reason reason)
{
	return unobservables[reason].text;
}

const char *transient_label(enum transient transient)
{
	return transients[transient].label;
}

const char *transient_text(enum transient transient)
{
	return transients[transient].text;
}

const char *condition_label(enum condition condition)
{
	return conditions[condition].label;
}

const char *condition_text(enum condition condition)
{
	return conditions[condition].text;
}

const char *condition_look_at(enum condition condition)
{
	return conditions[condition].look_at;
}

const char *close_cause_label(enum close_cause cause)
{
	return close_causes[cause];
}

const char *role_label(enum connection_role role)
{
	return roles[role];
}

const char *end_label(enum connection_end end)
{
	return ends[end];
}

const char *seen_label(enum seen_kind kind)
{
	return seen_kinds[kind];
}

const char *connect_failure_label(enum connect_failure failure)
{
	return connect_failures[failure];
}

const char *sweep_correction_label(enum sweep_correction correction)
{
	return corrections[correction];
}

const char *view_label(enum connection_view view)
{
	return views[view];
}
