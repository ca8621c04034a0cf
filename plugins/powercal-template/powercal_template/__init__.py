"""A powercal plugin to copy: one model and one loader, each in a file of its own."""
