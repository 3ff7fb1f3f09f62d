"""Wait for an instance: looks, one poller for all who wait in a triggerer, and being told to stop."""
