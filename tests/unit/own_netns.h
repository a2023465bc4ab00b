/* SPDX-License-Identifier: GPL-2.0-only */
/* A network namespace for each test, with the veth pair cap-a, cap-b; it vanishes with the next one. */
#ifndef TCPWITNESS_TESTS_OWN_NETNS_H
#define TCPWITNESS_TESTS_OWN_NETNS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

static inline void shell(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static inline bool shell_says(const char *command)
{
	return system(command) == 0;
}

static inline int enter_netns(void)
{
	if (unshare(CLONE_NEWNET))
		return -1;
	return system("ip link set lo up && ip link add cap-a type veth peer name cap-b");
}

#endif
