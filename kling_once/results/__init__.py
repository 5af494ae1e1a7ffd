"""Results that are kept: files, what is known of them, small pictures, and the workflow within them."""
