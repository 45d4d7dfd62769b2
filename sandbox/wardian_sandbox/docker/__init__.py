"""Boxes in containers: any local Docker engine, with runc or, as the runtime `runsc`, gVisor."""
