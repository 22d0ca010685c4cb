/* A systemd to talk to, on its own socket: as on a host without a bus. It makes no units; it writes
 * down what it is asked for. */
#pragma once

#include <sys/types.h>

/* What it does besides answering. */
enum fake_systemd {
	FAKE_WELL,      /* every job is done at once */
	FAKE_LEFTOVER,  /* the unit is there, and gone once it is reset */
	FAKE_TAKEN,     /* the unit is there, and has not failed */
	FAKE_FAILING,   /* jobs fail */
	FAKE_FORGETFUL, /* jobs never end */
	FAKE_MUTE,      /* it takes connections, and says nothing */
	FAKE_REFUSING,  /* properties cannot be set, there is nothing to stop */
};

/* From now on this process, which gets a mount namespace of its own, sees a host with this systemd.
 * The calls that it gets are lines of the file "calls" in the scratch directory. Returns its pid,
 * which the caller kills and waits for. */
pid_t fake_systemd_start(enum fake_systemd how);
