"""Send an event once, to the stage that waits for it."""
