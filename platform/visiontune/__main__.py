"""`python -m visiontune`, where the command `visiontune` is not installed."""

import sys

from visiontune.cli import main

sys.exit(main())
