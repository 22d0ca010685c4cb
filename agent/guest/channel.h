/* The byte stream to the host. */
#pragma once

struct error;

/* Find the virtio-serial port by its name, open it non-blocking and wait until the host's end is
 * there. Returns the descriptor or -errno (ETIMEDOUT). */
int channel_open(struct error *err);
