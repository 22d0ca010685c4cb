/* The language of host and guest: frames on one ordered byte stream (DESIGN section 5).
 *
 * A frame is a 16-byte header, little endian, and a payload:
 *
 *     u32 length   bytes of payload that follow
 *     u32 stream   0: control; else a stdio stream, numbered by the host, never reused
 *     u16 type     enum frame_type
 *     u16 flags    0
 *     u32 value    FRAME_CREDIT: bytes granted; else 0
 *
 * Right after connecting each side sends one FRAME_HELLO: JSON {"vcrt": VERSION, ...}, and nothing
 * else before it has the peer's. A peer with another version is refused. After it, control frames
 * hold one JSON object each:
 *
 *     {"id": 7, "op": "create", ...}            request, host to guest
 *     {"id": 7, "ok": {...}}                    its answer
 *     {"id": 7, "error": {"code": 2, "msg": "exec: ..."}}   code is an errno value
 *     {"event": "exit", ...}                    guest to host, unasked
 *
 * A client may send the next request without waiting for the last answer. Requests are begun in the
 * order in which they were sent, and the slow ones (create, exec, start, pause, resume, update, ps,
 * network, delete) hold up nobody else; answers may come in another order. Within one container
 * these wait for an older answer: everything but delete and exec (which is refused) for that to
 * create, signals except SIGKILL and winsize for that to the exec of their process, and pause,
 * resume and update for each other.
 *
 * Stdio. The host numbers streams and names them in "create" and "exec". Each stream flows one way
 * and starts with a window of PROTOCOL_WINDOW bytes; the reader grants more with FRAME_CREDIT as it
 * passes bytes on. FRAME_EOF from the writer ends it after all data; FRAME_CLOSE from the reader
 * says that nobody will read any more (the writer's process gets EPIPE). Every stream sees exactly
 * one of each: a writer answers a CLOSE with EOF, a reader answers an EOF with CLOSE, and then both
 * sides forget it. The streams of a request exist from the moment it is sent, also when it fails:
 * then they are ended in just this way. A terminal has two streams, stdin and stdout. Both ends
 * treat the other as hostile: a breach (too long, no credit, unknown stream, bad JSON) ends the
 * connection.
 *
 * Requests and the fields of their answers ("?": may be missing):
 *
 *   sandbox   {hostname?, share_tag?, share_type?, entropy (hex), time: {sec, nsec}} -> {}
 *             Once, first. Mounts the share share_tag, which is of share_type "9p" (default) or
 *             "virtiofs", on PROTOCOL_SHARE.
 *   warm      {} -> {}
 *             Before the VM is saved as a template, in place of "sandbox", which its clones get:
 *             load what a container may need, and make what the first one can have ready: a process
 *             in namespaces and a cgroup, its file systems, the program for its devices.
 *   size      {memory, cpus} -> {}
 *             The VM has grown while it ran, by so many MiB since it booted, and to so many CPUs in
 *             all: answered when they can be used, at the latest after PROTOCOL_SIZE_SECONDS. It
 *             holds up nobody; more than one is fine.
 *   create    {container, spec: OCI document, io, no_pivot?, no_new_keyring?, bundle?,
 *                  notify?, seccomp?: {flags, code (hex)}, time?} -> {pid}
 *             io: {stdin?, stdout?, stderr?: stream numbers; size?: {height, width} for a terminal;
 *             fds?: what the process has as 3, 4, ..., see below}
 *             spec has no linux.seccomp: its filter comes compiled, as struct sock_filter[].
 *             A missing stream is /dev/null. spec.root.path and the source of bind mounts are guest
 *             paths (below PROTOCOL_SHARE). On success the process exists with all of spec applied
 *             and waits before its execve; missing programs are reported here, not at start.
 *             A path in linux.namespaces is PROTOCOL_NAMESPACES/CONTAINER/TYPE: that of another
 *             container, network, ipc, uts or pid, while that one is not deleted. Without a
 *             network entry the container has the network that "network" makes, with one that has
 *             no path only a loopback interface.
 *             notify: the program gets a NOTIFY_SOCKET, see the event "ready". time: as of
 *             "sandbox", which a clone of a template has got before it ran.
 *   start     {container} -> {}
 *   connect   {container, process?, fd, to, from: stream numbers, uid?, gid?} -> {}
 *             Connect to the listening socket that the process was given as fd; EAGAIN: too many
 *             connections wait there. These streams exist from the answer on, if it is no error.
 *   exec      {container, process, spec: OCI process object, io, cgroup?} -> {pid}
 *             process: a name chosen by the host, unique in the container, not empty. cgroup: below
 *             the container's, must exist. In a container that is paused the process is made and
 *             stands still; the answer comes after the resume.
 *   signal    {container, process?, signal, all?} -> {}     ESRCH when it is gone; 0 only asks
 *   pause     {container} -> {}      freeze its cgroup; the answer comes when it is frozen
 *   resume    {container} -> {}
 *   winsize   {container, process?, height, width} -> {}
 *   ps        {container} -> {processes: [{uid, pid, ppid, c, stime, tty, time, cmd, process}]}
 *             process: "" for the container's own process tree, the exec's name for an exec'd one
 *   update    {container, resources: OCI linux.resources} -> {}
 *             What is 0, empty or missing stays as it is; after an error everything does.
 *   stats     {container} -> {cpu?: {usage_usec, user_usec, system_usec, nr_periods, ...},
 *                  memory?: {current, max?, swap_current?, swap_max?, stat?: {NAME: number}},
 *                  pids?: {current, max?}, io?: [{major, minor, rbytes, wbytes, rios, wios}],
 *                  hugetlb?: [{size ("2MB"), current, failures}]}
 *             Numbers of the container's cgroup, all unsigned; without a "max" there is no limit.
 *             cpu and memory.stat are cpu.stat and memory.stat as the guest's kernel has them.
 *   network   {container?, interfaces?: [INTERFACE], routes?: [ROUTE], neighbours?: [NEIGHBOUR]}
 *                                                                                  -> {changes}
 *             What the network of the VM is to be, all of it; see below. container: in a namespace
 *             of that one, which is made if need be: before the container is, whose document then
 *             has PROTOCOL_NAMESPACES/(itself)/network as its path.
 *   resolver  {to, from: stream numbers} -> {}
 *             The host has a resolver: serve its address in the VM. Once. These streams exist from
 *             the answer on, if it is no error. Datagrams of programs flow in from, the answers to
 *             them in to, each with the number of its conversation (datagrams.h). The guest numbers
 *             conversations; the host forgets one when it will. One without bytes in to: nobody has
 *             the port on the host.
 *   accept    {to, from: stream numbers} -> {}
 *             After "resolver": take a connection to it, when one comes. to goes to the program,
 *             from comes from it; they exist from the answer on, if it is no error. At most 16
 *             such requests at a time; they may wait for ever.
 *   delete    {container} -> {}      kill what is left, remove its cgroup and mounts
 *   shutdown  {} -> {}               flush file systems and power off
 *
 * An element of "fds" is one of
 *
 *   {type: "pipe", in or out: stream}      the process has the end to read (in) or to write (out)
 *   {type: "socket", kind: "stream"|"seqpacket"|"dgram", in, out: streams, uid?, gid?}
 *             One end of a socket pair, whose streams end as the directions of a socket do. But for
 *             "stream" they are made of records (pump_records_to_fd). The other end is that user's.
 *   {type: "listen", family: "unix"|"inet"|"inet6", kind: "stream"|"seqpacket", port?}
 *             A listening socket that only "connect" knows of; seqpacket for unix only.
 *   {type: "device", name: "null"|"zero"|"full"|"random"|"urandom", read, write: booleans}
 *
 * The network. The agent compares what is asked for with what there is, and changes the difference;
 * "changes" counts how much that was. What the last request had and this one has not is removed;
 * what neither had (a bridge that a container made, say) is left alone. Numbers are those of
 * rtnetlink(7) and have its meaning. An ADDRESS is text with a prefix after a slash; without one it
 * is a single host's. One request at a time is carried out. After an error a part may be applied;
 * the next request starts from what there is. A create applies net.* of linux.sysctl at once:
 * whoever wants that to come after the network waits for the answer to this.
 *
 *   INTERFACE {name, mac, nic?, pci?, mtu?, flags?, addresses?: [ADDRESS_OF_IT]}
 *             Its device is the one in the PCI slot pci ("05.0"; behind a bridge "02.0/00.0"), else
 *             the one with the MAC address nic (that it was plugged with; default: mac); for "lo"
 *             none is needed. It is waited for, 40 seconds. Names may be swapped. flags: IFF_UP,
 *             NOARP, PROMISC, ALLMULTI, MULTICAST, each set or cleared; default: UP, MULTICAST.
 *             {address, peer?, broadcast?, scope?, flags?, valid?, preferred?} is an ADDRESS_OF_IT.
 *             flags: IFA_F_HOMEADDRESS, MCAUTOJOIN; valid and preferred in seconds, default:
 *             forever. A peer's prefix is the address's, too. The guest makes no IPv6 addresses by
 *             itself, takes no router advertisements, and detects no duplicates.
 *   ROUTE     {dst, gateway?, source?, device?, scope?, metric?, table?, type?, protocol?, onlink?,
 *             mtu?}
 *             All routes but those that the kernel keeps in its table "local"; also those that come
 *             with an address (protocol 2): without its route, an address is set in a way that it
 *             gets none. In any order. A gateway of IPv6 may lead to a network of IPv4. Where IPv6
 *             is off in the guest (linux.sysctl) its addresses and routes are left out (a warning).
 *   NEIGHBOUR {address, mac, device, flags?: NTF_ROUTER}     a permanent entry
 *
 * What was warned about while a request was carried out is in its answer, too: warnings: [TEXT].
 *
 * Events:
 *   exit      {container, process, code}    process "" is the container's own; code 0-255 as rule 2
 *             of CLIENTS.md has it. Sent after all of its output was queued as frames and the share
 *             was written back since its end, which holds up no request but a delete of the
 *             container: its answer comes after the exit of each of its processes. FRAME_EOF of
 *             the output streams follows or precedes; both must have arrived before the process
 *             counts as finished.
 *   oom       {container}               the kernel has killed a process of it for memory
 *   ready     {container}               its program has said READY=1 (sd_notify), before any "exit"
 *   log       {level: "debug"|"warning", msg}
 *
 * Changing this: raise PROTOCOL_VERSION, change client.c and guest/, say so in this comment, and
 * extend the fuzz corpus. A request that is only added needs no other number: an agent that does
 * not know it says so. Host and guest always come from the same build; there is no negotiation.
 */
