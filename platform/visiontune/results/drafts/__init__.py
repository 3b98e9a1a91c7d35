"""Search-space files written for a user: from pictures, from other programs' searches."""
