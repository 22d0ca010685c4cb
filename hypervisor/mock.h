/* For tests of the layers above: what was asked of a mock VMM, and how to make it fail. */
#pragma once

struct hv;

/* "start", "pause", "add_device disk0", ... in order; owned by the mock. NULL: nothing yet. */
char *const *hv_mock_calls(const struct hv *hv);
/* Let every later call of this op ("start", "pause", "resume", "save", "restore", "add_device",
 * "del_device", "grow") fail with this errno value; 0: succeed again. */
void hv_mock_fail(struct hv *hv, const char *op, int code);
/* A state with one of these texts is restored only after half a second, is found damaged then, or
 * is never restored. */
#define HV_MOCK_LATE "late"
#define HV_MOCK_LATE_DAMAGED "late, and damaged"
#define HV_MOCK_NEVER "never"
