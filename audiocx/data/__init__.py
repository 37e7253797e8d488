"""Training data: corpora, prepared stores, samplers and augmentation."""
