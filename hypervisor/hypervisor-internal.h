/* For the backends. */
#pragma once

struct hv;

/* Kill the VMM, reap it and forget it, waiting a few seconds at most. Fine when there is none. */
void hv_kill_vmm(struct hv *hv);
