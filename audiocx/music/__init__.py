"""Music transcription: transcribers, note decoding, tuning, beats, metrics and evaluation."""
