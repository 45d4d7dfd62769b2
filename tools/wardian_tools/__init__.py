"""What a model can call: typed tools, their schemas, a registry, and the built-in tools."""
