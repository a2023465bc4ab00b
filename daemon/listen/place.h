/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: where a process belongs
 *
 * A control group's path names what put the process there: a systemd unit (nginx.service), and,
 * where a container manager made the group, the container's id:
 *
 *	/system.slice/docker-ID.scope, /docker/ID			docker
 *	/machine.slice/libpod-ID.scope[/container]			podman
 *	/system.slice/nerdctl-ID.scope					containerd
 *	/kubepods.slice/…-podUID.slice/cri-containerd-ID.scope		containerd, pod UID
 *	/kubepods.slice/…-podUID.slice/crio-ID.scope			cri-o, pod UID
 *	/system.slice/containerd.service/…-podUID.slice:cri-containerd:ID	the same
 *	/kubepods/burstable/podUID/ID					kubernetes, pod UID
 *	any other group called by 64 hexadecimal digits			other
 *
 * The innermost container is the one. Monitors beside a container (conmon) are none. Pure.
 */
#ifndef TCPWITNESS_PLACE_H
#define TCPWITNESS_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#define PLACE_UNIT_MAX 96
#define CONTAINER_ID_DIGITS 64
#define POD_UID_CHARS 36
#define CONTAINER_SHORT_DIGITS 12 /* of its id, as container managers print it */

#define CONTAINER_RUNTIMES(X)                                                                      \
	X(NONE, "")                                                                                \
	X(DOCKER, "docker")                                                                        \
	X(PODMAN, "podman")                                                                        \
	X(CONTAINERD, "containerd")                                                                \
	X(CRIO, "cri-o")                                                                           \
	X(KUBERNETES, "kubernetes") /* a pod's, of a manager that the path does not name */        \
	X(OTHER, "other")

enum container_runtime {
#define X(name, label) RUNTIME_##name,
	CONTAINER_RUNTIMES(X)
#undef X
	RUNTIME_NR
};

const char *container_runtime_label(enum container_runtime runtime);

struct place {
	bool known;			/* its control group could be read */
	char unit[PLACE_UNIT_MAX];	/* "nginx.service"; "": no systemd unit in the path */
	enum container_runtime runtime; /* RUNTIME_NONE: in no container */
	char container[CONTAINER_ID_DIGITS + 1]; /* "" with RUNTIME_NONE */
	char pod[POD_UID_CHARS + 1];		 /* "": in no pod */
};

/* What a path says; any bytes will do. ret->known is set. */
void place_of_path(const char *path, struct place *ret);

/*
 * The text of /proc/PID/cgroup: the path of the unified hierarchy, else that of systemd's own, else
 * the longest of the others. False: there is none.
 */
bool place_of_text(const char *text, struct place *ret);

#endif