#pragma once

#include <stdint.h>

#define PROTOCOL_VERSION 1
#define PROTOCOL_PORT_NAME "vcrt.agent" /* of the virtio-serial port */
#define PROTOCOL_SHARE "/run/vcrt/share"
#define PROTOCOL_NAMESPACES "/run/vcrt/namespaces"
#define PROTOCOL_SHARE_TAG "vcrt"
/* A tmpfs of this source, with a name of hexadecimal digits and hyphens after a slash, is one for
 * all containers that have it; options of the first one's file system count. */
#define PROTOCOL_SHM "/run/vcrt/shm"

#define PROTOCOL_HEADER 16
#define PROTOCOL_MAX_DATA (32 * 1024) /* payload of a data frame */
#define PROTOCOL_MAX_HELLO (64 * 1024)
#define PROTOCOL_MAX_CONTROL (4 * 1024 * 1024) /* payload of a control frame */
#define PROTOCOL_WINDOW (256 * 1024)           /* initial credit of a stream */
#define PROTOCOL_MAX_STREAMS 4096
#define PROTOCOL_MAX_LINKS 64
#define PROTOCOL_MAX_ADDRESSES 256 /* of an interface */
#define PROTOCOL_MAX_ROUTES 4096
#define PROTOCOL_MAX_NEIGHBOURS 1024
#define PROTOCOL_MAX_FDS 128 /* of a process, beyond 0-2 */

