"""`python -m visiontune.cli`, where the command `visiontune` is not installed."""

import sys

from visiontune.cli.entry_point import main

sys.exit(main())
