"""Many fits of one model at once: as arrays, from the same curve as a single fit."""
