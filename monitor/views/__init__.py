"""What people and programs are shown, without HTTP and without a terminal."""
