/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: when a SYN flood is suspected
 *
 * Once a second, for each listening address, over the last eight seconds. SYNs count if somebody
 * could have answered them: those of at least three seconds ago, so that a slow or lossy path has
 * had its time, less those that were dropped because accept() is slow, filtered before TCP, or left
 * without SYN-ACK for another reason. Answers count if they prove that the source exists: an ACK
 * that completes a handshake, whether or not there was room for it or TCP_DEFER_ACCEPT put it off,
 * and a RST for the request, as scanners and clients that gave up send.
 *
 *	begins	when all three hold:
 *		- at least 50 such SYNs a second,
 *		- fewer than a fifth of them answered,
 *		- and it hurts: SYNs are dropped for want of room in the SYN queue, SYN cookies are
 *		  sent, or most SYNs found the queue more than half full
 *	stays	while at least 25 a second come and fewer than two fifths are answered
 *	ends	when that has not been so for ten seconds
 *
 * So a flash crowd is none (it answers), nor an application that does not accept, nor clients that
 * complete and then crawl, nor a scan: it fills no queue, or resets what it opened. Where cookies are
 * sent to everybody (tcp_syncookies 2) they hurt nobody; there the third condition is left out, and
 * RSTs to the listener are answers too, as no request is there to meet them.
 *
 * How many sources there are is no condition: one that does not answer is as bad as thousands; but
 * it is told, for it says what to do. Pure: time is given.
 */
#ifndef TCPWITNESS_FLOOD_H
#define TCPWITNESS_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

#define FLOOD_WINDOW_SECONDS 8
#define FLOOD_LAG_SECONDS 3
#define FLOOD_RATE 50 /* SYNs a second */
#define FLOOD_RATE_STAYS 25
#define FLOOD_ANSWERED 20 /* per cent */
#define FLOOD_ANSWERED_STAYS 40
#define FLOOD_CALM_SECONDS 10

/* What a listener has counted of it, ever. */
struct flood_totals {
	uint64_t ts_ns;
	uint64_t syns, excused; /* excused: those that nobody could have answered */
	uint64_t answers, listener_resets;
	uint64_t cookies, cookies_wanted, dropped;
	uint64_t crowded, beyond; /* SYNs that found the queue over half full; beyond its limit */
};

/* The rule's view of the last window. */
struct flood_facts {
	uint32_t rate;	   /* SYNs a second that could have been answered */
	uint32_t answered; /* per cent of them */
	bool hurts;
};

/* One listening address. All zero at first. */
struct flood_watch {
	struct flood_totals totals[FLOOD_WINDOW_SECONDS + 2]; /* a ring, one a second */
	uint32_t count;					      /* ever */
	struct flood_facts facts;
	bool suspected;
	uint64_t since_ns; /* with `suspected`: when it began */
	uint64_t quiet_ns; /* since when it would not stay; 0 = it would */
};

/* Adds what one member of the address counted, as it is told (outcome.h). */
void flood_add(struct flood_totals *totals, const struct listener_counters *counters);

/* The sum over all members, at totals->ts_ns, about a second after the last. True: ->suspected has
 * changed. */
bool flood_judge(struct flood_watch *watch, const struct flood_totals *totals);

#endif
