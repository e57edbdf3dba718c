"""What the outside can see of a process: log lines, metrics, probes.

Belongs here: the one file with every metric, the shape of a log line, the answers to /livez, /readyz, /health and
/metrics. Does not belong here: deciding anything, or knowing where a figure comes from.
"""
