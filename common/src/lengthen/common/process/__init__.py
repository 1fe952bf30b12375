"""The process: exit codes, progress, and the versions of its libraries."""
