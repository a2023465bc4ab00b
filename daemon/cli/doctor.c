/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DOC: `tcpwitness doctor`
 *
 * What this kernel, this process and these interfaces allow, each with what is lost without it.
 * Nothing is attached. The checks are one table; a check that is essential and fails makes the
 * exit code 1, any other only costs what its line says. Then the programs are loaded as `run`
 * would, so that "ok" is the verifier's word and not a guess from version numbers.
 */
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "capture/entrances.h"
#include "capture/interfaces.h"
#include "capture/loader.h"
#include "cli/cli.h"
#include "config.h"
#include "export/json.h"
#include "log.h"
#include "settings.h"
#include "util.h"

#define DETAIL_BYTES 160

struct check {
	const char *name;
	bool essential;
	bool (*passes)(char detail[DETAIL_BYTES]);
	const char *without; /* what is lost */
};

static void say(char detail[DETAIL_BYTES], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(char detail[DETAIL_BYTES], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, DETAIL_BYTES, fmt, args);
	va_end(args);
}

static bool read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (!file)
		return false;
	n = fread(text, 1, size - 1, file);
	fclose(file);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return n > 0;
}

static bool has_capability(int number)
{
	unsigned long long effective = 0;
	char line[256];
	FILE *file = fopen("/proc/self/status", "re");

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	fclose(file);
	return effective >> number & 1;
}

/* linux kernel/capability.c: CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON */
static bool has_capabilities(char *detail)
{
	bool admin = has_capability(CAP_SYS_ADMIN);
	bool bpf = admin || has_capability(CAP_BPF);
	bool perfmon = admin || has_capability(CAP_PERFMON);
	bool net = has_capability(CAP_NET_ADMIN);

	if (bpf && perfmon && net)
		say(detail, "BPF, PERFMON and NET_ADMIN are there");
	else
		say(detail, "missing:%s%s%s", bpf ? "" : " CAP_BPF", perfmon ? "" : " CAP_PERFMON",
		    net ? "" : " CAP_NET_ADMIN");
	return bpf && perfmon && net;
}

static bool has_btf(char *detail)
{
	const char *elsewhere = getenv("TCPWITNESS_BTF"); /* as the loader does */
	const char *path = elsewhere ? elsewhere : "/sys/kernel/btf/vmlinux";
	bool is_there = access(path, R_OK) == 0;

	say(detail, "%s %s", path, is_there ? "is there" : "cannot be read");
	return is_there;
}

static bool has_program_types(char *detail)
{
	bool tc = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) == 1;
	bool ring = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1;

	if (tc && ring)
		say(detail, "tc programs and ring buffers are allowed");
	else
		say(detail, "not allowed:%s%s", tc ? "" : " tc programs",
		    ring ? "" : " ring buffers");
	return tc && ring;
}

static bool has_xdp(char *detail)
{
	bool type = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 1;
	bool lookup = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_skc_lookup_tcp, NULL) ==
		      1;

	say(detail, type && lookup ? "XDP programs may look sockets up" :
		    type	   ? "XDP programs cannot look sockets up" :
				     "XDP programs are not allowed");
	return type && lookup;
}

static bool has_jit(char *detail)
{
	char value[16] = "";
	bool on;

	/* absent in a namespace or with BPF_JIT_ALWAYS_ON compiled in and no sysctl: then it is on */
	on = !read_file("/proc/sys/net/core/bpf_jit_enable", value, sizeof(value)) ||
	     strcmp(value, "0") != 0;
	say(detail, "the BPF compiler is %s", on ? "on" : "off (net.core.bpf_jit_enable=0)");
	return on;
}

static bool has_stats(char *detail)
{
	char value[16] = "0";

	read_file("/proc/sys/kernel/bpf_stats_enabled", value, sizeof(value));
	say(detail, "kernel.bpf_stats_enabled=%s", value);
	return strcmp(value, "0") != 0;
}

/* linux net/core/net_namespace.c:netns_install */
static bool can_enter(char *detail)
{
	snprintf(detail, DETAIL_BYTES, "CAP_SYS_ADMIN, to step inside");
	return has_capability(CAP_SYS_ADMIN);
}

static const struct check checks[] = {
	{ "capabilities", true, has_capabilities, "nothing can be watched" },
	{ "type information", true, has_btf, "the programs cannot find the kernel's fields" },
	{ "program types", true, has_program_types, "nothing can be watched" },
	{ "XDP", false, has_xdp, "ingress is seen by tcx or clsact, after GRO" },
	{ "compiler", false, has_jit, "each segment costs several times as much" },
	{ "other namespaces", false, can_enter, "--netns can name none but the daemon's own" },
	{ "run time statistics", false, has_stats,
	  "program_run_seconds_total and program_runs_total stay 0" },
};

