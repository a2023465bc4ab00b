/* SPDX-License-Identifier: GPL-2.0-only */
/* Units, containers and pods, read from the paths of control groups as managers make them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "listen/place.h"
#include "util.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD "8c6bca5c-6d1c-4e6f-9f5a-0123456789ab"
#define POD_SLICE "8c6bca5c_6d1c_4e6f_9f5a_0123456789ab"

static const struct {
	const char *path, *unit, *container, *pod;
	enum container_runtime runtime;
} known_paths[] = {
	{ "/", "", "", "", RUNTIME_NONE },
	{ "", "", "", "", RUNTIME_NONE },
	{ "/system.slice/nginx.service", "nginx.service", "", "", RUNTIME_NONE },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "",
	  RUNTIME_NONE },
	{ "/user.slice/user-1000.slice/session-2.scope", "session-2.scope", "", "", RUNTIME_NONE },
	{ "/user.slice/user-1000.slice/user@1000.service/app.slice", "user@1000.service", "", "",
	  RUNTIME_NONE },
	{ "/user.slice", "user.slice", "", "", RUNTIME_NONE },
	{ "/docker/" ID, "", ID, "", RUNTIME_DOCKER },
	{ "/system.slice/docker-" ID ".scope", "system.slice", ID, "", RUNTIME_DOCKER },
	{ "/system.slice/docker-" ID ".scope/init", "system.slice", ID, "", RUNTIME_DOCKER },
	{ "/machine.slice/libpod-" ID ".scope/container", "machine.slice", ID, "", RUNTIME_PODMAN },
	{ "/user.slice/user-0.slice/user@0.service/user.slice/libpod-" ID ".scope",
	  "user@0.service", ID, "", RUNTIME_PODMAN },
	{ "/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", "",
	  RUNTIME_NONE },
	{ "/system.slice/nerdctl-" ID ".scope", "system.slice", ID, "", RUNTIME_CONTAINERD },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_SLICE
	  ".slice/cri-containerd-" ID ".scope",
	  "kubepods-burstable-pod" POD_SLICE ".slice", ID, POD, RUNTIME_CONTAINERD },
	{ "/kubepods.slice/kubepods-pod" POD_SLICE ".slice/crio-" ID ".scope",
	  "kubepods-pod" POD_SLICE ".slice", ID, POD, RUNTIME_CRIO },
	{ "/kubepods.slice/kubepods-pod" POD_SLICE ".slice/crio-conmon-" ID ".scope",
	  "crio-conmon-" ID ".scope", "", POD, RUNTIME_NONE },
	{ "/kubepods/besteffort/pod" POD "/" ID, "", ID, POD, RUNTIME_KUBERNETES },
	{ "/system.slice/containerd.service/kubepods-burstable-pod" POD_SLICE
	  ".slice:cri-containerd:" ID,
	  "containerd.service", ID, POD, RUNTIME_CONTAINERD },
	/* a container in a container: the inner one */
	{ "/docker/" OTHER_ID "/kubelet/kubepods/pod" POD "/" ID, "", ID, POD, RUNTIME_KUBERNETES },
	{ "/ecs/task/" ID, "", ID, "", RUNTIME_OTHER },
	/* one digit short, and a pod's mark without its number */
	{ "/docker/123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", "", "",
	  RUNTIME_NONE },
	{ "/podman/pod1234", "", "", "", RUNTIME_NONE },
	{ "//system.slice//a.service/", "a.service", "", "", RUNTIME_NONE },
};

static void paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known_paths); i++) {
		struct place place;
		char unit[PLACE_UNIT_MAX];

		place_of_path(known_paths[i].path, &place);
		assert_true(place.known);
		/* what does not fit is cut */
		strncpy(unit, known_paths[i].unit, sizeof(unit) - 1);
		unit[sizeof(unit) - 1] = '\0';
		assert_string_equal(place.unit, unit);
		assert_string_equal(place.container, known_paths[i].container);
		assert_string_equal(place.pod, known_paths[i].pod);
		assert_int_equal(place.runtime, known_paths[i].runtime);
	}
}

static void long_names_are_cut(void **state)
{
	char path[600];
	struct place place;

	(void)state;
	memset(path, 'a', sizeof(path));
	strcpy(path + sizeof(path) - sizeof(".service"), ".service");
	place_of_path(path, &place);
	assert_int_equal(strlen(place.unit), PLACE_UNIT_MAX - 1);
}

static void hierarchies(void **state)
{
	static const struct {
		const char *text, *unit;
	} cases[] = {
		{ "0::/system.slice/a.service\n", "a.service" },
		{ "0::/system.slice/a.service", "a.service" },
		{ "12:cpu,cpuacct:/\n1:name=systemd:/system.slice/b.service\n0::/\n", "b.service" },
		{ "12:pids:/x.slice/c.service\n11:cpu:/\n1:name=systemd:/\n0::/\n", "c.service" },
		{ "1:name=systemd:/system.slice/b.service\n0::/system.slice/d.service\n",
		  "d.service" },
		{ "0::/a:b/e.service\n", "e.service" },
	};
	struct place place;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(place_of_text(cases[i].text, &place));
		assert_string_equal(place.unit, cases[i].unit);
	}
	assert_false(place_of_text("", &place));
	assert_false(place_of_text("nonsense\n", &place));
	assert_false(place_of_text("0:\n:", &place));
}

static void runtimes_have_labels(void **state)
{
	(void)state;
	assert_string_equal(container_runtime_label(RUNTIME_CRIO), "cri-o");
	assert_string_equal(container_runtime_label(RUNTIME_NONE), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(hierarchies),
		cmocka_unit_test(runtimes_have_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
