"""Submit once: the record decides, the fence stands before each POST, what was lost is looked for."""
