/* libnl-3 and libnl-route-3, as far as they are used. Nothing is linked with them: a
 * container without a network is spared the memory that they take, 0.7 MiB in its monitor and its
 * stand-in when no other process has them. */
#pragma once

#include <netlink/addr.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/object.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/action.h>
#include <netlink/route/addr.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/tc.h>
#include <netlink/socket.h>

#include "lib/base/library.h"

#define LIBNL_FUNCTIONS(X)                                                                         \
	X(nl_addr_build)                                                                           \
	X(nl_addr_get_binary_addr)                                                                 \
	X(nl_addr_get_family)                                                                      \
	X(nl_addr_get_len)                                                                         \
	X(nl_addr_get_prefixlen)                                                                   \
	X(nl_addr_put)                                                                             \
	X(nl_addr_set_prefixlen)                                                                   \
	X(nl_cb_alloc)                                                                             \
	X(nl_cb_err)                                                                               \
	X(nl_cb_put)                                                                               \
	X(nl_cb_set)                                                                               \
	X(nl_connect)                                                                              \
	X(nl_geterror)                                                                             \
	X(nl_msg_parse)                                                                            \
	X(nl_recvmsgs)                                                                             \
	X(nl_send_auto)                                                                            \
	X(nl_socket_alloc)                                                                         \
	X(nl_socket_free)                                                                          \
	X(nl_socket_get_fd)                                                                        \
	X(nl_socket_set_buffer_size)                                                               \
	X(nla_find)                                                                                \
	X(nla_nest_end)                                                                            \
	X(nla_nest_start)                                                                          \
	X(nla_put)                                                                                 \
	X(nla_put_string)                                                                          \
	X(nla_put_u32)                                                                             \
	X(nla_strlcpy)                                                                             \
	X(nlmsg_alloc_simple)                                                                      \
	X(nlmsg_append)                                                                            \
	X(nlmsg_data)                                                                              \
	X(nlmsg_datalen)                                                                           \
	X(nlmsg_free)                                                                              \
	X(nlmsg_hdr)                                                                               \
	X(rtnl_act_alloc)                                                                          \
	X(rtnl_act_put)                                                                            \
	X(rtnl_addr_alloc)                                                                         \
	X(rtnl_addr_build_add_request)                                                             \
	X(rtnl_addr_get_broadcast)                                                                 \
	X(rtnl_addr_get_flags)                                                                     \
	X(rtnl_addr_get_ifindex)                                                                   \
	X(rtnl_addr_get_local)                                                                     \
	X(rtnl_addr_get_peer)                                                                      \
	X(rtnl_addr_get_preferred_lifetime)                                                        \
	X(rtnl_addr_get_scope)                                                                     \
	X(rtnl_addr_get_valid_lifetime)                                                            \
	X(rtnl_addr_put)                                                                           \
	X(rtnl_addr_set_ifindex)                                                                   \
	X(rtnl_addr_set_local)                                                                     \
	X(rtnl_cls_alloc)                                                                          \
	X(rtnl_cls_build_add_request)                                                              \
	X(rtnl_cls_put)                                                                            \
	X(rtnl_cls_set_prio)                                                                       \
	X(rtnl_cls_set_protocol)                                                                   \
	X(rtnl_link_get_addr)                                                                      \
	X(rtnl_link_get_arptype)                                                                   \
	X(rtnl_link_get_flags)                                                                     \
	X(rtnl_link_get_ifalias)                                                                   \
	X(rtnl_link_get_ifindex)                                                                   \
	X(rtnl_link_get_kernel)                                                                    \
	X(rtnl_link_get_master)                                                                    \
	X(rtnl_link_get_mtu)                                                                       \
	X(rtnl_link_get_name)                                                                      \
	X(rtnl_link_get_type)                                                                      \
	X(rtnl_link_put)                                                                           \
	X(rtnl_mirred_set_action)                                                                  \
	X(rtnl_mirred_set_ifindex)                                                                 \
	X(rtnl_mirred_set_policy)                                                                  \
	X(rtnl_neigh_get_dst)                                                                      \
	X(rtnl_neigh_get_flags)                                                                    \
	X(rtnl_neigh_get_ifindex)                                                                  \
	X(rtnl_neigh_get_lladdr)                                                                   \
	X(rtnl_neigh_get_state)                                                                    \
	X(rtnl_route_foreach_nexthop)                                                              \
	X(rtnl_route_get_dst)                                                                      \
	X(rtnl_route_get_family)                                                                   \
	X(rtnl_route_get_flags)                                                                    \
	X(rtnl_route_get_metric)                                                                   \
	X(rtnl_route_get_nnexthops)                                                                \
	X(rtnl_route_get_pref_src)                                                                 \
	X(rtnl_route_get_priority)                                                                 \
	X(rtnl_route_get_protocol)                                                                 \
	X(rtnl_route_get_scope)                                                                    \
	X(rtnl_route_get_src)                                                                      \
	X(rtnl_route_get_table)                                                                    \
	X(rtnl_route_get_tos)                                                                      \
	X(rtnl_route_get_type)                                                                     \
	X(rtnl_route_nh_get_flags)                                                                 \
	X(rtnl_route_nh_get_gateway)                                                               \
	X(rtnl_route_nh_get_ifindex)                                                               \
	X(rtnl_route_nh_get_via)                                                                   \
	X(rtnl_route_nh_get_weight)                                                                \
	X(rtnl_tc_set_ifindex)                                                                     \
	X(rtnl_tc_set_kind)                                                                        \
	X(rtnl_tc_set_parent)                                                                      \
	X(rtnl_u32_add_action)                                                                     \
	X(rtnl_u32_add_key_uint32)                                                                 \
	X(rtnl_u32_set_cls_terminal)

/* Of the process, as a library is. Empty before netns_load(), which netns_scan(), netns_clean(),
 * endpoint_attach() and netns_move() have behind them. */
struct libnl {
	LIBNL_FUNCTIONS(LIBRARY_FIELD)
};
extern struct libnl libnl;
