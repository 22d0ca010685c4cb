#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netinet/in.h>
#include <string.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"

/* Of an "ingress" queueing discipline as well as of "clsact", which somebody may have there. */
#define INGRESS TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

/* Our filters are known by their priority, which also says whose the queueing discipline is. High
 * numbers: the filters of somebody else come first. BEFORE: a program that lets some in. */
enum { BEFORE = 0xc0dd, OWN_QDISC = 0xc0de, FOREIGN_QDISC = 0xc0df };

static int change_qdisc(struct netns *ns, int type, int flags, unsigned link, struct error *err)
{
	struct tcmsg tc = { .tcm_ifindex = (int)link,
		            .tcm_parent = TC_H_INGRESS,
		            .tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0) };
	struct netlink_request r;

	netlink_begin(&r, type, flags, &tc, sizeof(tc));
	netlink_add(&r, TCA_KIND, "ingress", sizeof("ingress"));
	return netns_request(ns, &r, err);
}

/* The kernel holds a filter for each link, priority and protocol. */
static struct tcmsg filter_of(unsigned link, unsigned priority)
{
	return (struct tcmsg){ .tcm_ifindex = (int)link,
		               .tcm_parent = INGRESS,
		               .tcm_info = TC_H_MAKE(priority << 16, htons(ETH_P_ALL)) };
}

static int remove_filter(struct netns *ns, unsigned link, unsigned priority, struct error *err)
{
	struct tcmsg tc = filter_of(link, priority);
	struct netlink_request r;

	netlink_begin(&r, RTM_DELTFILTER, 0, &tc, sizeof(tc));
	return netns_request(ns, &r, err);
}

/* "Every packet is sent out of the link 'to', and is done with." */
static void add_redirection(struct netlink_request *r, unsigned to)
{
	struct tc_mirred mirred = { .action = TC_ACT_STOLEN,
		                    .eaction = TCA_EGRESS_REDIR,
		                    .ifindex = to };
	struct rtattr *actions = netlink_nest(r, TCA_U32_ACT);
	struct rtattr *first = netlink_nest(r, 1), *options;

	netlink_add(r, TCA_ACT_KIND, "mirred", sizeof("mirred"));
	options = netlink_nest(r, TCA_ACT_OPTIONS);
	netlink_add(r, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
	netlink_nest_end(r, options);
	netlink_nest_end(r, first);
	netlink_nest_end(r, actions);
}

static int add_filter(struct netns *ns, unsigned link, unsigned to, unsigned priority,
                      struct error *err)
{
	struct tcmsg tc = filter_of(link, priority);
	struct tc_u32_sel every = { .flags = TC_U32_TERMINAL, .nkeys = 1 };
	struct tc_u32_key key = { 0 };
	char selector[sizeof(every) + sizeof(key)];
	struct netlink_request r;
	struct rtattr *options;

	memcpy(selector, &every, sizeof(every));
	memcpy(selector + sizeof(every), &key, sizeof(key));
	netlink_begin(&r, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
	netlink_add(&r, TCA_KIND, "u32", sizeof("u32"));
	options = netlink_nest(&r, TCA_OPTIONS);
	netlink_add(&r, TCA_U32_SEL, selector, sizeof(selector));
	add_redirection(&r, to);
	netlink_nest_end(&r, options);
	return netns_request(ns, &r, err);
}

int netns_add_bpf_filter(struct netns *ns, unsigned link, int program, struct error *err)
{
	struct tcmsg tc = filter_of(link, BEFORE);
	struct netlink_request r;
	struct rtattr *options;

	netlink_begin(&r, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc, sizeof(tc));
	netlink_add(&r, TCA_KIND, "bpf", sizeof("bpf"));
	options = netlink_nest(&r, TCA_OPTIONS);
	netlink_add_u32(&r, TCA_BPF_FD, (uint32_t)program);
	netlink_add_u32(&r, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	netlink_nest_end(&r, options);
	return netns_request(ns, &r, err);
}

int netns_redirect(struct netns *ns, unsigned from, unsigned to, struct error *err)
{
	auto_error struct error why = { 0 };
	unsigned priority = OWN_QDISC;
	int r = change_qdisc(ns, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, from, &why);

	if (r == -EEXIST)
		priority = FOREIGN_QDISC;
	else if (r < 0) {
		error_move(err, &why);
		return error_wrap(err, "add an ingress queue");
	}
	if (add_filter(ns, from, to, priority, err) == 0)
		return 0;
	error_wrap(err, "redirect packets");
	if (priority == OWN_QDISC)
		change_qdisc(ns, RTM_DELQDISC, 0, from, &why);
	return -err->code;
}

/* The kernel's words for "not there": the link, the queueing discipline, the filter. */
static bool is_absent(int r)
{
	return r == -ENODEV || r == -EINVAL || r == -ENOENT;
}

int netns_unredirect(struct netns *ns, unsigned from, struct error *err)
{
	auto_error struct error why = { 0 };
	int r = remove_filter(ns, from, BEFORE, &why); /* there is seldom one */

	if (r == 0 || is_absent(r))
		r = remove_filter(ns, from, OWN_QDISC, &why);

	if (r == 0)
		r = change_qdisc(ns, RTM_DELQDISC, 0, from, &why);
	else if (is_absent(r))
		r = remove_filter(ns, from, FOREIGN_QDISC, &why);
	if (r < 0 && !is_absent(r)) {
		error_move(err, &why);
		return error_wrap(err, "end the redirection of packets");
	}
	return 0;
}
