#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include "netns/netns-internal.h"
#include "lib/base/bpf.h"
#include "lib/base/error.h"

#define DNS_PORT 53
#define ARP_OPERATION (ETH_HLEN + 6) /* bytes into the frame */
#define ARP_REPLY 2
#define IP_PLAIN 0x45    /* version 4, and no options: ports follow after 20 bytes */
#define IP_OFFSET 0x1fff /* of a fragment that is not the first one */

/* Places that jumps lead to, near the end of the program. */
enum { TO_BOTH = 0x7f00, LET_IN, NEXT };
enum { TO_BOTH_LENGTH = 4, LET_IN_LENGTH = 2, NEXT_LENGTH = 2 };

static void set_jumps(struct bpf_insn *insns, size_t n)
{
	size_t next = n - NEXT_LENGTH, let_in = next - LET_IN_LENGTH;
	size_t to_both = let_in - TO_BOTH_LENGTH;

	for (size_t i = 0; i < n; i++) {
		size_t target = insns[i].off == NEXT      ? next
		                : insns[i].off == LET_IN  ? let_in
		                : insns[i].off == TO_BOTH ? to_both
		                                          : 0;

		if (target > 0)
			insns[i].off = (int16_t)(target - i - 1);
	}
}

/* What comes in on the link. On the stack: the IP header and the ports, of which the last twelve
 * bytes are a struct bpf_sock_tuple as they stand. */
static int load_program(unsigned tap)
{
	struct bpf_insn insns[] = {
		BPF_COPY(BPF_REG_6, BPF_REG_1),
		BPF_FIELD(BPF_REG_2, BPF_REG_6, struct __sk_buff, protocol),
		/* Answers to ARP are for both. */
		BPF_UNLESS(BPF_REG_2, htons(ETH_P_ARP), 9),
		BPF_SET(BPF_REG_2, ARP_OPERATION),
		BPF_COPY(BPF_REG_3, BPF_REG_10),
		BPF_PLUS(BPF_REG_3, -8),
		BPF_SET(BPF_REG_4, 2),
		BPF_CALLS(BPF_FUNC_skb_load_bytes),
		BPF_UNLESS(BPF_REG_0, 0, NEXT),
		BPF_GET(BPF_H, BPF_REG_2, BPF_REG_10, -8),
		BPF_UNLESS(BPF_REG_2, htons(ARP_REPLY), NEXT),
		BPF_INSN(BPF_JMP | BPF_JA, 0, 0, TO_BOTH, 0),
		/* What a name server says to somebody in the namespace. */
		BPF_UNLESS(BPF_REG_2, htons(ETH_P_IP), NEXT),
		BPF_SET(BPF_REG_2, ETH_HLEN),
		BPF_COPY(BPF_REG_3, BPF_REG_10),
		BPF_PLUS(BPF_REG_3, -24),
		BPF_SET(BPF_REG_4, 24),
		BPF_CALLS(BPF_FUNC_skb_load_bytes),
		BPF_UNLESS(BPF_REG_0, 0, NEXT),
		BPF_GET(BPF_B, BPF_REG_2, BPF_REG_10, -24),
		BPF_UNLESS(BPF_REG_2, IP_PLAIN, NEXT),
		BPF_GET(BPF_B, BPF_REG_7, BPF_REG_10, -24 + 9),
		/* Only the first fragment has ports; without it, nobody can do anything with the
		 * rest. */
		BPF_GET(BPF_H, BPF_REG_2, BPF_REG_10, -24 + 6),
		BPF_INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, htons(IP_OFFSET)),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_2, 0, 2, 0),
		BPF_UNLESS(BPF_REG_7, IPPROTO_UDP, NEXT),
		BPF_INSN(BPF_JMP | BPF_JA, 0, 0, TO_BOTH, 0),
		BPF_GET(BPF_H, BPF_REG_2, BPF_REG_10, -24 + 20),
		BPF_UNLESS(BPF_REG_2, htons(DNS_PORT), NEXT),
		BPF_COPY(BPF_REG_1, BPF_REG_6),
		BPF_COPY(BPF_REG_2, BPF_REG_10),
		BPF_PLUS(BPF_REG_2, -12),
		BPF_SET(BPF_REG_3, 12),
		BPF_SET(BPF_REG_4, BPF_F_CURRENT_NETNS),
		BPF_SET(BPF_REG_5, 0),
		BPF_UNLESS(BPF_REG_7, IPPROTO_UDP, 2),
		BPF_CALLS(BPF_FUNC_sk_lookup_udp),
		BPF_INSN(BPF_JMP | BPF_JA, 0, 0, 2, 0),
		BPF_UNLESS(BPF_REG_7, IPPROTO_TCP, NEXT),
		BPF_CALLS(BPF_FUNC_sk_lookup_tcp),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, NEXT, 0),
		BPF_COPY(BPF_REG_1, BPF_REG_0),
		BPF_CALLS(BPF_FUNC_sk_release),
		BPF_INSN(BPF_JMP | BPF_JA, 0, 0, LET_IN, 0),
		/* TO_BOTH, LET_IN, and NEXT: another filter decides. */
		BPF_COPY(BPF_REG_1, BPF_REG_6),
		BPF_SET(BPF_REG_2, (int32_t)tap),
		BPF_SET(BPF_REG_3, 0),
		BPF_CALLS(BPF_FUNC_clone_redirect),
		BPF_SET(BPF_REG_0, TC_ACT_OK),
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
		BPF_SET(BPF_REG_0, TC_ACT_UNSPEC),
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	set_jumps(insns, ARRAY_SIZE(insns));
	return bpf_load(BPF_PROG_TYPE_SCHED_CLS, 0, insns, ARRAY_SIZE(insns));
}

int endpoint_let_in_answers(struct netns *ns, const struct endpoint *ep, struct error *err)
{
	auto_close int program = -1;
	struct netns_found tap;

	if (ep->model != NET_TCFILTER)
		return error_set(err, EOPNOTSUPP,
		                 "interface '%s': answers of name servers reach only the VM with "
		                 "the network model '%s'",
		                 ep->name, net_model_name(ep->model));
	if (netns_find(ns, ep->tap, &tap, err) < 0)
		return -err->code;
	program = load_program(tap.index);
	if (program < 0)
		return error_sys(err,
		                 "interface '%s': load the BPF program for answers of name "
		                 "servers",
		                 ep->name);
	if (netns_add_bpf_filter(ns, ep->link, program, err) < 0)
		return error_wrap(err, "interface '%s': let in answers of name servers", ep->name);
	return 0;
}
