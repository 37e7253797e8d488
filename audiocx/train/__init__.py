"""Training: settings, experiments, runs and the Lightning loop.

An experiment is one TOML file, read into a dataclass of :mod:`audiocx.train.experiments`. A run is a folder:
``experiment.json``, ``last.ckpt`` and ``best.ckpt`` (highest validation AP; of predictors and synthetic problems,
lowest error), and a TensorBoard log. A run that was interrupted resumes from ``last.ckpt`` with the same result as an
uninterrupted one: weights, averages, optimiser, schedule and remaining batches.
"""
