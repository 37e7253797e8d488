"""Training scenes: music synthesised from single notes and recordings, degraded, in batches on the training device."""
