/* The part of the acceleration probe that talks to the KVM device. */
#pragma once

struct error;

/* Run the test loop in a guest, in a child with a time limit. 0 and the loop's time, or -errno with
 * the step that failed in err. */
int kvm_time_loop(const char *device, unsigned *usec, struct error *err);
