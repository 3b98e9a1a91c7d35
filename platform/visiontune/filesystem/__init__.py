"""Files: written whole or not at all, locked, named without credentials; and what lies where in the folder of studies."""
