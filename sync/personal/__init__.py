"""What is kept of a person: finding it, showing it, and erasing it. It may import the inbox, the engine and what is
below."""
