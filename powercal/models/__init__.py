"""The models that ship with the house; they come through the same door as any plugin."""
