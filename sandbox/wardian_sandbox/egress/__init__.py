"""The way out of a box: a filtering proxy on the host, behind a listening socket from inside."""
