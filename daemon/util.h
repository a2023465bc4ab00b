/* SPDX-License-Identifier: GPL-2.0-only */
/* Small things every file may need, and nothing else. */
#ifndef TCPWITNESS_UTIL_H
#define TCPWITNESS_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define NS_PER_SEC 1000000000ull
#define NS_PER_MS 1000000ull

/* By how much the one is greater; 0 if it is not. */
static inline uint64_t beyond(uint64_t much, uint64_t little)
{
	return much > little ? much - little : 0;
}

static inline uint64_t clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

#endif
