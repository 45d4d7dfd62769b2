"""Rewards: what a finished run was worth, and why. Computed from its events and files, no model
asked again unless the verifier itself is one.

Covers: a grader never runs in the process or the sandbox that the graded model's code ran in;
answers are bounded before they are read; a grader that breaks gives no reward rather than zero.
Does not cover: a verifier that is wrong. Look at what passes before you train on it.
"""
