"""Faults of a study in production: server, worker, watcher, runs, remotes, disks and clocks."""
