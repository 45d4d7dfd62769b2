"""What runs in the limited process: everything that touches what a server says.

Nothing here sees the workspace, the user's files, or a host that the policy does not list.
"""
