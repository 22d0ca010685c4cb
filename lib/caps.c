#include "lib/caps.h"

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/error.h"

int caps_bound(unsigned long long kept, struct error *err)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(kept & CAP_BIT(cap)) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return error_sys(err, "drop a capability");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "deny new privileges");
	return 0;
}

int caps_limit(unsigned long long kept, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		half[i].effective = half[i].permitted = (uint32_t)(kept >> (32 * i));
	if (syscall(SYS_capset, &header, half) < 0)
		return error_sys(err, "limit the capabilities");
	return 0;
}
