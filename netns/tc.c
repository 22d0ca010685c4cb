#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "netns/libnl-internal.h"
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
	auto_msg struct nl_msg *msg = libnl.nlmsg_alloc_simple(type, flags);

	if (!msg || libnl.nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0 ||
	    libnl.nla_put_string(msg, TCA_KIND, "ingress") < 0)
		abort(); /* out of memory */
	return netns_request(ns, msg, err);
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
	auto_msg struct nl_msg *msg = libnl.nlmsg_alloc_simple(RTM_DELTFILTER, 0);

	if (!msg || libnl.nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0)
		abort(); /* out of memory */
	return netns_request(ns, msg, err);
}

/* "Every packet is sent out of the link 'to', and is done with." */
static struct rtnl_act *redirect_action(unsigned to)
{
	struct rtnl_act *act = libnl.rtnl_act_alloc();

	if (!act || libnl.rtnl_tc_set_kind(TC_CAST(act), "mirred") < 0 ||
	    libnl.rtnl_mirred_set_action(act, TCA_EGRESS_REDIR) < 0 ||
	    libnl.rtnl_mirred_set_policy(act, TC_ACT_STOLEN) < 0 ||
	    libnl.rtnl_mirred_set_ifindex(act, to) < 0)
		abort(); /* out of memory */
	return act;
}

static int add_filter(struct netns *ns, unsigned link, unsigned to, unsigned priority,
                      struct error *err)
{
	struct rtnl_cls *cls = libnl.rtnl_cls_alloc();
	struct rtnl_act *act = redirect_action(to);
	auto_msg struct nl_msg *msg = NULL;

	if (!cls || libnl.rtnl_tc_set_kind(TC_CAST(cls), "u32") < 0)
		abort(); /* out of memory */
	libnl.rtnl_tc_set_ifindex(TC_CAST(cls), (int)link);
	libnl.rtnl_tc_set_parent(TC_CAST(cls), INGRESS);
	libnl.rtnl_cls_set_prio(cls, (uint16_t)priority);
	libnl.rtnl_cls_set_protocol(cls, ETH_P_ALL);
	if (libnl.rtnl_u32_add_key_uint32(cls, 0, 0, 0, 0) < 0 ||
	    libnl.rtnl_u32_set_cls_terminal(cls) < 0 || libnl.rtnl_u32_add_action(cls, act) < 0 ||
	    libnl.rtnl_cls_build_add_request(cls, NLM_F_CREATE | NLM_F_EXCL, &msg) < 0)
		abort(); /* out of memory */
	libnl.rtnl_act_put(act);
	libnl.rtnl_cls_put(cls);
	return netns_request(ns, msg, err);
}

int netns_add_bpf_filter(struct netns *ns, unsigned link, int program, struct error *err)
{
	struct tcmsg tc = filter_of(link, BEFORE);
	auto_msg struct nl_msg *msg =
		libnl.nlmsg_alloc_simple(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *options;

	if (!msg || libnl.nlmsg_append(msg, &tc, sizeof(tc), NLMSG_ALIGNTO) < 0 ||
	    libnl.nla_put_string(msg, TCA_KIND, "bpf") < 0 ||
	    !(options = libnl.nla_nest_start(msg, TCA_OPTIONS)) ||
	    libnl.nla_put_u32(msg, TCA_BPF_FD, (uint32_t)program) < 0 ||
	    libnl.nla_put_u32(msg, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT) < 0)
		abort(); /* out of memory */
	libnl.nla_nest_end(msg, options);
	return netns_request(ns, msg, err);
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
