"""One small file per format; each comes through the same door as a stranger's plugin."""
