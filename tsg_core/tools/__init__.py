"""Ground for all packages: files, checksums, threads, progress."""
