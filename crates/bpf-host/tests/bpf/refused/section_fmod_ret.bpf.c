/* A section name that this crate does not load. */
#include "../agreed.h"

SEC("fmod_ret/security_file_open")
int hook(void *ctx)
{
	return 0;
}
