"""Tool servers that speak the Model Context Protocol: which there are, and their tools.

Imports nothing heavy: the protocol's SDK is imported when the first server is started.
"""
