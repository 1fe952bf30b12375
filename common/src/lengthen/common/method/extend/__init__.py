"""The extend prompt, the same in expand and in the training of the extender."""
