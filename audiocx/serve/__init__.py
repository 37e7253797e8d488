"""A page to transcribe with, served to a browser on the same machine: ``audiocx serve``."""
