"""Imported by Python at the start of a process that has this folder in its path: the clock is TEST_CLOCK_SKEW seconds
ahead.

Whatever a process of ours asks for the time of day is shifted; intervals (``time.monotonic``) and the database are not.
"""

import datetime
import os
import time

from django.utils import timezone

skew = datetime.timedelta(seconds=float(os.environ["TEST_CLOCK_SKEW"]))
true_time, true_time_ns, true_now = time.time, time.time_ns, timezone.now
time.time = lambda: true_time() + skew.total_seconds()
time.time_ns = lambda: true_time_ns() + int(skew.total_seconds() * 1e9)
timezone.now = lambda: true_now() + skew
