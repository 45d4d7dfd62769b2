"""More compute at inference: several attempts at one task, and how one of them is chosen.

`attempts` makes them, `vote` and `best_of` choose, `refine` tries again with what a critic said.
Each attempt is a run of its own on a workspace of its own; all draw on one budget; the winner's
changes are made to the user's workspace, and the others stay as runs of the same group.
"""
