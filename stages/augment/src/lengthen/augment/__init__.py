"""augment: seeds -> instructions."""
