"""What all packages build on: files, checksums, threads, progress."""
