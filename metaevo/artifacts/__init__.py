"""Content-addressed files: bodies of journal steps, policies, manifests. Written once, verified when read."""
