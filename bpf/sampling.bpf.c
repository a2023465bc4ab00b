// SPDX-License-Identifier: GPL-2.0-only
/*
 * DOC: Time, for slots that no record passes by.
 *
 * Windows are closed by the records that come after them (sample.h). Where a flood has ended and
 * nothing follows, the daemon closes them: it runs this program by BPF_PROG_TEST_RUN with the
 * slot's number in the packet's place. So there is one place where shifts change.
 */
#include "sample.h"

/* The least that the kernel takes for a frame. */
struct sampling_question {
	__u32 slot;
	__u32 reserved[3];
};

SEC("xdp")
int sampling_pass_time(struct xdp_md *ctx)
{
	const struct sampling_question *question = (void *)(long)ctx->data;

	if ((void *)(question + 1) <= (void *)(long)ctx->data_end)
		sample_pass_time(question->slot);
	return XDP_PASS;
}
