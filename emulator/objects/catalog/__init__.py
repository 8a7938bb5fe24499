"""What is sold, and for how much; of `objects` it imports no other room."""
