"""Speech spectrum prediction: predictors, packet-loss concealment, baselines and metrics."""
