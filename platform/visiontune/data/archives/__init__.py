"""Archives whose members are read where they lie, without unpacking: zip, and tar without compression."""
