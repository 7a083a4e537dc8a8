"""What a message says, when it is sent again and whom it may reach: pure, without input or output."""