/* Docker's embedded name server has this address and port in every network namespace. */
#define PROTOCOL_RESOLVER_ADDRESS 0x7f00000bu /* 127.0.0.11 */
#define PROTOCOL_RESOLVER_PORT 53
#define PROTOCOL_RESOLVER_ASKERS                                                                   \
	256 /* conversations at a time; of more, the oldest are forgotten */
#define PROTOCOL_RESOLVER_ACCEPTS 16

/* The guest's limit for a step in the making of a process: its set-up, hooks and mounts left out,
 * and, of an "exec", the way from there to its program. No request takes more than two of them,
 * hooks left out. A VM that gets little time may need much of it. */
#define PROTOCOL_STEP_SECONDS 120

/* How long the guest's kernel may take to find what was plugged. */
#define PROTOCOL_SIZE_SECONDS 30

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_CONTROL = 2,
	FRAME_DATA = 3,
	FRAME_CREDIT = 4,
	FRAME_EOF = 5,
	FRAME_CLOSE = 6,
};

struct frame {
	uint32_t length, stream, value;
	uint16_t type, flags;
};

/* Numbers of four bytes, little endian, wherever they stand in frames and streams. */
void protocol_put32(uint8_t out[4], uint32_t v);
uint32_t protocol_get32(const uint8_t in[4]);
void frame_encode(const struct frame *f, uint8_t out[PROTOCOL_HEADER]);
/* 0, or -EPROTO with *why set to a constant sentence: unknown type, flags, length over its cap. */
int frame_decode(const uint8_t in[PROTOCOL_HEADER], struct frame *f, const char **why);
