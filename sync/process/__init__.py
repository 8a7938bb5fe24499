"""What holds for any process, whatever it does: its environment, signals, forks, deadlines, its screen, and one
failure that must not stop the rest. It may import errors, logs and models."""