/* Where it goes: words as they are found, or one JSON object. */
struct account {
	struct text text;
	struct json json;
	bool as_json;
};

static void tell_row(struct account *account, const char *verdict, const char *name,
		     const char *detail, const char *without)
{
	struct json *json = &account->json;

	if (!account->as_json) {
		printf("%-4s  %-22s %s\n", verdict, name, detail);
		if (without)
			printf("      %-22s -> %s\n", "", without);
		return;
	}
	json_object_begin(json, NULL);
	json_string(json, "verdict", verdict);
	json_string(json, "name", name);
	json_string(json, "detail", detail[0] ? detail : NULL);
	json_string(json, "without", without);
	json_object_end(json);
}

static void begin_list(struct account *account, const char *key, const char *heading)
{
	if (account->as_json)
		json_array_begin(&account->json, key);
	else if (heading)
		printf("\n%s:\n", heading);
}

static void end_list(struct account *account, const char *note)
{
	if (account->as_json)
		json_array_end(&account->json);
	else if (note)
		printf("      %s\n", note);
}

static bool run_checks(struct account *account)
{
	bool can_run = true;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		char detail[DETAIL_BYTES] = "";
		bool passed = checks[i].passes(detail);

		tell_row(account,
			 passed		     ? "ok" :
			 checks[i].essential ? "FAIL" :
					       "less",
			 checks[i].name, detail, passed ? NULL : checks[i].without);
		can_run = can_run && (passed || !checks[i].essential);
	}
	return can_run;
}

/* The verifier's word, and what the loaded programs make of this kernel. */
static bool try_programs(struct account *account)
{
	struct capability rows[CAPABILITIES_MAX];
	struct loader *loader;
	size_t count;

	if (loader_new(&(struct loader_settings){ .ring_bytes = RING_BYTES_MIN }, &loader)) {
		tell_row(account, "FAIL", "programs", "the kernel refuses them (see above)",
			 "nothing can be watched");
		return false;
	}
	tell_row(account, "ok", "programs", "the kernel's verifier accepts them", NULL);
	count = loader_capabilities(loader, rows);
	for (size_t i = 0; i < count; i++)
		tell_row(account, rows[i].available ? "ok" : "less", rows[i].name, "",
			 rows[i].available ? NULL : rows[i].without);
	loader_free(loader);
	return true;
}

static const char *link_kind(uint16_t arphrd)
{
	switch (arphrd) {
	case ARPHRD_ETHER:
		return "Ethernet";
	case ARPHRD_LOOPBACK:
		return "loopback";
	case ARPHRD_NONE:
		return "bare IP";
	default:
		return "other";
	}
}

/* Somebody else's program on the XDP hook is never replaced: the next rung is taken. */
static bool is_xdp_taken(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) == 0 &&
	       query.attach_mode != XDP_ATTACHED_NONE;
}

struct interface_list {
	struct account *account;
	unsigned int count;
};

static void tell_interface(void *context, const struct interface *interface)
{
	struct interface_list *list = context;
	struct json *json = &list->account->json;
	const char *plan = interface->is_virtual ? "tcx or clsact: XDP would cost GRO here" :
						   "native XDP where its driver can, else tcx";

	if (is_xdp_taken(interface->ifindex))
		plan = "tcx or clsact: another program holds the XDP hook";
	list->count++;
	if (!list->account->as_json) {
		printf("      %-20s %s; %s\n", interface->name, link_kind(interface->arphrd), plan);
		return;
	}
	json_object_begin(json, NULL);
	json_string(json, "name", interface->name);
	json_string(json, "link", link_kind(interface->arphrd));
	json_string(json, "ingress", plan);
	json_object_end(json);
}

static void ignore_interface(void *context, const struct interface *interface)
{
	(void)context;
	(void)interface;
}

static void ignore_prefix(void *context, const struct local_prefix *prefix, bool added)
{
	(void)context;
	(void)prefix;
	(void)added;
}

static bool list_interfaces(struct account *account, const struct settings *settings)
{
	struct interface_list list = { account, 0 };
	const struct interfaces_ops ops = { &list, tell_interface, ignore_interface,
					    ignore_interface, ignore_prefix };
	struct interfaces *interfaces;
	int err;

	begin_list(
		account, "interfaces",
		"interfaces that `tcpwitness run` would watch, and how ingress would be captured");
	err = interfaces_new(&settings->devices, &settings->devices_excluded, &ops, &interfaces);
	if (!err) {
		err = interfaces_start(interfaces);
		interfaces_free(interfaces);
	}
	end_list(account, err || list.count ? NULL :
					      "none carries a local address: every connection is "
					      "unobservable (untapped)");
	return !err;
}

#define NAMESPACES_SHOWN 20

