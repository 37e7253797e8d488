"""Many recordings: jobs, worker processes on this machine or a Ray cluster, and the manifest of a run."""
