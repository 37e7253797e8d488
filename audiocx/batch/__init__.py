"""Batches of recordings: jobs, process pools, Ray and the manifest."""
