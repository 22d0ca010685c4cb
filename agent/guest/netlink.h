/* rtnetlink(7) as far as the agent needs it. libnl would bring the C library's resolver into a
 * static program: 400 KiB that each VM would have to unpack. */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

#define NETLINK_MAX_REQUEST 1024 /* bytes */

/* A request that is being made; netlink_add() ends the program if it grows too long, which the caps
 * of the callers rule out. */
struct netlink_request {
	union {
		struct nlmsghdr header;
		char bytes[NETLINK_MAX_REQUEST];
	};
};

struct netlink {
	int fd;
	uint32_t last; /* number of a request */
};

/* A socket that hears of groups (RTMGRP_*), or of nothing for 0. The descriptor, or -errno. */
int netlink_open(unsigned groups, struct error *err);

/* body: the structure that this type of message has in front of its attributes. */
void netlink_begin(struct netlink_request *r, int type, int flags, const void *body, size_t len);
void netlink_add(struct netlink_request *r, int type, const void *data, size_t len);
void netlink_add_u32(struct netlink_request *r, int type, uint32_t value);
struct rtattr *netlink_nest(struct netlink_request *r, int type);
void netlink_nest_end(struct netlink_request *r, struct rtattr *nest);

/* Send it and wait for what the kernel says: 0 or -errno. */
int netlink_do(struct netlink *nl, struct netlink_request *r);

/* All messages that answer a dump of this type, in out, to be walked with NLMSG_OK and NLMSG_NEXT.
 * A dump that something changed in the middle of is repeated. */
int netlink_dump(struct netlink *nl, int type, struct buf *out, struct error *err);

/* table[i] becomes the last attribute of type i, or NULL. */
void netlink_parse(const struct rtattr *first, size_t len, const struct rtattr **table, size_t n);
/* The value of an attribute, dflt when it is NULL or too short. */
uint32_t netlink_u32(const struct rtattr *a, uint32_t dflt);
