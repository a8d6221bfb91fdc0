"""What Acme adds to metaevo."""
