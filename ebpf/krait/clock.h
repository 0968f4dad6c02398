/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much time has passed: a difference of jiffies, by their low halves. Another CPU may have seen
 * something later than our now; with the slack on both sides of a comparison that is no time at all,
 * and not a whole turn of the clock. */
#pragma once

enum { CLOCK_SLACK = 16 }; /* jiffies */
