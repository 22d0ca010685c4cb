/* The guest's network in a network namespace that a test has for itself, where ends of veth pairs
 * stand for devices. What ip(8) shows is compared. */
#pragma once

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/guest/network-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "test/scratch.h"
#include "test/shell.h"

#define WAIT_MS 300
#define MAC_A "02:00:00:00:00:0a"
#define MAC_B "02:00:00:00:00:0b"
#define NIC_A "\"mac\":\"" MAC_A "\""
#define NIC_B "\"mac\":\"" MAC_B "\""
#define ETH0(addresses) "{\"name\":\"eth0\"," NIC_A ",\"flags\":4097,\"addresses\":[" addresses "]}"
#define ETH1(addresses) "{\"name\":\"eth1\"," NIC_B ",\"flags\":4097,\"addresses\":[" addresses "]}"
#define IPV4 "{\"address\":\"10.0.0.2/24\",\"broadcast\":\"10.0.0.255\"}"
#define IPV6 "{\"address\":\"fd00::2/64\"}"
#define DUAL ETH0(IPV4 "," IPV6)
/* As the kernel makes them with the addresses. */
#define IPV4_NET                                                                                   \
	"{\"dst\":\"10.0.0.0/24\",\"device\":\"eth0\",\"source\":\"10.0.0.2\",\"scope\":253,"      \
	"\"protocol\":2}"
#define IPV6_NET "{\"dst\":\"fd00::/64\",\"device\":\"eth0\",\"metric\":256,\"protocol\":2}"

static struct network *former;

static inline char *output(const char *script)
{
	char *argv[4];
	struct child_opts opts = shell_opts(argv, script);

	return shell_output(&opts, NULL);
}

static inline void sh(const char *script)
{
	free(output(script));
}

static inline void expect(const char *script, const char *text)
{
	auto_free char *out = output(script);

	ck_assert_str_eq(out, text);
}

static inline void expect_has(const char *script, const char *text)
{
	auto_free char *out = output(script);

	ck_assert_msg(strstr(out, text), "'%s' is not in:\n%s", text, out);
}

static inline void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	former = NULL;
	sh("for i in a b; do"
	   " ip link add nic$i address 02:00:00:00:00:0$i type veth peer name far$i &&"
	   " ip link set far$i up || exit; done");
}

static inline void teardown(void)
{
	network_free(former);
}

static inline struct network *read_wish(const char *text, struct error *err)
{
	auto_json struct json *request = json_parse(text, strlen(text), false, err);

	ck_assert_msg(request, "%s", err->msg);
	return network_read(request, err);
}

/* As the engine does it; the number of changes, or -errno. */
static inline int try_apply(const char *text, struct error *err)
{
	struct network *wish = read_wish(text, err);
	int changes;

	ck_assert_msg(wish, "%s", err->msg);
	changes = network_apply(wish, former, WAIT_MS, err);
	if (changes >= 0)
		network_free(former);
	else
		wish->next = former;
	former = wish;
	return changes;
}

static inline int apply(const char *text)
{
	auto_error struct error err = { 0 };
	int changes = try_apply(text, &err);

	ck_assert_msg(changes >= 0, "%s", err.msg);
	return changes;
}

/* And a second time there is nothing left to do. */
static inline void settle(const char *text)
{
	ck_assert_int_gt(apply(text), 0);
	ck_assert_int_eq(apply(text), 0);
}