struct found_namespaces {
	struct account *account;
	uint32_t at[NAMESPACES_MAX];
	size_t count;
};

/* Names come first, so a namespace is shown by its name if it has one. */
static int tell_namespace(void *context, const struct entrance *entrance)
{
	struct found_namespaces *found = context;
	struct json *json = &found->account->json;

	for (size_t i = 0; i < found->count; i++)
		if (found->at[i] == entrance->netns)
			return 0;
	if (found->count == NAMESPACES_MAX)
		return 0;
	found->at[found->count++] = entrance->netns;
	if (found->account->as_json) {
		json_object_begin(json, NULL);
		json_string(json, "name", entrance->name[0] ? entrance->name : NULL);
		json_u64(json, "netns", entrance->netns);
		json_string(json, "path", entrance->path);
		json_object_end(json);
	} else if (found->count <= NAMESPACES_SHOWN) {
		printf("      %-20s %u, by %s\n", entrance->name[0] ? entrance->name : "-",
		       entrance->netns, entrance->path);
	}
	return 0;
}

static void list_namespaces(struct account *account)
{
	const struct settings_list all = { 1, { "all" } };
	struct found_namespaces found = { .account = account };
	struct entrances *entrances;
	char more[32];
	struct stat own;

	if (stat("/proc/thread-self/ns/net", &own) || entrances_new(&all, &entrances))
		return;
	begin_list(account, "namespaces",
		   "other network namespaces that `--netns=all` would watch too");
	entrances_own(entrances, (uint32_t)own.st_ino);
	entrances_turn(entrances, 0, tell_namespace, &found);
	entrances_free(entrances);
	snprintf(more, sizeof(more), "and %zu more", found.count - NAMESPACES_SHOWN);
	end_list(account, found.count == 0 ? "none" : found.count > NAMESPACES_SHOWN ? more : NULL);
}

static void tell_machine(struct account *account)
{
	struct json *json = &account->json;
	struct utsname name;
	char lockdown[64] = "not built in";

	uname(&name);
	read_file("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (!account->as_json) {
		printf("kernel %s %s, libbpf %s, lockdown: %s\n\n", name.release, name.machine,
		       libbpf_version_string() + 1, lockdown);
		return;
	}
	json_string(json, "kernel", name.release);
	json_string(json, "machine", name.machine);
	json_string(json, "libbpf", libbpf_version_string() + 1);
	json_string(json, "lockdown", lockdown);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static bool examine(struct account *account, const struct settings *settings)
{
	bool can_run;

	tell_machine(account);
	begin_list(account, "checks", NULL);
	can_run = run_checks(account);
	can_run = try_programs(account) && can_run;
	end_list(account, NULL);
	can_run = list_interfaces(account, settings) && can_run;
	list_namespaces(account);
	return can_run;
}

static int print_json(struct account *account, bool can_run)
{
	int code;

	json_bool(&account->json, "can_run", can_run);
	json_object_end(&account->json);
	text_char(&account->text, '\n');
	code = cli_print(account->text.data, account->text.length);
	text_free(&account->text);
	return code;
}

int cli_doctor(int argc, char **argv)
{
	char name[] = "run", *defaults[] = { name, NULL }, why[SETTINGS_WHY_BYTES];
	const char *as_json = NULL;
	const struct cli_flag flags[] = { { "json", NULL, &as_json,
					    "the same as one JSON object" } };
	struct account account = { 0 };
	struct settings settings;
	bool can_run;

	switch (cli_parse(argc, argv, flags, ARRAY_SIZE(flags), "tcpwitness doctor [flags]",
			  "Tells what this kernel and these interfaces allow, and what is lost "
			  "without it.\nAttaches nothing. Exit code 1: `tcpwitness run` cannot work "
			  "here.",
			  0, NULL)) {
	case CLI_HELP_SHOWN:
		return CLI_OK;
	case CLI_BAD_FLAG:
		return CLI_USAGE;
	case CLI_PARSED:
		break;
	}
	if (settings_parse(1, defaults, &settings, why) != SETTINGS_OK)
		return cli_usage_error("%s", why);

	/* the table says what is missing; the loader's one line says why it failed */
	log_init(LOG_LEVEL_ERR, LOG_FORMAT_TEXT);
	libbpf_set_print(quiet);
	account.as_json = as_json;
	if (as_json) {
		json_init(&account.json, &account.text);
		json_object_begin(&account.json, NULL);
	}
	can_run = examine(&account, &settings);
	if (!as_json)
		printf("\n%s\n",
		       can_run ? "tcpwitness can run here" : "tcpwitness cannot run here");
	else if (print_json(&account, can_run))
		return CLI_FAILED;
	return can_run ? CLI_OK : CLI_FAILED;
}
