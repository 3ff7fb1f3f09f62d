"""The stack's face: gateway, tokens, operations, and the control routes of the emulator."""
