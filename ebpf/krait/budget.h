/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A token bucket, in units that each tick brings `a_second` of and one thing costs HZ of. */
#pragma once
#include "clock.h"
#include "maps.h"
#include "verifier.h"

/* Is there one left? If so it is taken, unless `dry`. As its table is made, a bucket is full. */
INLINE int take(struct krait_budget *budget, __u32 now, __u32 a_second, __u32 burst, int dry)
{
	const __u64 cost = ticks_per_second, most = burst * cost;
	__u32 passed = now - budget->seen;
	__u64 left;

	if (passed > -(__u32)CLOCK_SLACK)
		passed = 0;
	left = budget->left + (__u64)passed * a_second;
	if (left > most || !budget->seen)
		left = most;
	if (left < cost)
		return 0;
	if (!dry) {
		budget->left = left - cost;
		budget->seen = now | !now;
	}
	return 1;
}
