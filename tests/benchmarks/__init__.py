"""Speed and memory of metaevo, as ratios to a plain TRL/transformers script in the same run: `make bench`.

Absolute times mean little on shared machines. So every number that has a limit is a ratio between two arms that
take turns in one run (their order alternates), the median of five or more, with the smallest and the largest
beside it; CPU time of processes stands beside wall time wherever it can be read.
"""
