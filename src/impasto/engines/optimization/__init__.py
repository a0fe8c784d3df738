"""Methods that optimize an image: losses, schedule, optimizer, resume."""
