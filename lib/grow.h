/* Room on the host for a virtual machine that grows: verbs make it, in the cgroups of all its
 * containers, any of which the VM may come to be charged to, before the monitor plugs anything. */
#pragma once

struct ctl_msg;
struct error;
struct oci_resources;
struct raised;
struct record;
struct vcrt;

/* What a monitor has answered to "join" or "plan": the size that its VM will have, which r gets,
 * warnings, and whether it has to grow for that: then this makes room, and fills *undo (may be
 * NULL), which is the caller's. 1: it has to grow, 0: not, or -errno, with nothing changed. */
int grow_prepare(struct record *r, const struct ctl_msg *answer, struct raised **undo,
                 struct error *err);
/* The limits of the container, whose cgroup has just been made, were those of the VM as it was to
 * be when r was filled. */
int grow_room_again(struct record *r, struct error *err);
/* Let the VM grow as far as other limits for a container want it, before they hold; r gets its
 * size. A failure has changed nothing. */
int grow_for_update(struct vcrt *v, struct record *r, const struct oci_resources *resources,
                    struct error *err);
