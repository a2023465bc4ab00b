/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metrics of the sampling (include/sampling.h): by site, those that were ever sampled and all
 * watched interfaces, the rest added up under "other". A site's port or interface is a label, and
 * the other one empty.
 */
#include <stdio.h>
#include <string.h>

#include "export/collectors.h"

static const char *const kind_labels[] = {
#define X(name, label) label,
	SAMPLING_KINDS(X)
#undef X
};

struct site_labels {
	const char *netns, *port, *interface;
	char netns_room[12], number[12]; /* a port's, or that of an interface without a name */
};

/* An interface that is gone has its number. */
static const char *interface_name(const struct exposition *e, const struct sampling_site *site)
{
	const struct capture_stats *capture = &e->view->capture;

	for (uint32_t i = 0; i < capture->nr_interfaces; i++)
		if (capture->interfaces[i].netns == site->netns &&
		    capture->interfaces[i].ifindex == site->ifindex)
			return capture->interfaces[i].interface;
	return NULL;
}

static void name_site(const struct exposition *e, const struct sampling_site *site,
		      struct site_labels *ret)
{
	*ret = (struct site_labels){ .port = "", .interface = "" };
	ret->netns = view_netns(e->view, site->netns, ret->netns_room);
	snprintf(ret->number, sizeof(ret->number), "%u", site->ifindex ?: site->port);
	if (!site->ifindex) {
		ret->port = ret->number;
		return;
	}
	ret->interface = interface_name(e, site);
	if (!ret->interface)
		ret->interface = ret->number;
}

static bool has_row(const struct sampling_stats *sampling, const struct interface_row *interface)
{
	for (uint32_t i = 0; i < sampling->nr_rows; i++)
		if (sampling->rows[i].site.netns == interface->netns &&
		    sampling->rows[i].site.ifindex == interface->ifindex)
			return true;
	return false;
}

static void each_site(struct exposition *e,
		      void (*each)(struct exposition *e, const struct site_labels *site,
				   const struct sampling_row *row))
{
	const struct capture_stats *capture = &e->view->capture;
	const struct sampling_row untouched = { 0 };
	struct site_labels labels;

	for (uint32_t i = 0; i < capture->sampling.nr_rows; i++) {
		name_site(e, &capture->sampling.rows[i].site, &labels);
		each(e, &labels, &capture->sampling.rows[i]);
	}
	for (uint32_t i = 0; i < capture->nr_interfaces; i++) {
		const struct interface_row *row = &capture->interfaces[i];
		const struct sampling_site site = { .netns = row->netns, .ifindex = row->ifindex };

		/* it has a row for each direction */
		if (strcmp(row->hook, "ingress") || has_row(&capture->sampling, row))
			continue;
		name_site(e, &site, &labels);
		each(e, &labels, &untouched);
	}
	labels = (struct site_labels){ .netns = "", .port = "other", .interface = "" };
	each(e, &labels, &capture->sampling.other);
}

static void shift(struct exposition *e, const struct site_labels *site,
		  const struct sampling_row *row)
{
	sample3(e, site->netns, site->port, site->interface, row->shift);
}

void collect_sampling_shifts(struct exposition *e)
{
	each_site(e, shift);
}

void collect_sampling_active(struct exposition *e)
{
	expose_sample(e, NULL, e->view->capture.sampling.active);
}

void collect_sampling_changes(struct exposition *e)
{
	sample1(e, "raise", e->view->tracker.sampling_raised);
	sample1(e, "lower", e->view->tracker.sampling_lowered);
}

static void suppressed(struct exposition *e, const struct site_labels *site,
		       const struct sampling_row *row)
{
	for (int kind = 0; kind < SAMPLING_KIND_NR; kind++)
		expose_sample(e,
			      (const char *const[]){ site->netns, site->port, site->interface,
						     kind_labels[kind] },
			      row->counters.suppressed[kind]);
}

void collect_sampling_suppressed(struct exposition *e)
{
	each_site(e, suppressed);
}

void collect_sampling_handshakes(struct exposition *e)
{
	expose_sample(e, NULL, sampling_born(&e->view->capture.sampling));
}
