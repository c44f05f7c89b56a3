"""What the stack carries, on this machine and on a weak box: measured with `run`, told with `render`."""
