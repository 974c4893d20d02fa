"""Runs that once found a violation, by scenario and seed; each run of the harness plays them first.

A seed fixes the traffic, the fault plan and the moments of the kills, not the machine's timing: one
that fails now and then stands here several times.
"""

REGRESSIONS: tuple[tuple[str, int], ...] = ()
