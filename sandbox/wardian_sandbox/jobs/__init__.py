"""Our own code on other people's bytes: in a process that can do nothing but reach listed hosts."""
