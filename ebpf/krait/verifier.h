/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How code has to come out of the compiler so that the verifier takes it, with instructions to spare. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline

/* The compiler may not work the value out anew. The verifier knows a checked pointer only as the one
 * that was compared, and a masked value only by the mask that comes last. */
#define SAME_VALUE(VALUE) asm volatile("" : "+r"(VALUE))

/* The same value, but no longer known to the verifier, which else walks what is behind once for each
 * value that it knows. Used where that pays, by measurement: about a third of its work. */
INLINE __u32 opaque(__u32 value, __u32 noise)
{
	value ^= noise;
	SAME_VALUE(value);
	value ^= noise;
	SAME_VALUE(value);
	return value;
}

/* The place of the last of so many bytes. A helper wants one at least: by a bound of this place Linux 6.1
 * knows both bounds of the number, which it does not of `length && length <= most`. */
INLINE __u32 last_of(__u32 length)
{
	length--;
	SAME_VALUE(length);
	return length;
}
