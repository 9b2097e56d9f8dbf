"""Inference of more stars than fit into memory or into an hour."""
