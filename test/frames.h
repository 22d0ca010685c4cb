/* A guest made of single frames: what comes and goes through the descriptor of a tap, whose other
 * end is a real stack with FRAMES_PEER_IP. Each waits a limited time. */
#pragma once

#define FRAMES_GUEST_IP "10.1.0.2"
#define FRAMES_GUEST_MAC "02:42:0a:01:00:02"
#define FRAMES_PEER_IP "10.1.0.1"
#define FRAMES_PEER_MAC "02:42:0a:01:00:01"

/* Ask for the peer's MAC, and get it. */
void frames_assert_arp_answered(int tap);
/* The peer has asked for the guest's MAC. */
void frames_assert_asked_for_guest(int tap);
/* Send an ICMP echo request, a packet of size bytes, and get it back. */
void frames_assert_ping_answered(int tap, unsigned size);
/* A datagram of the peer to this port of the guest has come. */
void frames_assert_datagram(int tap, unsigned port);
/* The last fragment of a datagram of so many bytes has come. */
void frames_assert_fragment(int tap, unsigned size);
