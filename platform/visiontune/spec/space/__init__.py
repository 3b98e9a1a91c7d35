"""The whole file as one declaration, and what comes out of it: spaces, their points, the study's spec."""
